use super::*;
use crate::Diagnostics;

const HEAD: &str = "name = \"t\"\nversion = \"1.0.0\"\n";

fn parse(rest: &str) -> Result<Manifest, Diagnostics> {
    Manifest::parse(Source::new("manifest.toml", format!("{HEAD}{rest}")))
}

/// The codes of all findings with their lines, or `ok`.
fn verdict(rest: &str) -> String {
    match parse(rest) {
        Ok(_) => "ok".into(),
        Err(found) => {
            let line = |finding: &crate::Diagnostic| {
                let (source, span) = (finding.source.as_ref()?, finding.span.as_ref()?);
                Some(source.line_column(span.start).0 - HEAD.lines().count())
            };
            let all: Vec<String> =
                found.iter().map(|one| format!("{}@{}", one.code, line(one).unwrap_or(0))).collect();
            all.join(" ")
        }
    }
}

#[test]
fn one_line_a_case() {
    for (rest, expect) in [
        ("", "ok"),
        ("description = \"d\"\nlicense = \"MIT\"", "ok"),
        ("author = \"x\"", "unknown_field@1"),
        ("descripton = \"x\"\n[capabilities]\nfilesytem = []", "unknown_field@1 unknown_field@3"),
        // Component pins.
        ("component = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"", "ok"),
        (
            "component = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
            "invalid_field@1",
        ),
        ("component = \"sha256:E3B0\"", "invalid_field@1"),
        // Stubs.
        ("stub = [\"wasi:sockets/*\", \"wasi:http/types\"]", "ok"),
        ("stub = [\"wasi:cli/*\"]", "invalid_field@1"),
        ("stub = [\"*\"]", "invalid_field@1"),
        ("stub = \"wasi:sockets/*\"", "invalid_field@1"),
        // Functions.
        ("[functions.issue-refund]\neffect = \"pure\"\npii = [\"input.customer.email\", \"output\"]", "ok"),
        ("[functions.issue-refund]\neffect = \"none\"", "invalid_field@2"),
        ("[functions.issue-refund]\neffects = \"pure\"", "unknown_field@2"),
        ("[functions.issue_refund]\neffect = \"pure\"", "invalid_field@1"),
        ("[functions.f]\npii = [\"customer.email\"]", "invalid_field@2"),
        ("[functions.f]\npii = [\"input..email\"]", "invalid_field@2"),
        // Capabilities.
        ("[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"read\" }]", "ok"),
        ("[capabilities]\nfilesystem = [{ guest = \"/\", access = \"write\" }]", "ok"),
        ("[capabilities]\nfilesystem = [{ guest = \"data\", access = \"read\" }]", "invalid_field@2"),
        ("[capabilities]\nfilesystem = [{ guest = \"/data/../etc\", access = \"read\" }]", "invalid_field@2"),
        ("[capabilities]\nfilesystem = [{ guest = \"/data/\", access = \"read\" }]", "invalid_field@2"),
        ("[capabilities]\nfilesystem = [{ guest = \"/da\\u202Eta\", access = \"read\" }]", "invalid_field@2"),
        ("[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"all\" }]", "invalid_field@2"),
        ("[capabilities]\nfilesystem = [{ guest = \"/data\" }]", "invalid_field@2"),
        (
            "[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"read\", host = \"/etc\" }]",
            "unknown_field@2",
        ),
        (
            "[capabilities]\nfilesystem = [{ guest = \"/d\", access = \"read\" }, { guest = \"/d\", access = \"write\" }]",
            "invalid_field@2",
        ),
        ("[capabilities]\nenv = [\"REGION\"]\nkv = [\"refunds\"]", "ok"),
        ("[capabilities]\nenv = [\"A=B\"]", "invalid_field@2"),
        ("[capabilities]\nenv = [1]", "invalid_field@2"),
        ("[capabilities]\nkv = [\"a\", \"a\"]", "invalid_field@2"),
        ("[capabilities]\nkv = [\"../a\"]", "invalid_field@2"),
        ("[capabilities]\nclock = \"real\"\nrandom = \"denied\"", "ok"),
        ("[capabilities]\nclock = \"yes\"", "invalid_field@2"),
        ("[capabilities]\nclock = true", "invalid_field@2"),
        ("[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 7 }]", "ok"),
        ("[capabilities]\nsockets = [{ address = \"::1\", port = 65535 }]", "ok"),
        ("[capabilities]\nsockets = [{ address = \"localhost\", port = 7 }]", "invalid_field@2"),
        ("[capabilities]\nsockets = [{ address = \"0.0.0.0\", port = 7 }]", "invalid_field@2"),
        ("[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 0 }]", "invalid_field@2"),
        ("[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 65536 }]", "invalid_field@2"),
        ("[capabilities]\nsockets = [{ address = \"127.0.0.1\" }]", "invalid_field@2"),
        // HTTP.
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\" }]",
            "ok",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", scheme = \"http\", port = 8080 }]",
            "ok",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", scheme = \"ftp\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", port = 0 }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", query = \"a\" }]",
            "unknown_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", private = true }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\" }, { host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\", port = 443 }]",
            "invalid_field@2",
        ),
        ("[capabilities]\nhttp = [{ host = \"a.test\", methods = [\"GET\"] }]", "invalid_field@2"),
        ("[capabilities]\nhttp = [{ host = \"a.test\", path = \"/\" }]", "invalid_field@2"),
        ("[capabilities]\nhttp = [{ methods = [\"GET\"], path = \"/\" }]", "invalid_field@2"),
        ("[capabilities]\nhttp = [{ host = \"*\", methods = [\"GET\"], path = \"/\" }]", "invalid_field@2"),
        ("[capabilities]\nhttp = [{ host = \"a.test\", methods = [], path = \"/\" }]", "invalid_field@2"),
        (
            "[capabilities]\nhttp = [{ host = \"a.test\", methods = [\"get\"], path = \"/\" }]",
            "invalid_field@2 invalid_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"a.test\", methods = [\"CONNECT\", \"GET\"], path = \"/\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nhttp = [{ host = \"a.test\", methods = [\"GET\"], path = \"/*/a\" }]",
            "invalid_field@2",
        ),
        ("[capabilities]\nhttp = [\"a.test\"]", "invalid_field@2"),
        ("[limits]\nhttp_calls = 4\nhttp_bytes = \"1MiB\"", "ok"),
        ("[limits]\nhttp_calls = 0\nhttp_bytes = \"1GiB\"", "invalid_limit@2 invalid_limit@3"),
        // Secrets.
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"Authorization\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]",
            "ok",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"Authorization\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\", scheme = \"http\" }]",
            "unknown_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"Authorization\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\", value = \"x\" }]",
            "unknown_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"K\", header = \"a\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"Host\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"a b\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\", header = \"a\", host = \"*\", methods = [\"GET\"], path = \"/\" }]",
            "invalid_field@2",
        ),
        (
            "[capabilities]\nsecrets = [{ name = \"k\" }]",
            "invalid_field@2 invalid_field@2 invalid_field@2 invalid_field@2",
        ),
        // Limits.
        (
            "[limits]\nmemory = \"32MiB\"\nfuel = 5_000\ndeadline = \"500ms\"\noutput = \"1B\"\nlogs = \"64KiB\"",
            "ok",
        ),
        ("[limits]\nmemory = \"0MiB\"", "invalid_limit@2"),
        ("[limits]\nmemory = \"5GiB\"", "invalid_limit@2"),
        ("[limits]\nmemory = \"32MB\"", "invalid_limit@2"),
        ("[limits]\nmemory = \"32 MiB\"", "invalid_limit@2"),
        ("[limits]\nmemory = \"-1MiB\"", "invalid_limit@2"),
        ("[limits]\nmemory = \"99999999999999999999GiB\"", "invalid_limit@2"),
        ("[limits]\nmemory = 33554432", "invalid_limit@2"),
        ("[limits]\nfuel = 0", "invalid_limit@2"),
        ("[limits]\nfuel = -1", "invalid_limit@2"),
        ("[limits]\nfuel = 9_000_000_000_000_000_000", "invalid_limit@2"),
        ("[limits]\nfuel = \"5000\"", "invalid_limit@2"),
        ("[limits]\ndeadline = \"0s\"", "invalid_limit@2"),
        ("[limits]\ndeadline = \"61min\"", "invalid_limit@2"),
        ("[limits]\ndeadline = \"2\"", "invalid_limit@2"),
        ("[limits]\noutput = \"1GiB\"", "invalid_limit@2"),
        ("[limits]\nlogs = \"0B\"", "invalid_limit@2"),
        ("[limits]\ncpu = 1", "unknown_field@2"),
        ("[limits]\nfile_bytes = \"1MiB\"\nkv_bytes = \"1MiB\"\nkv_held = \"1GiB\"", "ok"),
        (
            "[limits]\nfile_bytes = \"0B\"\nkv_bytes = \"65MiB\"\nkv_held = 5",
            "invalid_limit@2 invalid_limit@3 invalid_limit@4",
        ),
        // For an operator to say.
        ("[limits.together]\ncalls = 1", "unknown_field@1"),
    ] {
        assert_eq!(verdict(rest), expect, "{rest}");
    }
}

