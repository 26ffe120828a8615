mod keys;

use super::*;
use crate::capability::{Host, HttpRule, Method, PathPattern, Scheme, SecretRule, Socket};
use crate::{Diagnostics, ProgramClass};

fn parse(text: &str) -> Result<Policy, Diagnostics> {
    Policy::parse(Source::new("policy.toml", text), "/srv/policies", Trust::Trusted)
}

fn codes(text: &str) -> String {
    match parse(text) {
        Ok(_) => "ok".into(),
        Err(found) => found.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" "),
    }
}

/// A publisher's key, as a string of TOML.
const PEM: &str = "\"-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n-----END PUBLIC KEY-----\\n\"";

#[test]
fn one_line_a_case() {
    let row = |rest: &str| format!("[[permit]]\nid = \"a\"\n{rest}");
    let ban = |rest: &str| format!("[[forbid]]\nid = \"a\"\n{rest}");
    for (text, expect) in [
        (String::new(), "ok"),
        (row(""), "ok"),
        (row("reason = \"r\"\nowner = \"o\"\nprogram = \"p\"\ntool = \"t\"\nfunction = \"f\""), "ok"),
        (
            row("kv = [\"a\"]\nenv = [\"A\"]\nclock = \"real\"\nrandom = \"real\"\nstub = [\"wasi:http/*\"]"),
            "ok",
        ),
        (row("kvs = [\"a\"]"), "unknown_field"),
        (row("tool = \"a b\""), "invalid_field"),
        (row("tool = \"*\""), "invalid_field"),
        (row("tool = \"\""), "invalid_field"),
        (row("clock = \"denied\""), "invalid_field"),
        (row("filesystem = [{ guest = \"/d\", access = \"read\", host = \"/\" }]"), "unknown_field"),
        ("[[permit]]\nkv = [\"a\"]".into(), "invalid_field"),
        ("[[permit]]\nid = \"a b\"".into(), "invalid_field"),
        ("[permit]\nid = \"a\"".into(), "invalid_field"),
        (row("[[forbid]]\nid = \"a\"\ntool = \"t\""), "duplicate_rule"),
        (row("[[forbid]]\nid = \"b\"\ntool = \"t\""), "ok"),
        // What no row speaks of.
        ("otherwise = \"abstain\"".into(), "ok"),
        ("otherwise = \"deny\"".into(), "ok"),
        ("otherwise = \"permit\"".into(), "invalid_field"),
        ("otherwise = true".into(), "invalid_field"),
        // One component alone.
        (row(&format!("digest = \"sha256:{}\"", "a".repeat(64))), "ok"),
        (row(&format!("digest = \"{}\"", "a".repeat(64))), "invalid_field"),
        (row("digest = \"sha256:A\""), "invalid_field"),
        (ban(&format!("digest = \"sha256:{}\"", "a".repeat(64))), "ok"),
        // Ends.
        (row("expires = 2027-06-30"), "ok"),
        (row("expires = 2027-06-30T12:00:00Z"), "ok"),
        (row("expires = 2027-06-30T12:00:00+02:00"), "ok"),
        (row("expires = 2027-06-30T12:00:00"), "invalid_field"),
        (row("expires = 12:00:00"), "invalid_field"),
        (row("expires = \"2027-06-30\""), "invalid_field"),
        // Conditions.
        (row("require = \"$args.amount_cents <= 50000 and not $args.a.b\""), "ok"),
        (row("require = \"$args.amount_cents <=\""), "bad_condition"),
        (row("require = \"$amount <= 5\""), "bad_condition"),
        (row("require = true"), "invalid_field"),
        // Origins.
        (row("forbid_origin = { amount = [\"model\", \"webhook\"], \"to.who\" = [\"input\"] }"), "ok"),
        (row("forbid_origin = { amount = [\"models\"] }"), "invalid_field"),
        (row("forbid_origin = { amount = [1] }"), "invalid_field"),
        (row("forbid_origin = { amount = [] }"), "invalid_field"),
        (row("forbid_origin = { amount = \"model\" }"), "invalid_field"),
        (row("forbid_origin = [\"model\"]"), "invalid_field"),
        (row("vouch_origin = [\"load\"]"), "ok"),
        (row("vouch_origin = true"), "invalid_field"),
        (ban("tool = \"t\"\nforbid_origin = { a = [\"model\"] }"), "invalid_field"),
        (ban("tool = \"t\"\nvouch_origin = [\"f\"]"), "invalid_field"),
        // Forbidding.
        (ban("tool = \"t\""), "ok"),
        (ban("program = \"p\""), "ok"),
        (ban("kv = [\"a\"]"), "ok"),
        (ban(""), "invalid_field"),
        (ban("tool = \"t\"\nexpires = 2027-06-30"), "invalid_field"),
        (ban("tool = \"t\"\nrequire = \"$args.a\""), "invalid_field"),
        (ban("tool = \"t\"\nvouch_idempotent = [\"f\"]"), "invalid_field"),
        // HTTP.
        (row("http = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\" }]"), "ok"),
        (
            row(
                "http = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", private = true }]",
            ),
            "ok",
        ),
        (
            row(
                "http = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", private = 1 }]",
            ),
            "invalid_field",
        ),
        (ban("http = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\" }]"), "ok"),
        (
            ban(
                "http = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", private = true }]",
            ),
            "invalid_field",
        ),
        ("[limits]\nhttp_calls = 4\nhttp_bytes = \"64KiB\"".into(), "ok"),
        // Known, and not enforced yet.
        (
            row(
                "secrets = [{ name = \"k\", header = \"Authorization\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]",
            ),
            "ok",
        ),
        (
            row(
                "secrets = [{ name = \"k\", header = \"Authorization\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\", private = true }]",
            ),
            "unknown_field",
        ),
        (row("publisher = \"y\""), "unknown_publisher"),
        ("[retention]".into(), "unenforceable"),
        // Publishers.
        ("[publishers]".into(), "ok"),
        (format!("[publishers]\na = {PEM}"), "ok"),
        (format!("[publishers]\na = [{PEM}]"), "ok"),
        (format!("{}\n[publishers]\ny = {PEM}", row("publisher = \"y\"")), "ok"),
        (format!("{}\n[publishers]\nx = {PEM}", row("publisher = \"y\"")), "unknown_publisher"),
        ("[publishers]\na = []".into(), "invalid_field"),
        ("[publishers]\na = 1".into(), "invalid_field"),
        ("[publishers]\na = \"ed25519:00\"".into(), "invalid_field"),
        (format!("[publishers]\n\"\" = {PEM}"), "invalid_field"),
        ("unsigned = \"local\"".into(), "ok"),
        ("unsigned = \"any\"".into(), "ok"),
        ("unsigned = \"yes\"".into(), "invalid_field"),
        ("unsigned = true".into(), "invalid_field"),
        // Folders, variables, ceilings.
        ("[folders.t]\n\"/data\" = \"../data\"".into(), "ok"),
        ("[folders.t]\n\"data\" = \"../data\"".into(), "invalid_field"),
        ("[folders.t]\n\"/data\" = \"~/data\"".into(), "invalid_field"),
        ("[folders.t]\n\"/data\" = \"$HOME/data\"".into(), "invalid_field"),
        ("[folders.t]\n\"/data\" = \"\"".into(), "invalid_field"),
        ("[folders.t]\n\"/data\" = \"../../../data\"".into(), "invalid_field"),
        ("[folders.t]\n\"/data\" = 1".into(), "invalid_field"),
        ("[folders]\n\"/data\" = \"../data\"".into(), "invalid_field"),
        ("[env.t]\nREGION = \"eu\"".into(), "ok"),
        ("[env.t]\nREGION = 1".into(), "invalid_field"),
        ("[env.t]\n\"A B\" = \"x\"".into(), "invalid_field"),
        ("[env.t]\nA = \"\\u0000\"".into(), "invalid_field"),
        ("[limits]\nmemory = \"16MiB\"".into(), "ok"),
        ("[limits]\nmemory = \"0B\"".into(), "invalid_limit"),
        ("[limits]\ncpu = 1".into(), "unknown_field"),
        ("[limits.together]\ncalls = 4\nmemory = \"1GiB\"".into(), "ok"),
        ("[limits.together]\ncalls = 0\nmemory = \"1B\"".into(), "invalid_limit invalid_limit"),
        ("[limits.together]\nfuel = 5".into(), "unknown_field"),
        ("[limits]\ntogether = 4".into(), "invalid_field"),
        ("[permits]".into(), "unknown_field"),
    ] {
        assert_eq!(codes(&text), expect, "{text}");
    }
}

