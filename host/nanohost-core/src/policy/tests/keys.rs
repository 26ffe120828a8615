//! Every key of manifests and policies, known from what reads them, with a test that fails where the
//! key is not enforced. A key that is read and has no such test fails here; so does a test that is
//! named here and is not there any more.

use std::fs;
use std::path::Path;

use super::*;
use crate::ProgramClass;
use crate::document::asked::{Asked, during};
use crate::facts::Import;
use crate::manifest::Manifest;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is enforced: without that, the test fails.
    Enforced,
    /// People read it; no grant depends on it.
    Said,
    /// It is known and refused: the test shows that.
    Refused,
}
use Fate::{Enforced, Refused, Said};

/// A kind of table, some of its keys, what becomes of them, and the test: a file below `host/`, and a
/// function in it.
type Named = (&'static str, &'static [&'static str], Fate, &'static str, &'static str);

/// Every key of a manifest, each in some table.
const MANIFEST: &str = r#"
name = "t"
version = "1.0.0"
description = "d"
license = "MIT"
component = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
stub = ["wasi:sockets/*"]
[functions.f]
description = "d"
effect = "pure"
pii = ["input.a"]
[capabilities]
filesystem = [{ guest = "/data", access = "read" }]
env = ["A"]
kv = ["k"]
clock = "real"
random = "real"
sockets = [{ address = "127.0.0.1", port = 7 }]
http = [{ scheme = "https", host = "a.test", port = 443, methods = ["GET"], path = "/" }]
secrets = [{ name = "k", header = "a", host = "a.test", methods = ["GET"], path = "/" }]
[limits]
memory = "1MiB"
fuel = 1
deadline = "1s"
output = "1KiB"
logs = "1KiB"
http_calls = 1
http_bytes = "1KiB"
file_bytes = "1KiB"
kv_bytes = "1KiB"
kv_held = "1KiB"
"#;

/// Every key of a policy, each in some table.
const POLICY: &str = r#"
otherwise = "deny"
unsigned = "local"
unsaved = "run"
[[permit]]
id = "p"
class = "saved"
reason = "r"
owner = "o"
expires = 2027-06-30
program = "p"
tool = "t"
function = "f"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
publisher = "a"
filesystem = [{ guest = "/data", access = "read" }]
env = ["A"]
kv = ["k"]
clock = "real"
random = "real"
sockets = [{ address = "127.0.0.1", port = 7 }]
http = [{ scheme = "https", host = "a.test", port = 443, methods = ["GET"], path = "/", private = true }]
secrets = [{ name = "k", header = "a", host = "a.test", methods = ["GET"], path = "/" }]
stub = ["wasi:sockets/*"]
vouch_idempotent = ["f"]
vouch_origin = ["f"]
require = "$args.a == 1"
forbid_origin = { a = ["model"] }
[[forbid]]
id = "f"
class = "saved"
reason = "r"
owner = "o"
program = "p"
tool = "t"
function = "f"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
publisher = "a"
filesystem = [{ guest = "/data", access = "read" }]
env = ["A"]
kv = ["k"]
clock = "real"
random = "real"
sockets = [{ address = "127.0.0.1", port = 7 }]
http = [{ host = "a.test", methods = ["GET"], path = "/" }]
secrets = [{ name = "k", header = "a", host = "a.test", methods = ["GET"], path = "/" }]
stub = ["wasi:sockets/*"]
[publishers]
a = """
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
"""
[folders.t]
"/data" = "/srv/data"
[env.t]
A = "b"
[roles]
approver = ["dana"]
[models.fast]
provider = "openai"
base_url = "https://a.test/v1"
model = "m"
key_env = "K"
pii = "never"
saved = true
temperature = 0.5
top_p = 0.5
max_tokens = 5
seed = 7
timeout = "1s"
answer = "1KiB"
[models.slow]
provider = "openai"
base_url = "https://a.test/v1"
model = "m"
max_completion_tokens = 5
[limits]
memory = "1MiB"
fuel = 1
deadline = "1s"
output = "1KiB"
logs = "1KiB"
http_calls = 1
http_bytes = "1KiB"
file_bytes = "1KiB"
kv_bytes = "1KiB"
kv_held = "1KiB"
[limits.together]
calls = 1
memory = "1MiB"
"#;

const ADMIT: &str = "nanohost-core/src/admit/tests.rs";
const CLASSES_OF_PROGRAMS: &str = "nanohost-core/src/admit/tests/classes.rs";
const COMPOSITION: &str = "nanohost-core/src/admit/tests/composition.rs";
const PUBLISHERS: &str = "nanohost-core/src/admit/tests/publishers.rs";
const ROOM: &str = "nanohost-core/src/admit/tests/room.rs";
const MANIFESTS: &str = "nanohost-core/src/manifest/tests.rs";
const POLICIES: &str = "nanohost-core/src/policy/tests.rs";
const HERE: &str = "nanohost-core/src/policy/tests/keys.rs";
const HOSTILE: &str = "nanohost-sandbox/tests/sandbox/hostile.rs";
const FILES: &str = "nanohost-sandbox/tests/sandbox/files.rs";
const HTTP: &str = "nanohost-sandbox/tests/sandbox/http.rs";
const LIMITS: &str = "nanohost-sandbox/tests/sandbox/limits.rs";
const NET: &str = "nanohost-sandbox/tests/sandbox/net.rs";
const QUOTAS: &str = "nanohost-sandbox/tests/sandbox/quotas.rs";
const SECRETS: &str = "nanohost-sandbox/tests/sandbox/secrets.rs";
const WORLD: &str = "nanohost-sandbox/tests/sandbox/world.rs";
const OPENAI: &str = "nanohost/src/model/openai/tests.rs";
const MODEL: &str = "nanohost/tests/cli/model.rs";
const PERSONAL: &str = "nanohost/tests/cli/personal.rs";
const LOCK: &str = "nanohost/tests/cli/lock.rs";
const RESUME: &str = "nanohost-core/src/resume/tests.rs";

/// The tests of a manifest's keys.
const OF_MANIFESTS: &[Named] = &[
    ("a manifest", &["name"], Enforced, POLICIES, "verdicts"),
    ("a manifest", &["version"], Said, LOCK, "a_run_writes_no_lock_and_update_does"),
    ("a manifest", &["description", "license"], Said, MANIFESTS, "one_line_a_case"),
    ("a manifest", &["component"], Enforced, ADMIT, "a_component_pin_that_fits_admits"),
    ("a manifest", &["stub"], Enforced, HTTP, "stubbed_http"),
    ("a manifest", &["functions"], Enforced, ADMIT, "effects"),
    ("a manifest", &["capabilities"], Enforced, ADMIT, "the_program_narrows"),
    ("a manifest", &["limits"], Enforced, ROOM, "what_is_written_has_bounds_and_ceilings"),
    ("a function", &["description"], Said, MANIFESTS, "one_line_a_case"),
    ("a function", &["effect"], Enforced, ADMIT, "effects"),
    ("a function", &["pii"], Enforced, PERSONAL, "personal_data_stays_with_the_tools"),
    ("[capabilities]", &["filesystem"], Enforced, FILES, "write_through_read_grant"),
    ("[capabilities]", &["env"], Enforced, WORLD, "env_snooping"),
    ("[capabilities]", &["kv"], Enforced, WORLD, "kv_undeclared_namespace"),
    ("[capabilities]", &["clock"], Enforced, WORLD, "real_clock"),
    ("[capabilities]", &["random"], Enforced, WORLD, "seeded_random"),
    ("[capabilities]", &["sockets"], Enforced, NET, "another_port_or_address"),
    ("[capabilities]", &["http"], Enforced, HTTP, "another_host_port_method_or_path"),
    ("[capabilities]", &["secrets"], Enforced, SECRETS, "a_secret_goes_where_it_is_granted_and_nowhere_else"),
    ("a folder", &["guest"], Enforced, FILES, "dot_dot_escape"),
    ("a folder", &["access"], Enforced, FILES, "write_through_read_grant"),
    ("a socket", &["address", "port"], Enforced, NET, "another_port_or_address"),
    (
        "a set of requests",
        &["scheme", "host", "port", "methods", "path"],
        Enforced,
        HTTP,
        "another_host_port_method_or_path",
    ),
    ("a set of requests", &["private"], Refused, MANIFESTS, "one_line_a_case"),
    (
        "a secret",
        &["name", "header", "host", "methods", "path"],
        Enforced,
        SECRETS,
        "a_secret_goes_where_it_is_granted_and_nowhere_else",
    ),
    ("[limits]", &["memory"], Enforced, LIMITS, "memory_bomb"),
    ("[limits]", &["fuel"], Enforced, LIMITS, "fuel_bomb"),
    ("[limits]", &["deadline"], Enforced, LIMITS, "endless_loop"),
    ("[limits]", &["output"], Enforced, LIMITS, "huge_return"),
    ("[limits]", &["logs"], Enforced, WORLD, "huge_log"),
    ("[limits]", &["http_calls"], Enforced, HTTP, "too_many_calls"),
    ("[limits]", &["http_bytes"], Enforced, HTTP, "response_bomb"),
    ("[limits]", &["file_bytes"], Enforced, QUOTAS, "disk_bomb"),
    ("[limits]", &["kv_bytes"], Enforced, QUOTAS, "kv_bomb"),
    ("[limits]", &["kv_held"], Enforced, QUOTAS, "kv_space_filled"),
];

/// What rows permit and forbid.
const CLASSES: &[&str] =
    &["filesystem", "env", "kv", "clock", "random", "sockets", "http", "secrets", "stub"];

/// What a row that forbids cannot say.
const NOT_FORBIDDEN: &[&str] = &["expires", "vouch_idempotent", "vouch_origin", "require", "forbid_origin"];

/// Ceilings.
const CEILINGS: &[&str] = &[
    "memory",
    "fuel",
    "deadline",
    "output",
    "logs",
    "http_calls",
    "http_bytes",
    "file_bytes",
    "kv_bytes",
    "kv_held",
];

/// The tests of a policy's keys.
const OF_POLICIES: &[Named] = &[
    (
        "a policy",
        &["otherwise"],
        Enforced,
        COMPOSITION,
        "a_policy_that_abstains_takes_away_and_grants_nothing_of_its_own",
    ),
    ("a policy", &["permit", "forbid"], Enforced, HERE, "each_class_is_given_and_taken_by_rows"),
    ("a policy", &["folders"], Enforced, FILES, "granted_folder"),
    ("a policy", &["env"], Enforced, WORLD, "env_snooping"),
    ("a policy", &["roles"], Enforced, RESUME, "policies_narrow_roles"),
    ("a policy", &["models"], Enforced, MODEL, "a_model_without_a_row_is_refused"),
    ("a policy", &["limits"], Enforced, ROOM, "each_ceiling_counts"),
    (
        "a policy",
        &["publishers", "unsigned"],
        Enforced,
        PUBLISHERS,
        "only_what_a_publisher_of_every_policy_signed_runs",
    ),
    ("a policy", &["unsaved"], Enforced, CLASSES_OF_PROGRAMS, "a_policy_can_refuse_what_nobody_saved"),
    ("a [[permit]] row", &["class"], Enforced, CLASSES_OF_PROGRAMS, "a_row_is_for_one_class_of_programs"),
    ("a [[forbid]] row", &["class"], Enforced, CLASSES_OF_PROGRAMS, "a_row_is_for_one_class_of_programs"),
    ("a policy", &["retention"], Refused, POLICIES, "one_line_a_case"),
    ("a [[permit]] row", &["id"], Enforced, POLICIES, "one_line_a_case"),
    ("a [[permit]] row", &["reason", "owner"], Said, ADMIT, "a_gap_shows_both_causes"),
    ("a [[permit]] row", &["expires"], Enforced, POLICIES, "a_date_is_the_last_day_of_a_row"),
    ("a [[permit]] row", &["program", "tool", "function"], Enforced, POLICIES, "verdicts"),
    ("a [[permit]] row", &["digest"], Enforced, COMPOSITION, "a_row_for_one_component_is_for_no_other"),
    ("a [[permit]] row", CLASSES, Enforced, HERE, "each_class_is_given_and_taken_by_rows"),
    ("a [[permit]] row", &["vouch_idempotent"], Enforced, ADMIT, "effects"),
    (
        "a [[permit]] row",
        &["vouch_origin", "forbid_origin"],
        Enforced,
        ADMIT,
        "arguments_come_from_nowhere_that_a_row_forbids",
    ),
    ("a [[permit]] row", &["require"], Enforced, ADMIT, "arguments"),
    ("a [[permit]] row", &["publisher"], Enforced, PUBLISHERS, "a_row_for_a_publisher_is_for_no_other"),
    ("a [[forbid]] row", &["id"], Enforced, POLICIES, "one_line_a_case"),
    ("a [[forbid]] row", &["reason", "owner"], Said, ADMIT, "a_gap_shows_both_causes"),
    (
        "a [[forbid]] row",
        &["program", "tool", "function"],
        Enforced,
        HERE,
        "each_class_is_given_and_taken_by_rows",
    ),
    ("a [[forbid]] row", &["digest"], Enforced, COMPOSITION, "a_row_for_one_component_is_for_no_other"),
    ("a [[forbid]] row", &["publisher"], Enforced, PUBLISHERS, "a_row_for_a_publisher_is_for_no_other"),
    ("a [[forbid]] row", CLASSES, Enforced, HERE, "each_class_is_given_and_taken_by_rows"),
    ("a [[forbid]] row", NOT_FORBIDDEN, Refused, HERE, "what_a_forbid_row_cannot_say_is_refused"),
    ("a folder", &["guest", "access"], Enforced, POLICIES, "verdicts"),
    ("a socket", &["address", "port"], Enforced, HERE, "each_part_of_a_rule_has_to_fit"),
    (
        "a set of requests",
        &["scheme", "host", "port", "methods", "path"],
        Enforced,
        HERE,
        "each_part_of_a_rule_has_to_fit",
    ),
    ("a set of requests", &["private"], Enforced, HTTP, "name_of_private_address"),
    (
        "a secret",
        &["name", "header", "host", "methods", "path"],
        Enforced,
        HERE,
        "each_part_of_a_rule_has_to_fit",
    ),
    (
        "[models]",
        &["provider", "base_url", "model"],
        Enforced,
        OPENAI,
        "a_request_goes_where_the_row_says_and_holds_what_it_says",
    ),
    ("[models]", &["key_env"], Enforced, MODEL, "without_its_key_nothing_begins"),
    ("[models]", &["pii"], Enforced, PERSONAL, "a_model_that_may_never_see_personal_data_is_not_asked"),
    (
        "[models]",
        &["temperature", "top_p", "max_tokens", "max_completion_tokens", "seed"],
        Enforced,
        OPENAI,
        "each_parameter_is_sent_where_it_is_said",
    ),
    (
        "[models]",
        &["saved"],
        Enforced,
        "nanohost-core/src/admit/model/tests.rs",
        "a_saved_program_asks_only_models_whose_row_says_so",
    ),
    ("[models]", &["timeout"], Enforced, OPENAI, "time_is_up_for_the_step_or_for_the_row"),
    ("[models]", &["answer"], Enforced, OPENAI, "what_servers_do_and_what_comes_of_it"),
    ("[limits]", CEILINGS, Enforced, ROOM, "each_ceiling_counts"),
    ("[limits]", &["together"], Enforced, QUOTAS, "calls_wait_for_room"),
    ("[limits.together]", &["calls", "memory"], Enforced, QUOTAS, "calls_wait_for_room"),
];

/// Holds the keys that a reader asked for against the tests that are named for them; what is wrong.
fn compare(asked: &Asked, named: &[Named]) -> Vec<String> {
    let all = || {
        let each = named.iter();
        each.flat_map(|(table, keys, fate, ..)| keys.iter().map(move |key| (*table, *key, *fate)))
    };
    let mut wrong = Vec::new();
    for ((table, key), is_there) in asked {
        let own = all().filter(|own| (own.0, own.1) == (table, *key));
        match own.map(|own| own.2).collect::<Vec<_>>().as_slice() {
            [] => wrong.push(format!("no test is named for `{key}` of {table}")),
            [Refused] if *is_there => {
                wrong.push(format!("`{key}` of {table} is read, and named as refused"));
            }
            [Enforced | Said] if !is_there => {
                wrong.push(format!("the document lacks `{key}` of {table}"));
            }
            [_] => {}
            _ => wrong.push(format!("`{key}` of {table} is named twice")),
        }
    }
    for (table, key, _) in all() {
        if !asked.contains_key(&(table.to_owned(), key)) {
            wrong.push(format!("nothing reads `{key}` of {table}"));
        }
    }
    wrong
}

/// The tests that are named and not there, or that do not speak of the keys they are named for.
fn missing(named: &[Named]) -> Vec<String> {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The sandbox's tests of what is hostile are the rows of one table.
    let table = fs::read_to_string(host.join(HOSTILE)).unwrap_or_default();
    let rows = table.rsplit("hostile! {").next().unwrap_or_default();
    let hostile: Vec<&str> = rows.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut wrong = Vec::new();
    for (table, keys, fate, file, test) in named {
        let text = fs::read_to_string(host.join(file)).unwrap_or_default();
        if !is_test(&text, test) && !hostile.contains(test) {
            wrong.push(format!("{file} has no test `{test}`, named for {keys:?} of {table}"));
        }
        if *fate == Enforced && !keys.iter().any(|key| text.contains(key)) {
            wrong.push(format!("{file} does not speak of {keys:?}"));
        }
    }
    wrong
}

/// Whether a function is there and the line above it says that it is a test.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(&format!("fn {name}(")));
    let above = at.and_then(|at| lines.get(at.checked_sub(1)?));
    above.is_some_and(|line| line.trim_start().starts_with("#[") && line.contains("test"))
}

#[test]
fn every_key_of_a_manifest_has_a_test() {
    let asked = during(|| {
        Manifest::parse(Source::new("manifest.toml", MANIFEST)).expect("every key is one");
    });
    assert_eq!(compare(&asked, OF_MANIFESTS), [""; 0]);
    assert_eq!(missing(OF_MANIFESTS), [""; 0]);
}

#[test]
fn every_key_of_a_policy_has_a_test() {
    let asked = during(|| {
        parse(POLICY).expect("every key is one");
    });
    assert_eq!(compare(&asked, OF_POLICIES), [""; 0]);
    assert_eq!(missing(OF_POLICIES), [""; 0]);
}

#[test]
fn what_has_no_test_is_found_out() {
    let asked = during(|| {
        parse("[limits]\nmemory = \"1MiB\"").expect("a policy");
    });
    let without: Vec<Named> = OF_POLICIES.iter().filter(|named| named.1 != CEILINGS).copied().collect();
    let found = compare(&asked, &without);
    assert!(found.contains(&"no test is named for `memory` of [limits]".to_owned()), "{found:?}");
    let gone: Named = ("[limits]", &["memory"], Enforced, ROOM, "nobody_wrote_this");
    assert_eq!(missing(&[gone]).len(), 1);
    // A function that is no test is none.
    let helper: Named = ("[limits]", &["memory"], Enforced, ROOM, "bounded");
    assert_eq!(missing(&[helper]).len(), 1);
}

/// What permits gives, what forbids takes where it is bound to the subject, and neither touches another
/// class.
#[test]
fn each_class_is_given_and_taken_by_rows() {
    let import = Import { name: "wasi:sockets/tcp@0.2.6".into(), functions: Vec::new() };
    let of = |line: &str| row_of(line).capabilities.first().map(|own| own.value.clone());
    let lines = [
        "filesystem = [{ guest = \"/data\", access = \"read\" }]",
        "env = [\"A\"]",
        "kv = [\"k\"]",
        "clock = \"real\"",
        "random = \"real\"",
        "sockets = [{ address = \"127.0.0.1\", port = 7 }]",
        "http = [{ host = \"a.test\", methods = [\"GET\"], path = \"/\" }]",
        "secrets = [{ name = \"k\", header = \"a\", host = \"a.test\", methods = [\"GET\"], path = \"/\" }]",
        "stub = [\"wasi:sockets/*\"]",
    ];
    let keys: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, CLASSES);
    let capabilities: Vec<Option<Capability>> = lines.iter().map(|line| of(line)).collect();
    let wanted: Vec<Wanted<'_>> = capabilities
        .iter()
        .map(|own| match own {
            Some(own) => Wanted::Capability(own, Some("/srv/data")),
            None => Wanted::Stub(&import),
        })
        .collect();
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
    for (at, line) in lines.iter().enumerate() {
        let permit = format!("[[permit]]\nid = \"p\"\n{line}\n");
        for (other, wanted) in wanted.iter().enumerate() {
            let verdict = |text: &str| match parse(text).expect("a policy").verdict(subject, *wanted) {
                Verdict::Permitted(_) => "permitted",
                Verdict::Forbidden(..) => "forbidden",
                _ => "no row",
            };
            assert_eq!(verdict(&permit), if at == other { "permitted" } else { "no row" }, "{line}");
            for (bound, binds) in [
                ("", true),
                ("program = \"p\"", true),
                ("tool = \"t\"", true),
                ("function = \"f\"", true),
                ("program = \"q\"", false),
                ("tool = \"u\"", false),
                ("function = \"g\"", false),
            ] {
                let both = format!("{permit}[[forbid]]\nid = \"f\"\n{bound}\n{line}\n");
                let expect = match (at == other, binds) {
                    (true, true) => "forbidden",
                    (true, false) => "permitted",
                    (false, _) => "no row",
                };
                assert_eq!(verdict(&both), expect, "{bound} {line}");
            }
        }
    }
}

