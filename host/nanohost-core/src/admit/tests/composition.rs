//! Several policies at once, those that leave things to others, and rows for one component alone.

use super::*;

const ABSTAIN: &str = "otherwise = \"abstain\"\n";

/// `LEDGER` under these trusted policies, in their order.
fn under(policies: &[&str]) -> World {
    let mut world = World::new(&format!("[functions.f]\neffect = \"idempotent\"\n{LEDGER}"), &[KV], "");
    world.policies = policies.iter().map(|text| ((*text).to_owned(), Trust::Trusted)).collect();
    world
}

#[test]
fn a_policy_that_abstains_takes_away_and_grants_nothing_of_its_own() {
    let (yes, other) = (permit("kv = [\"ledger\"]"), permit("kv = [\"other\"]"));
    let never = format!("{ABSTAIN}[[forbid]]\nid = \"n\"\nkv = [\"ledger\"]");
    let grants = format!("{ABSTAIN}{yes}");
    for (policies, expect) in [
        (&[ABSTAIN, &yes][..], "ok"),
        (&[&yes, ABSTAIN], "ok"),
        (&[ABSTAIN, ABSTAIN, &yes], "ok"),
        // Somebody has to permit it.
        (&[ABSTAIN], "not_granted ledger"),
        (&[ABSTAIN, ABSTAIN], "not_granted ledger"),
        (&[ABSTAIN, &other], "not_granted ledger"),
        (&[ABSTAIN, &yes, &other], "not_granted ledger"),
        (&[&never, &yes], "forbidden ledger"),
        // One that abstains may permit as well.
        (&[&grants], "ok"),
        (&[&grants, ABSTAIN], "ok"),
        (&[&grants, ""], "not_granted ledger"),
        (&["otherwise = \"deny\"", &yes], "not_granted ledger"),
    ] {
        assert_eq!(under(policies).verdict(), expect, "{policies:?}");
    }
}

#[test]
fn whoever_does_not_grant_is_named() {
    let yes = permit("kv = [\"ledger\"]");
    let by = |policies: &[&str]| {
        let denied = under(policies).denied();
        let gaps = denied.gaps().iter().filter_map(|gap| gap.not_granted_by.as_ref());
        gaps.map(|withheld| withheld.file.clone()).collect::<Vec<_>>()
    };
    assert_eq!(by(&["", &yes]), ["policy0.toml"]);
    assert_eq!(by(&["", &yes, ""]), ["policy0.toml", "policy2.toml"]);
    // The last, which is nearest to the program, where all leave it to others.
    assert_eq!(by(&[ABSTAIN, ABSTAIN]), ["policy1.toml"]);
    // And whoever grants.
    let plan = under(&[ABSTAIN, &format!("\n\n{yes}"), &yes]).plan();
    let places: Vec<String> = plan.rows()[0].rules.iter().map(|rule| rule.place.to_string()).collect();
    assert_eq!(places, ["policy1.toml:4", "policy2.toml:2"]);
}

#[test]
fn one_that_nobody_trusts_leaves_nothing_to_others() {
    let mut world = under(&[&permit("kv = [\"ledger\"]"), ABSTAIN]);
    assert_eq!(world.verdict(), "ok");
    world.policies[1].1 = Trust::Found { project: "/srv".into() };
    assert_eq!(world.verdict(), "not_granted ledger");
}

#[test]
fn vouching_is_left_to_others_too() {
    let yes = permit("kv = [\"ledger\"]\nvouch_idempotent = [\"f\"]");
    let plain = permit("kv = [\"ledger\"]");
    let effect = |policies: &[&str]| under(policies).plan().rows()[0].effect;
    assert_eq!(effect(&[ABSTAIN, &yes]), Effect::Idempotent);
    assert_eq!(effect(&[ABSTAIN, &plain]), Effect::External);
    assert_eq!(effect(&[&plain, &yes]), Effect::External);
    assert_eq!(effect(&[&format!("{ABSTAIN}{plain}"), &yes]), Effect::Idempotent);
}

