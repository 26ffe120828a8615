//! Whose tools a policy takes: those of its publishers, what nobody signed, and what somebody else did.

use super::*;
use crate::signature::{Provenance, Rebuild, Signed, Statement};
use crate::{AdmissionRecord, Signer};

fn key(seed: u8) -> Signer {
    Signer::from_seed([seed; 32])
}

/// A policy's lines that name a key.
fn named(name: &str, seed: u8) -> String {
    let pem = key(seed).public().to_spki_pem().expect("it has a form");
    format!("[publishers]\n{name} = \"\"\"\n{pem}\"\"\"\n")
}

fn provenance() -> Provenance {
    Provenance {
        source: None,
        toolchain: vec!["rustc 1.95.0".into()],
        builder: "nanohost 0.1.0".into(),
        rebuild: Rebuild::NotTried,
    }
}

/// The tool `t` that asks for a ledger, signed by a key or by nobody.
fn admission(signed_by: Option<u8>, policies: &[(&str, Trust)]) -> Admission {
    let mut world = World::new(LEDGER, &[KV], "");
    world.policies = policies.iter().map(|(text, trust)| ((*text).to_owned(), trust.clone())).collect();
    let mut admission = world.admission();
    let offer = &mut admission.offers[0];
    offer.signature = signed_by.map(|seed| {
        let statement = Statement::of(&offer.manifest, &offer.facts, None, provenance());
        Signed::parse(&statement.sign(&key(seed)).expect("it has a form")).expect("it is one")
    });
    admission
}

fn verdict(admission: Admission) -> String {
    admit(admission).map_or_else(|refusal| shown(&refusal), |_| "ok".into())
}

fn under(signed_by: Option<u8>, policies: &[&str]) -> String {
    let policies: Vec<(&str, Trust)> = policies.iter().map(|text| (*text, Trust::Trusted)).collect();
    verdict(admission(signed_by, &policies))
}

#[test]
fn only_what_a_publisher_of_every_policy_signed_runs() {
    let yes = permit("kv = [\"ledger\"]");
    let acme = format!("{yes}{}", named("acme", 1));
    let others = format!("{yes}{}", named("others", 2));
    let both = format!("{acme}{}", named("more", 2).trim_start_matches("[publishers]\n"));
    let local = format!("unsigned = \"local\"\n{acme}");
    let refuse = format!("unsigned = \"refuse\"\n{yes}");
    let unknown = format!("untrusted_publisher publisher {}", key(1).public().key_id());
    for (signed_by, policies, expect) in [
        // A policy that speaks of nobody leaves folders to whoever has them.
        (None, &[yes.as_str()][..], "ok"),
        (Some(1), &[&yes], "ok"),
        (Some(1), &[&acme], "ok"),
        (None, &[&acme], "unsigned_tool publisher"),
        (Some(1), &[&others], unknown.as_str()),
        (Some(1), &[&both], "ok"),
        (Some(2), &[&both], "ok"),
        // Each policy that speaks of them has to know the key.
        (Some(1), &[&acme, &yes], "ok"),
        (Some(1), &[&acme, &others], &unknown),
        (None, &[&yes, &acme], "unsigned_tool publisher"),
        // The rule for local development is one of each policy.
        (None, &[&local], "ok"),
        (Some(2), &[&local], "ok"),
        (None, &[&local, &acme], "unsigned_tool publisher"),
        (None, &[&refuse], "unsigned_tool publisher"),
        (Some(1), &[&refuse, &acme], &unknown),
    ] {
        assert_eq!(under(signed_by, policies), expect, "{signed_by:?} {policies:?}");
    }
}

#[test]
fn a_signature_for_something_else_is_refused_whatever_policies_say() {
    let yes = permit("kv = [\"ledger\"]");
    for policy in [yes.clone(), format!("unsigned = \"any\"\n{yes}"), format!("{yes}{}", named("acme", 1))] {
        let policies = [(policy.as_str(), Trust::Trusted)];
        assert_eq!(verdict(admission(Some(1), &policies)), "ok");
        let mut component = admission(Some(1), &policies);
        component.offers[0].facts.component = Digest::of(b"another");
        let mut schemas = admission(Some(1), &policies);
        schemas.offers[0].facts.exports[0].output = json!({ "type": "integer" });
        let mut manifest = admission(Some(1), &policies);
        manifest.offers[0].manifest = offer("t", &format!("{LEDGER}\n# more\n"), &[KV]).manifest;
        for other in [component, schemas, manifest] {
            assert_eq!(verdict(other), "invalid: signature_failed");
        }
    }
}

