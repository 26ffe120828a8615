use super::*;

fn folder(guest: &str, access: Access) -> Capability {
    Capability::Filesystem(Folder { guest: guest.into(), access })
}

fn kv(name: &str) -> Capability {
    Capability::Kv(name.into())
}

fn http(host: &str, methods: &[Method], path: &str, private: bool) -> Capability {
    Capability::Http(HttpRule {
        scheme: Scheme::Https,
        host: Host::parse(host).expect("a host"),
        port: 443,
        methods: methods.iter().copied().collect(),
        path: PathPattern::parse(path).expect("a path"),
        private,
    })
}

fn samples() -> Vec<Capability> {
    use Access::{Read, Write};
    let socket = |port| Capability::Sockets(Socket { address: IpAddr::from([127, 0, 0, 1]), port });
    vec![
        folder("/", Read),
        folder("/data", Read),
        folder("/data", Write),
        folder("/data/in", Read),
        folder("/data/in", Write),
        folder("/database", Write),
        Capability::Env("REGION".into()),
        Capability::Env("REGIONS".into()),
        kv("REGION"),
        kv("ledger"),
        Capability::Clock(Clock::Denied),
        Capability::Clock(Clock::Virtual),
        Capability::Clock(Clock::Real),
        Capability::Random(Random::Denied),
        Capability::Random(Random::Seeded),
        Capability::Random(Random::Real),
        socket(7),
        socket(8),
        http("a.test", &[Method::Get], "/v1/**", false),
        http("a.test", &[Method::Get, Method::Post], "/v1/a", false),
        http("*.a.test", &[Method::Post], "/**", false),
        http("b.a.test", &[Method::Post], "/**", true),
        http("b.a.test", &[Method::Post, Method::Get], "/v1/a", false),
    ]
}

#[test]
fn covering() {
    use Access::{Read, Write};
    for (wide, narrow, expect) in [
        (folder("/data", Read), folder("/data", Read), true),
        (folder("/data", Write), folder("/data", Read), true),
        (folder("/data", Read), folder("/data", Write), false),
        (folder("/data", Read), folder("/data/in", Read), true),
        (folder("/data/in", Write), folder("/data", Read), false),
        (folder("/data", Write), folder("/database", Read), false),
        (folder("/", Read), folder("/data", Read), true),
        (kv("a"), kv("a"), true),
        (kv("a"), kv("ab"), false),
        (kv("a"), Capability::Env("a".into()), false),
        (Capability::Clock(Clock::Real), Capability::Clock(Clock::Virtual), true),
        (Capability::Clock(Clock::Virtual), Capability::Clock(Clock::Real), false),
        (Capability::Random(Random::Seeded), Capability::Random(Random::Real), false),
    ] {
        assert_eq!(wide.covers(&narrow), expect, "{wide} covers {narrow}");
    }
}

#[test]
fn a_meet_is_covered_by_both_and_nothing_between_is_lost() {
    for a in samples() {
        assert!(a.covers(&a), "{a}");
        for b in samples() {
            assert_eq!(a.meet(&b), b.meet(&a), "{a}, {b}");
            if let Some(meet) = a.meet(&b) {
                assert!(a.covers(&meet) && b.covers(&meet), "{a} meet {b} = {meet}");
            }
            for c in samples() {
                if a.covers(&c) && b.covers(&c) {
                    assert!(a.meet(&b).is_some_and(|meet| meet.covers(&c)), "{a}, {b}, {c}");
                }
                if a.covers(&b) && b.covers(&c) {
                    assert!(a.covers(&c), "{a}, {b}, {c}");
                }
                if b.touches(&c) && a.covers(&b) {
                    assert!(a.touches(&c), "a wider grant than {b} touches {c} too: {a}");
                }
            }
        }
    }
}

#[test]
fn forbidding_looks_both_ways() {
    use Access::{Read, Write};
    for (grant, forbidden, expect) in [
        (folder("/data", Read), folder("/data/keys", Read), true),
        (folder("/data/keys", Read), folder("/data", Read), true),
        (folder("/data", Read), folder("/data", Write), false),
        (folder("/data", Write), folder("/data", Read), true),
        (folder("/data", Write), folder("/database", Read), false),
        (Capability::Clock(Clock::Real), Capability::Clock(Clock::Virtual), true),
        (Capability::Clock(Clock::Virtual), Capability::Clock(Clock::Real), false),
        // Some of what is granted is forbidden, and the reverse.
        (
            http("*.a.test", &[Method::Get, Method::Post], "/**", false),
            http("b.a.test", &[Method::Post], "/admin/**", false),
            true,
        ),
        (
            http("b.a.test", &[Method::Post], "/admin/x", false),
            http("*.a.test", &[Method::Get, Method::Post], "/**", false),
            true,
        ),
        (
            http("b.a.test", &[Method::Post], "/**", true),
            http("*.a.test", &[Method::Post], "/**", false),
            true,
        ),
        (
            http("*.a.test", &[Method::Get], "/**", false),
            http("*.a.test", &[Method::Post], "/**", false),
            false,
        ),
    ] {
        assert_eq!(grant.touches(&forbidden), expect, "{grant} touches {forbidden}");
    }
}

#[test]
fn only_default_time_and_randomness_are_inert() {
    let inert: Vec<String> =
        samples().into_iter().filter(Capability::is_inert).map(|capability| capability.to_string()).collect();
    assert_eq!(inert, ["clock denied", "clock virtual", "random denied", "random seeded"]);
}
