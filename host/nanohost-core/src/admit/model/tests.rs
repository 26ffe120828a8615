use std::sync::Arc;

use crate::policy::ModelPii;
use crate::{
    Admission, AdmissionRecord, Format, Plan, Policy, Program, Refusal, Source, Timestamp, Trust, admit,
};

const ROW: &str =
    "[models.fast]\nprovider = \"openai\"\nbase_url = \"https://api.example.com/v1\"\nmodel = \"m-1\"\n";

/// Steps that ask these models.
fn asking(models: &[&str], policies: &[(&str, Trust)]) -> Admission {
    let step = |(at, model): (usize, &&str)| {
        format!("[[steps]]\nid = \"s{at}\"\ntype = \"llm\"\nprompt = \"hello\"\nmodel = {model:?}\n")
    };
    let steps: String = models.iter().enumerate().map(step).collect();
    let source = Source::new("program.toml", format!("name = \"p\"\n{steps}"));
    let program = Program::parse(source, Format::Toml).and_then(Program::check).expect("a program").0;
    let policies = policies.iter().enumerate().map(|(at, (text, trust))| {
        Policy::parse(Source::new(format!("policy{at}.toml"), *text), "/srv", trust.clone())
            .expect("a policy")
    });
    Admission {
        program: Arc::new(program),
        offers: Vec::new(),
        policies: policies.collect(),
        today: Timestamp::from_millis(1_795_000_000_000),
    }
}

fn trusting(models: &[&str], policies: &[&str]) -> Admission {
    let policies: Vec<(&str, Trust)> = policies.iter().map(|text| (*text, Trust::Trusted)).collect();
    asking(models, &policies)
}

fn plan(models: &[&str], policies: &[&str]) -> Plan {
    admit(trusting(models, policies)).expect("admitted")
}

/// The gaps as `code alias`, and the help of the first.
fn refused(admission: Admission) -> (String, String) {
    match admit(admission) {
        Err(Refusal::Denied(denied)) => {
            let gaps: Vec<String> =
                denied.gaps().iter().map(|gap| format!("{} {}", gap.code, gap.value)).collect();
            assert!(denied.gaps().iter().all(|gap| gap.tool.is_none() && gap.class.is_none()));
            (gaps.join(", "), denied.gaps()[0].help.clone())
        }
        other => panic!("expected a denial, got {other:?}"),
    }
}

#[test]
fn a_model_has_a_row_and_the_scripted_one_needs_none() {
    let plan = plan(&["fast", "scripted", "fast"], &[ROW]);
    let [row] = plan.models() else { panic!("one row: {:?}", plan.models()) };
    assert_eq!((row.alias.as_str(), row.model.as_str()), ("fast", "m-1"));
    assert_eq!(row.base_url.origin(), "https://api.example.com:443");
    assert_eq!(plan.model("fast"), Some(row));
    assert_eq!(plan.model("scripted"), None);
    assert!(plan.warnings().is_empty());
    // A row that nobody asks is no part of the table.
    assert!(super::super::admit(trusting(&["scripted"], &[ROW])).expect("admitted").models().is_empty());
}

#[test]
fn a_model_without_a_row_is_refused_with_the_lines_to_add() {
    for (models, policies, expect) in [
        (&["fast"][..], &[][..], "not_granted fast"),
        (&["fast"], &[""], "not_granted fast"),
        (&["slow", "fast", "fast"], &[ROW], "not_granted slow"),
        (&["slow", "able"], &[ROW], "not_granted able, not_granted slow"),
        // Every policy has to grant it.
        (&["fast"], &[ROW, ""], "not_granted fast"),
        (&["fast"], &["", ROW], "not_granted fast"),
    ] {
        let (gaps, help) = refused(trusting(models, policies));
        assert_eq!(gaps, expect);
        assert!(help.contains("[models.") && help.contains("base_url"), "{help}");
    }
    let (_, help) = refused(trusting(&["gpt-4.1"], &[""]));
    assert!(help.contains("[models.\"gpt-4.1\"]"), "{help}");
    let (_, help) = refused(trusting(&["a\nb"], &[ROW]));
    assert!(help.contains("rename it"), "{help}");
}

