use super::*;
use crate::{Source, Trust};

fn policy(text: &str) -> Policy {
    Policy::parse(Source::new("policy.toml", text), "/srv", Trust::Trusted).expect("a policy")
}

fn check(by: &[&str], principal: &str, policies: &[&str], expect: Result<&str, &str>) {
    let rules =
        Resume { by: by.iter().map(|entry| (*entry).to_owned()).collect(), schema: None, verify: None };
    let policies: Vec<Policy> = policies.iter().map(|text| policy(text)).collect();
    let told =
        entitled(Some(&rules), "alice", principal, [&policies, &policies]).map_err(|why| why.to_string());
    match (told, expect) {
        (Ok(entry), Ok(expect)) => assert_eq!(entry, expect),
        (Err(why), Err(expect)) => assert!(why.contains(expect), "{why}"),
        (told, _) => panic!("{by:?} {principal}: {told:?}"),
    }
}

#[test]
fn who_may_answer() {
    let roles = "[roles]\napprover = [\"dana\", \"alice\"]\n";
    check(&[], "alice", &[], Ok("operator"));
    check(&["role:approver"], "dana", &[roles], Ok("role:approver"));
    check(&["role:approver"], "lee", &[roles], Err("lee is none of `role:approver`"));
    check(&["role:approver"], "dana", &[], Err("none of"));
    check(&["lee", "role:approver"], "lee", &[roles], Ok("lee"));
    // Nobody approves their own run, whatever roles they have, unless the step says so.
    check(&["role:approver", "alice"], "alice", &[roles], Err("opened this run"));
    check(&["starter"], "alice", &[], Ok("starter"));
    check(&["starter"], "dana", &[roles], Err("none of"));
}

#[test]
fn policies_narrow_roles() {
    let (both, one) = ("[roles]\napprover = [\"dana\", \"lee\"]\n", "[roles]\napprover = [\"lee\"]\n");
    check(&["role:approver"], "dana", &[both, one], Err("none of"));
    check(&["role:approver"], "lee", &[both, one], Ok("role:approver"));
    check(&["role:approver"], "dana", &[both, "[roles]\nother = [\"x\"]\n"], Ok("role:approver"));
    check(&["role:approver"], "dana", &[both, "[roles]\napprover = []\n"], Err("none of"));
}

#[test]
fn another_policy_makes_nobody_an_approver() {
    let rules = Resume { by: vec!["role:approver".to_owned()], schema: None, verify: None };
    let is =
        |began: &[Policy], now: &[Policy]| entitled(Some(&rules), "alice", "mallory", [began, now]).is_ok();
    let (with, without) = ("[roles]\napprover = [\"mallory\"]\n", "[roles]\napprover = [\"dana\"]\n");
    let trusted = |text| [policy(text)];
    assert!(is(&trusted(with), &trusted(with)));
    assert!(!is(&trusted(without), &trusted(with)));
    assert!(!is(&trusted(with), &trusted(without)));
    assert!(!is(&trusted(""), &trusted(with)));
    // What came with somebody's clone names nobody, and takes all the same.
    let found = |text: &str| {
        let trust = Trust::Found { project: "/srv".to_owned() };
        Policy::parse(Source::new("policy.toml", text), "/srv", trust).expect("a policy")
    };
    assert!(!is(&[found(with)], &[found(with)]));
    let both = |other| [policy(with), found(other)];
    assert!(is(&both(with), &both(with)));
    assert!(!is(&both(without), &both(without)));
}

#[test]
fn roles_are_read_strictly() {
    for text in [
        "[roles]\napprover = \"dana\"\n",
        "[roles]\napprover = [1]\n",
        "[roles]\na = [\"starter\"]\n",
        "[roles]\n\"a b\" = []\n",
    ] {
        let source = Source::new("policy.toml", text);
        assert!(Policy::parse(source, "/srv", Trust::Trusted).is_err(), "{text}");
    }
}