#[test]
fn host_folders_are_absolute_and_normalised() {
    for (text, expect) in [
        ("data", Some("/srv/policies/data")),
        ("../examples/./refund//data/", Some("/srv/examples/refund/data")),
        ("/srv/data", Some("/srv/data")),
        ("..", Some("/srv")),
        ("../..", Some("/")),
        ("../../..", None),
        ("/..", None),
    ] {
        assert_eq!(path::resolve("/srv/policies", text).ok().as_deref(), expect, "{text}");
    }
    assert!(path::resolve("", "data").is_err());
    assert!(path::resolve("policies", "data").is_err());
    assert!(path::resolve("", "/data").is_ok());
}

#[test]
fn a_date_is_the_last_day_of_a_row() {
    let policy = parse("[[permit]]\nid = \"a\"\nkv = [\"k\"]\nexpires = 2027-06-30").expect("a policy");
    let granted = |moment: &str| {
        let tool = ToolName::new("t").expect("a name");
        let today = moment.parse().expect("a moment");
        let subject = Subject {
            class: ProgramClass::Vetted,
            program: "p",
            tool: &tool,
            function: "f",
            component: Digest::of(b""),
            signer: None,
            today,
        };
        let wanted = Capability::Kv("k".into());
        matches!(policy.verdict(subject, Wanted::Capability(&wanted, None)), Verdict::Permitted(_))
    };
    assert!(granted("2026-11-23T00:00:00.000Z"));
    assert!(granted("2027-06-30T23:59:59.999Z"));
    assert!(!granted("2027-07-01T00:00:00.000Z"));
}

