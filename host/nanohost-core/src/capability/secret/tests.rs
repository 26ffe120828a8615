use proptest::prelude::*;

use super::*;

fn rule(name: &str, header: &str, host: &str, methods: &[Method], path: &str) -> SecretRule {
    SecretRule {
        name: name.into(),
        header: header.into(),
        host: Host::parse(host).expect("a host"),
        methods: methods.iter().copied().collect(),
        path: PathPattern::parse(path).expect("a path"),
    }
}

fn target(method: &str, scheme: &str, authority: &str, path: &str) -> HttpTarget {
    HttpTarget::parse(method, scheme, authority, path).expect("a target")
}

#[test]
fn never_in_the_clear_but_to_this_machine_by_address() {
    let allows = |host: &str, scheme: &str, authority: &str| {
        let path = "/v1/refunds";
        rule("k", "authorization", host, &[Method::Post], "/v1/**")
            .allows(&target("POST", scheme, authority, path))
    };
    assert!(allows("api.x.test", "https", "api.x.test"));
    assert!(allows("api.x.test", "https", "api.x.test:8443"));
    assert!(allows("*.x.test", "https", "api.x.test"));
    assert!(allows("127.0.0.1", "http", "127.0.0.1:8080"));
    assert!(allows("[::1]", "http", "[::1]:8080"));
    assert!(!allows("api.x.test", "http", "api.x.test"));
    assert!(!allows("localhost", "http", "localhost:8080"));
    assert!(!allows("10.0.0.1", "http", "10.0.0.1"));
    assert!(!allows("*.x.test", "https", "x.test"));
    assert!(!allows("api.x.test", "https", "api.x.test.evil.test"));
}

#[test]
fn every_part_of_a_rule_counts() {
    let own = rule("k", "authorization", "api.x.test", &[Method::Post], "/v1/**");
    assert!(own.allows(&target("POST", "https", "api.x.test", "/v1/a")));
    assert!(!own.allows(&target("GET", "https", "api.x.test", "/v1/a")));
    assert!(!own.allows(&target("POST", "https", "b.x.test", "/v1/a")));
    assert!(!own.allows(&target("POST", "https", "api.x.test", "/v2/a")));
    assert_eq!(own.to_string(), "k in authorization of POST api.x.test/v1/**");
}

#[test]
fn names() {
    for (text, expect) in [
        ("refund-key", true),
        ("a.b_c-1", true),
        ("", false),
        ("-a", false),
        ("Key", false),
        ("a b", false),
        ("a/b", false),
    ] {
        assert_eq!(is_secret_name(text), expect, "{text}");
    }
    assert!(!is_secret_name(&"a".repeat(65)));
}

fn rules() -> impl Strategy<Value = SecretRule> {
    (
        prop::sample::select(vec!["k", "l"]),
        prop::sample::select(vec!["authorization", "x-key"]),
        prop::sample::select(vec!["a.x.test", "b.a.x.test", "*.x.test", "*.a.x.test"]),
        prop::collection::btree_set(prop::sample::select(vec![Method::Get, Method::Post]), 1..3),
        prop::sample::select(vec!["/**", "/v1", "/v1/**", "/v1/a"]),
    )
        .prop_map(|(name, header, host, methods, path)| SecretRule {
            methods,
            ..rule(name, header, host, &[], path)
        })
}

proptest! {
    #[test]
    fn the_lattice(a in rules(), b in rules(), c in rules()) {
        let request = target("POST", "https", "b.a.x.test", "/v1/a");
        prop_assert!(a.covers(&a));
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        if let Some(meet) = a.meet(&b) {
            prop_assert!(a.covers(&meet) && b.covers(&meet));
            prop_assert_eq!(meet.allows(&request), a.allows(&request) && b.allows(&request));
        }
        if a.covers(&c) && b.covers(&c) {
            prop_assert!(a.meet(&b).is_some_and(|meet| meet.covers(&c)));
        }
        if a.covers(&b) {
            prop_assert!(!b.allows(&request) || a.allows(&request));
        }
    }
}