/// The row that permits this line.
fn row_of(line: &str) -> Rule {
    parse(&format!("[[permit]]\nid = \"x\"\n{line}")).expect("a policy").rules()[0].clone()
}

#[test]
fn each_part_of_a_rule_has_to_fit() {
    let of = |line: &str| row_of(line).capabilities[0].value.clone();
    for (rule, parts) in [
        (
            "http = [{ scheme = \"https\", host = \"a.test\", port = 443, methods = [\"GET\"], path = \"/v1\" }]",
            &[
                ("\"https\"", "\"http\""),
                ("a.test", "b.test"),
                ("443", "444"),
                ("GET", "POST"),
                ("/v1", "/v2"),
            ][..],
        ),
        (
            "secrets = [{ name = \"key\", header = \"x-key\", host = \"a.test\", methods = [\"GET\"], path = \"/v1\" }]",
            &[
                ("\"key\"", "\"other\""),
                ("x-key", "x-other"),
                ("a.test", "b.test"),
                ("GET", "POST"),
                ("/v1", "/v2"),
            ],
        ),
        ("sockets = [{ address = \"127.0.0.1\", port = 7 }]", &[("127.0.0.1", "127.0.0.2"), ("= 7", "= 8")]),
    ] {
        let own = of(rule);
        assert!(own.covers(&of(rule)));
        for (from, to) in parts {
            let other = of(&rule.replace(from, to));
            assert!(!own.covers(&other) && !other.covers(&own), "{other}");
        }
    }
}

#[test]
fn what_a_forbid_row_cannot_say_is_refused() {
    let lines = [
        "expires = 2027-06-30",
        "vouch_idempotent = [\"f\"]",
        "vouch_origin = [\"f\"]",
        "require = \"$args.a == 1\"",
        "forbid_origin = { a = [\"model\"] }",
    ];
    assert_eq!(lines.map(|line| line.split(' ').next().unwrap_or_default()), NOT_FORBIDDEN);
    assert_eq!(codes("[[forbid]]\nid = \"f\"\ntool = \"t\""), "ok");
    for line in lines {
        assert_eq!(
            codes(&format!("[[forbid]]\nid = \"f\"\ntool = \"t\"\n{line}")),
            "invalid_field",
            "{line}"
        );
    }
}