#[test]
fn verdicts() {
    let policy = parse(
        r#"
        [[permit]]
        id = "any"
        kv = ["shared"]
        [[permit]]
        id = "bound"
        program = "p"
        tool = "t"
        kv = ["ledger"]
        filesystem = [{ guest = "/data", access = "write" }]
        [[permit]]
        id = "old"
        env = ["OLD"]
        expires = 2020-01-01
        [[permit]]
        id = "one-function"
        function = "g"
        env = ["ONLY_G"]
        [[forbid]]
        id = "never"
        kv = ["secret"]
        filesystem = [{ guest = "/data/keys", access = "read" }]
        [[permit]]
        id = "vain"
        kv = ["secret"]
        "#,
    )
    .expect("a policy");
    let folder = |guest: &str, access| Capability::Filesystem(Folder { guest: guest.into(), access });
    for (program, tool, wanted, expect) in [
        ("q", "u", Capability::Kv("shared".into()), "any"),
        ("p", "t", Capability::Kv("ledger".into()), "bound"),
        ("q", "t", Capability::Kv("ledger".into()), "no row"),
        ("p", "u", Capability::Kv("ledger".into()), "no row"),
        ("p", "t", Capability::Env("OLD".into()), "expired old"),
        ("p", "t", Capability::Env("ONLY_G".into()), "no row, near bound"),
        ("p", "t", Capability::Kv("secret".into()), "forbidden never"),
        ("p", "t", folder("/data/in", Access::Read), "bound"),
        ("p", "t", folder("/data/keys/a", Access::Read), "forbidden never"),
        ("p", "t", folder("/data", Access::Read), "forbidden never"),
        ("p", "t", folder("/dat", Access::Read), "no row, near bound"),
        ("p", "t", Capability::Clock(Clock::Real), "no row, near bound"),
        (
            "p",
            "t",
            Capability::Sockets(Socket { address: [127, 0, 0, 1].into(), port: 7 }),
            "no row, near bound",
        ),
    ] {
        let tool = ToolName::new(tool).expect("a name");
        let today = Timestamp::from_millis(1_800_000_000_000);
        let subject = Subject {
            class: ProgramClass::Vetted,
            program,
            tool: &tool,
            function: "f",
            component: Digest::of(b""),
            signer: None,
            today,
        };
        let verdict = match policy.verdict(subject, Wanted::Capability(&wanted, None)) {
            Verdict::Permitted(rule) => rule.id.clone(),
            Verdict::Forbidden(rule, _) => format!("forbidden {}", rule.id),
            Verdict::Expired(rule) => format!("expired {}", rule.id),
            Verdict::Untrusted(rule) => format!("untrusted {}", rule.id),
            Verdict::OtherComponent(rule) => format!("other component {}", rule.id),
            Verdict::OtherPublisher(rule) => format!("other publisher {}", rule.id),
            Verdict::Abstains => "abstains".into(),
            Verdict::NoRow(None) => "no row".into(),
            Verdict::NoRow(Some(rule)) => format!("no row, near {}", rule.id),
        };
        assert_eq!(verdict, expect, "{program} {tool} {wanted}");
    }
}