#[test]
fn name_and_version_are_needed_and_well_formed() {
    for (text, expect) in [
        ("name = \"refund-api\"\nversion = \"1.2.0\"", true),
        ("name = \"refund-api\"", false),
        ("version = \"1.2.0\"", false),
        ("name = \"refund api\"\nversion = \"1.2.0\"", false),
        ("name = \"refund-api\"\nversion = \"\"", false),
        ("name = \"refund-api\"\nversion = \"1\\u001b[31m\"", false),
        ("", false),
        ("name = ", false),
    ] {
        assert_eq!(Manifest::parse(Source::new("manifest.toml", text)).is_ok(), expect, "{text}");
    }
}

#[test]
fn defaults_are_finite_and_reach_nothing() {
    let manifest = parse("").expect("a manifest");
    let asks: Vec<String> = manifest.asks().iter().map(|ask| ask.capability.to_string()).collect();
    assert_eq!(asks, ["clock virtual", "random seeded"]);
    assert_eq!(manifest.limits(), limits::DEFAULT_LIMITS);
    assert_eq!(manifest.digest(), Digest::of(HEAD.as_bytes()));
}

#[test]
fn values_arrive() {
    let manifest = parse(
        "stub = [\"wasi:sockets/*\"]\n[functions.f]\neffect = \"idempotent\"\npii = [\"input.a\"]\n\
         [capabilities]\nkv = [\"b\"]\nfilesystem = [{ guest = \"/data\", access = \"write\" }]\nclock = \"real\"\n\
         [limits]\nmemory = \"32MiB\"\ndeadline = \"2min\"",
    )
    .expect("a manifest");
    let asks: Vec<String> = manifest.asks().iter().map(|ask| ask.capability.to_string()).collect();
    assert_eq!(asks, ["filesystem /data (write)", "kv b", "clock real", "random seeded"]);
    assert_eq!(manifest.function("f").and_then(|function| function.effect), Some(Effect::Idempotent));
    assert_eq!(manifest.limits().memory, 32 << 20);
    assert_eq!(manifest.limits().deadline.as_secs(), 120);
    assert_eq!(manifest.stubs()[0].value.to_string(), "wasi:sockets/*");
    let place = manifest.asks()[1].span.clone().expect("a place");
    assert_eq!(&manifest.source().text[place], "\"b\"");
}
