//! What programs that a client saved get: rows that are written for them, and no others.

use super::*;
use crate::{AdmissionRecord, ProgramClass};

/// The tool `t` that asks for a ledger, called by a program of that class.
fn admission(class: ProgramClass, policies: &[&str]) -> Admission {
    let mut world = World::new(LEDGER, &[KV], "");
    world.policies = policies.iter().map(|text| ((*text).to_owned(), Trust::Trusted)).collect();
    let Admission { program, offers, policies, today } = world.admission();
    let program = Arc::into_inner(program).expect("nobody else has it").of_class(class);
    Admission { program: Arc::new(program), offers, policies, today }
}

fn verdict(class: ProgramClass, policies: &[&str]) -> String {
    let admission = admission(class, policies);
    let again = AdmissionRecord::of(&admission).repeat();
    let verdict = admit(admission).map_or_else(|refusal| shown(&refusal), |_| "ok".into());
    assert_eq!(again.is_ok(), verdict == "ok", "a verifier decides the same");
    verdict
}

#[test]
fn a_row_is_for_one_class_of_programs() {
    use ProgramClass::{Saved, Unsaved, Vetted};
    let plain = permit("kv = [\"ledger\"]");
    let saved = permit("class = \"saved\"\nkv = [\"ledger\"]");
    let both = format!("{plain}{}", saved.replacen("id = \"", "id = \"s-", 1));
    let taken = format!("{both}[[forbid]]\nid = \"no\"\nkv = [\"ledger\"]\n");
    let taken_saved = format!("{both}[[forbid]]\nid = \"no\"\nclass = \"saved\"\nkv = [\"ledger\"]\n");
    let refused = "not_granted ledger";
    for (policies, expect) in [
        (&[plain.as_str()][..], ["ok", refused]),
        (&[&saved], [refused, "ok"]),
        (&[&both], ["ok", "ok"]),
        // Each policy has to say so.
        (&[&both, &plain], ["ok", refused]),
        (&[&both, &saved], [refused, "ok"]),
        (&[&taken], ["forbidden ledger", "forbidden ledger"]),
        (&[&taken_saved], ["ok", "forbidden ledger"]),
    ] {
        for (class, expect) in [(Vetted, expect[0]), (Saved, expect[1]), (Unsaved, expect[1])] {
            assert_eq!(verdict(class, policies), expect, "{class:?} {policies:?}");
        }
    }
}

#[test]
fn what_a_row_demands_of_calls_it_demands_of_every_class() {
    let demands = permit("kv = [\"ledger\"]\nrequire = \"$args.amount <= 5\"");
    let saved = permit("class = \"saved\"\nkv = [\"ledger\"]").replacen("id = \"", "id = \"s-", 1);
    let policy = format!("{demands}{saved}");
    for class in [ProgramClass::Vetted, ProgramClass::Saved] {
        let plan = admit(admission(class, &[&policy])).expect("admitted");
        assert_eq!(plan.rows()[0].require.len(), 1, "{class:?}");
    }
    // One that is written for saved programs alone is no concern of others.
    let own = format!(
        "{}{}",
        permit("kv = [\"ledger\"]"),
        saved.replace("kv =", "require = \"$args.amount <= 5\"\nkv =")
    );
    let count = |class| admit(admission(class, &[&own])).expect("admitted").rows()[0].require.len();
    assert_eq!((count(ProgramClass::Vetted), count(ProgramClass::Saved)), (0, 1));
}

#[test]
fn a_policy_can_refuse_what_nobody_saved() {
    let row = permit("class = \"saved\"\nkv = [\"ledger\"]");
    let refuse = format!("unsaved = \"refuse\"\n{row}");
    let run = format!("unsaved = \"run\"\n{row}");
    assert_eq!(verdict(ProgramClass::Unsaved, &[&refuse]), "unsaved_program unsaved program");
    assert_eq!(verdict(ProgramClass::Saved, &[&refuse]), "ok");
    assert_eq!(verdict(ProgramClass::Unsaved, &[&run]), "ok");
    assert_eq!(verdict(ProgramClass::Unsaved, &[&run, &refuse]), "unsaved_program unsaved program");
}

#[test]
fn a_record_of_a_vetted_program_is_as_it_was_before_there_were_classes() {
    let plain = permit("kv = [\"ledger\"]");
    let record =
        |class| serde_json::to_value(AdmissionRecord::of(&admission(class, &[&plain]))).expect("JSON");
    assert_eq!(record(ProgramClass::Vetted).get("class"), None);
    assert_eq!(record(ProgramClass::Saved)["class"], "saved");
}