#[test]
fn a_found_policy_grants_no_model() {
    let found = Trust::Found { project: "/srv".into() };
    let (gaps, help) = refused(asking(&["fast"], &[(ROW, found)]));
    assert_eq!(gaps, "not_granted fast");
    assert!(help.contains("trust"), "{help}");
}

#[test]
fn policies_narrow_each_other_and_may_not_contradict() {
    let narrow = format!("{ROW}pii = \"never\"\nmax_tokens = 5\n");
    for policies in [[ROW, narrow.as_str()], [narrow.as_str(), ROW]] {
        let plan = plan(&["fast"], &policies);
        let row = plan.model("fast").expect("a row");
        assert_eq!((row.pii, row.params.max_tokens), (ModelPii::Never, Some(5)));
    }
    let other = ROW.replace("m-1", "m-2");
    let (gaps, _) = refused(trusting(&["fast"], &[ROW, &other]));
    assert_eq!(gaps, "model_conflict fast");
}

#[test]
fn the_row_is_part_of_the_tables_digest() {
    let digest = |row: &str| plan(&["fast"], &[row]).digest();
    let base = digest(ROW);
    assert_eq!(base, digest(&format!("# a comment\n{ROW}")));
    for (from, to) in [("m-1", "m-2"), ("example.com", "example.org"), ("/v1", "/v2")] {
        assert_ne!(base, digest(&ROW.replace(from, to)), "{to}");
    }
    for more in [
        "key_env = \"K\"",
        "pii = \"never\"",
        "seed = 1",
        "temperature = 0.5",
        "timeout = \"9s\"",
        "answer = \"9B\"",
    ] {
        assert_ne!(base, digest(&format!("{ROW}{more}\n")), "{more}");
    }
}

#[test]
fn prompts_in_clear_are_warned_of() {
    let warned = |url: &str| {
        let row = ROW.replace("https://api.example.com", url);
        let plan = plan(&["fast"], &[&row]);
        plan.warnings().iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(warned("http://10.0.0.1:8080"), ["model_in_clear"]);
    assert!(warned("http://127.0.0.1:8080").is_empty());
    assert!(warned("https://10.0.0.1").is_empty());
}

#[test]
fn a_record_repeats_it() {
    let admission = trusting(&["fast"], &[ROW]);
    let record = AdmissionRecord::of(&admission);
    let digest = admit(admission).expect("admitted").digest();
    assert_eq!(record.repeat().expect("admitted again").digest(), digest);
}

#[test]
fn a_policy_that_abstains_leaves_models_to_others() {
    let abstain = "otherwise = \"abstain\"\n";
    let narrower = format!("{abstain}{ROW}timeout = \"2s\"\n");
    assert_eq!(plan(&["fast"], &[abstain, ROW]).models().len(), 1);
    assert_eq!(plan(&["fast"], &[ROW, &narrower]).models()[0].timeout.as_secs(), 2);
    assert_eq!(refused(trusting(&["fast"], &[abstain])).0, "not_granted fast");
    assert_eq!(refused(trusting(&["fast"], &[abstain, abstain])).0, "not_granted fast");
    assert_eq!(refused(trusting(&["fast"], &[abstain, ROW, ""])).0, "not_granted fast");
}

#[test]
fn a_saved_program_asks_only_models_whose_row_says_so() {
    let of_class = |policies: &[&str]| {
        let Admission { program, offers, policies, today } = trusting(&["fast"], policies);
        let program = Arc::into_inner(program).expect("nobody else has it");
        let program = program.of_class(crate::ProgramClass::Saved);
        Admission { program: Arc::new(program), offers, policies, today }
    };
    let saved = format!("{ROW}saved = true\n");
    assert_eq!(refused(of_class(&[ROW])).0, "not_granted fast");
    assert!(admit(of_class(&[&saved])).is_ok());
    assert_eq!(refused(of_class(&[&saved, ROW])).0, "not_granted fast");
    assert!(admit(trusting(&["fast"], &[&saved])).is_ok(), "the operator's own programs ask it too");
}