#[test]
fn restrictions_and_ceilings_of_one_that_abstains_hold() {
    let yes = permit("kv = [\"ledger\"]");
    let machine = format!(
        "{ABSTAIN}[[permit]]\nid = \"small\"\nrequire = \"$args.amount <= 5\"\n[limits]\nmemory = \"1MiB\"\n"
    );
    let plan = under(&[&machine, &yes]).plan();
    let row = &plan.rows()[0];
    assert_eq!(row.limits.memory, 1 << 20);
    assert!(plan.check_args(row, &json!({ "amount": 5 })).is_ok());
    assert!(plan.check_args(row, &json!({ "amount": 6 })).is_err());
    let origins = format!("{ABSTAIN}[[permit]]\nid = \"o\"\nforbid_origin = {{ amount = [\"literal\"] }}");
    assert_eq!(under(&[&origins, &yes]).verdict(), "tainted_argument amount: literal");
    let banned = format!("{ABSTAIN}[[forbid]]\nid = \"b\"\ntool = \"t\"");
    assert_eq!(under(&[&banned, &yes]).verdict(), "forbidden f");
    // Time and randomness need no grant, and can be taken away.
    let clocks = format!("{ABSTAIN}[[forbid]]\nid = \"c\"\nclock = \"virtual\"");
    let mut world = under(&[ABSTAIN]);
    (world.manifest, world.imports) = (String::new(), vec![CLOCK]);
    world.manifest = "[capabilities]\nclock = \"virtual\"".into();
    assert_eq!(world.verdict(), "ok");
    world.policies = vec![(clocks, Trust::Trusted)];
    assert_eq!(world.verdict(), "forbidden virtual");
}

#[test]
fn where_names_may_lead_is_left_to_others() {
    let private = MAY_ASK.replace(" }]", ", private = true }]");
    let leads = |policies: &[&str]| {
        let mut world = World::new(API, &[HTTP], "");
        world.policies = policies.iter().map(|text| ((*text).to_owned(), Trust::Trusted)).collect();
        world.plan().rows()[0].grants.http().iter().all(|rule| rule.private)
    };
    assert!(leads(&[ABSTAIN, &permit(&private)]));
    assert!(!leads(&[ABSTAIN, &permit(MAY_ASK)]));
    assert!(!leads(&[&permit(MAY_ASK), &permit(&private)]));
}

#[test]
fn a_row_for_one_component_is_for_no_other() {
    let own = Digest::of(b"component");
    let other = Digest::of(b"another");
    let row =
        |digest: Digest, rest: &str| permit(&format!("tool = \"t\"\ndigest = \"sha256:{digest}\"\n{rest}"));
    assert_eq!(under(&[&row(own, "kv = [\"ledger\"]")]).verdict(), "ok");
    let world = under(&[&row(other, "kv = [\"ledger\"]")]);
    assert_eq!(world.verdict(), "not_granted ledger");
    let denied = world.denied();
    let gap = &denied.gaps()[0];
    assert!(
        gap.message.ends_with("row `r` of policy0.toml permits it to another component"),
        "{}",
        gap.message
    );
    assert!(gap.help.contains(&format!("digest = \"sha256:{own}\"")), "{}", gap.help);
    assert_eq!(
        gap.not_granted_by.as_ref().and_then(|by| by.place.as_ref()).map(ToString::to_string).as_deref(),
        Some("policy0.toml:4")
    );

    // What is said of one component is not said of another.
    let with = |digest: Digest, rest: &str| {
        format!("{}[[permit]]\nid = \"k\"\nkv = [\"ledger\"]", row(digest, rest))
    };
    let vouch = "vouch_idempotent = [\"f\"]";
    assert_eq!(under(&[&with(own, vouch)]).plan().rows()[0].effect, Effect::Idempotent);
    assert_eq!(under(&[&with(other, vouch)]).plan().rows()[0].effect, Effect::External);
    let require = "require = \"$args.amount <= 5\"";
    assert_eq!(under(&[&with(own, require)]).plan().rows()[0].require.len(), 1);
    assert_eq!(under(&[&with(other, require)]).plan().rows()[0].require.len(), 0);

    // A component that is known to be bad.
    let never = |digest: Digest| {
        format!("{}[[forbid]]\nid = \"n\"\ndigest = \"sha256:{digest}\"", permit("kv = [\"ledger\"]"))
    };
    assert_eq!(under(&[&never(own)]).verdict(), "forbidden f");
    assert_eq!(under(&[&never(other)]).verdict(), "ok");
}