#[test]
fn a_policy_that_nobody_trusts_vouches_for_nobody() {
    let found = || Trust::Found { project: "/srv".into() };
    let yes = permit("kv = [\"ledger\"]");
    let acme = format!("{yes}{}", named("acme", 1));
    let unknown = format!("untrusted_publisher publisher {}", key(1).public().key_id());
    assert_eq!(verdict(admission(Some(1), &[(&acme, found())])), unknown);
    assert_eq!(verdict(admission(Some(1), &[(&acme, Trust::Trusted)])), "ok");
    // What it forbids a publisher counts in full.
    let keys = named("evil", 1);
    let forbids = format!("unsigned = \"local\"\n{yes}[[forbid]]\nid = \"n\"\npublisher = \"evil\"\n{keys}");
    for trust in [found(), Trust::Trusted] {
        assert_eq!(verdict(admission(Some(1), &[(&forbids, trust.clone())])), "forbidden f");
        assert_eq!(verdict(admission(Some(2), &[(&forbids, trust)])), "ok");
    }
}

#[test]
fn a_row_for_a_publisher_is_for_no_other() {
    let rows = |stance: &str| {
        format!("unsigned = \"local\"\n[[{stance}]]\nid = \"r\"\npublisher = \"acme\"\nkv = [\"ledger\"]\n")
    };
    let keys = format!(
        "{}others = \"\"\"\n{}\"\"\"\n",
        named("acme", 1),
        key(2).public().to_spki_pem().expect("a form")
    );
    let permits = format!("{}{keys}", rows("permit"));
    for (signed_by, expect) in
        [(Some(1), "ok"), (Some(2), "not_granted ledger"), (None, "not_granted ledger")]
    {
        assert_eq!(under(signed_by, &[&permits]), expect, "{signed_by:?}");
    }
    let denied = match admit(admission(None, &[(&permits, Trust::Trusted)])) {
        Err(Refusal::Denied(denied)) => denied,
        other => panic!("expected a denial, got {other:?}"),
    };
    assert!(denied.gaps()[0].message.contains("to what its publisher signed"), "{denied}");
    let forbids =
        format!("{}{}{keys}", rows("forbid"), permit("kv = [\"ledger\"]").replace("\"r\"", "\"yes\""));
    for (signed_by, expect) in [(Some(1), "forbidden ledger"), (Some(2), "ok"), (None, "ok")] {
        assert_eq!(under(signed_by, &[&forbids]), expect, "{signed_by:?}");
    }
}

#[test]
fn the_table_says_whose_word_there_was_and_a_record_repeats_it() {
    let yes = permit("kv = [\"ledger\"]");
    let acme = format!("{yes}{}", named("acme", 1));
    let local = format!("unsigned = \"local\"\n{yes}");
    let row = |signed_by, policy: &str| {
        let admission = admission(signed_by, &[(policy, Trust::Trusted)]);
        let record = AdmissionRecord::of(&admission);
        let plan = admit(admission).expect("admitted");
        // As it is disclosed and read again.
        let text = serde_json::to_string(&record).expect("it has a form");
        let again: AdmissionRecord = serde_json::from_str(&text).expect("it is one");
        assert_eq!(again.repeat().expect("admitted again").digest(), plan.digest());
        let row = plan.rows()[0].to_json();
        (row["publisher"]["name"].clone(), row["unsigned"].clone())
    };
    assert_eq!(row(Some(1), &acme), (json!("acme"), Value::Null));
    assert_eq!(row(None, &local), (Value::Null, json!("local")));
    assert_eq!(row(None, &yes), (Value::Null, Value::Null));
    // A record whose signature was taken out or exchanged is another decision.
    let record = AdmissionRecord::of(&admission(Some(1), &[(&acme, Trust::Trusted)]));
    let mut value = serde_json::to_value(&record).expect("it has a form");
    let other = AdmissionRecord::of(&admission(Some(2), &[(&acme, Trust::Trusted)]));
    let other = serde_json::to_value(&other).expect("it has a form");
    value["tools"][0]["signature"] = other["tools"][0]["signature"].clone();
    let exchanged: AdmissionRecord = serde_json::from_value(value.clone()).expect("it is one");
    assert!(exchanged.repeat().is_err());
    value["tools"][0].as_object_mut().expect("an object").remove("signature");
    let without: AdmissionRecord = serde_json::from_value(value).expect("it is one");
    assert!(without.repeat().is_err());
}