#[test]
fn a_found_policy_grants_little() {
    let text = r#"
        [[permit]]
        id = "all"
        filesystem = [{ guest = "/data", access = "write" }]
        env = ["A"]
        kv = ["k"]
        clock = "real"
        random = "real"
        sockets = [{ address = "127.0.0.1", port = 7 }]
        secrets = [{ name = "k", header = "a", host = "a.x.test", methods = ["GET"], path = "/" }]
        http = [{ host = "a.test", methods = ["GET"], path = "/**" }]
        stub = ["wasi:sockets/*"]
        vouch_idempotent = ["f"]
        [[forbid]]
        id = "never"
        kv = ["x"]
    "#;
    let policy = |trust| Policy::parse(Source::new("p.toml", text), "/srv/p", trust).expect("a policy");
    let trusted = policy(Trust::Trusted);
    let found = policy(Trust::Found { project: "/srv".into() });
    let tool = ToolName::new("t").expect("a name");
    let subject = Subject {
        class: ProgramClass::Vetted,
        program: "p",
        tool: &tool,
        function: "f",
        component: Digest::of(b""),
        signer: None,
        today: Timestamp::from_millis(0),
    };
    let folder = |access| Capability::Filesystem(Folder { guest: "/data".into(), access });
    let socket = Capability::Sockets(Socket { address: [127, 0, 0, 1].into(), port: 7 });
    let http = Capability::Http(HttpRule {
        scheme: Scheme::Https,
        host: Host::parse("a.test").expect("a host"),
        port: 443,
        methods: [Method::Get].into(),
        path: PathPattern::parse("/").expect("a path"),
        private: false,
    });
    let secret = Capability::Secrets(SecretRule {
        name: "k".into(),
        header: "a".into(),
        host: Host::parse("a.x.test").expect("a host"),
        methods: [Method::Get].into(),
        path: PathPattern::parse("/").expect("a path"),
    });
    let granted = |policy: &Policy, wanted: Wanted<'_>| {
        matches!(policy.verdict(subject, wanted), Verdict::Permitted(_))
    };
    for (capability, host, expect) in [
        (folder(Access::Read), Some("/srv/data"), true),
        (folder(Access::Read), Some("/srv"), true),
        (folder(Access::Read), Some("/srvshop"), false),
        (folder(Access::Read), Some("/etc"), false),
        (folder(Access::Read), None, false),
        (folder(Access::Write), Some("/srv/data"), false),
        (Capability::Kv("k".into()), None, true),
        (Capability::Env("A".into()), None, false),
        (Capability::Clock(Clock::Virtual), None, true),
        (Capability::Clock(Clock::Real), None, false),
        (Capability::Random(Random::Seeded), None, true),
        (Capability::Random(Random::Real), None, false),
        (socket, None, false),
        (http, None, false),
        (secret, None, false),
    ] {
        let wanted = Wanted::Capability(&capability, host);
        assert_eq!(granted(&found, wanted), expect, "{capability} {host:?}");
        assert!(granted(&trusted, wanted), "the control: {capability}");
    }
    let import = Import { name: "wasi:sockets/tcp@0.2.6".into(), functions: Vec::new() };
    assert!(granted(&trusted, Wanted::Stub(&import)));
    assert!(!granted(&found, Wanted::Stub(&import)));
    assert!(trusted.vouches(subject).is_some());
    assert!(found.vouches(subject).is_none());
    let forbidden = Capability::Kv("x".into());
    assert!(matches!(found.verdict(subject, Wanted::Capability(&forbidden, None)), Verdict::Forbidden(..)));
}

#[test]
fn the_built_in_policy_grants_nothing() {
    let tool = ToolName::new("t").expect("a name");
    let subject = Subject {
        class: ProgramClass::Vetted,
        program: "p",
        tool: &tool,
        function: "f",
        component: Digest::of(b""),
        signer: None,
        today: Timestamp::from_millis(0),
    };
    let wanted = Capability::Kv("k".into());
    assert!(matches!(
        Policy::none().verdict(subject, Wanted::Capability(&wanted, None)),
        Verdict::NoRow(None)
    ));
}
