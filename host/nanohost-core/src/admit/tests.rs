mod classes;
mod composition;
mod publishers;
mod room;
mod shared;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::capability::{Capability, Effect, Random};
use crate::facts::{Import, ToolExport};
use crate::policy::Trust;
use crate::{Format, Program, Source};

const FILES: &str = "wasi:filesystem/types@0.2.6";
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.6";
const TCP: &str = "wasi:sockets/tcp@0.2.6";
const KV: &str = "nanohost:tool/kv@0.1.0";
const CLOCK: &str = "wasi:clocks/wall-clock@0.2.6";
const RANDOM: &str = "wasi:random/random@0.2.6";
const ENV: &str = "wasi:cli/environment@0.2.6";
const STDOUT: &str = "wasi:cli/stdout@0.2.6";
const HTTP: &str = "wasi:http/outgoing-handler@0.2.6";

/// One tool `t` with the function `f(amount: …, order: {id})`, called by the one step of program `p`.
struct World {
    manifest: String,
    imports: Vec<&'static str>,
    policies: Vec<(String, Trust)>,
    /// The inside of the program's `grant`.
    grant: Option<String>,
    today: &'static str,
}

impl World {
    fn new(manifest: &str, imports: &[&'static str], policy: &str) -> Self {
        Self {
            manifest: manifest.into(),
            imports: imports.to_vec(),
            policies: vec![(policy.into(), Trust::Trusted)],
            grant: None,
            today: "2026-11-23T00:00:00.000Z",
        }
    }

    fn granting(mut self, grant: &str) -> Self {
        self.grant = Some(grant.into());
        self
    }

    fn and(mut self, policy: &str, trust: Trust) -> Self {
        self.policies.push((policy.into(), trust));
        self
    }

    fn admission(&self) -> Admission {
        let grant = self.grant.as_ref().map(|grant| format!("grant = {{ {grant} }}"));
        let tools = format!("[tools.t]\npath = \"tools/t\"\n{}", grant.unwrap_or_default());
        let policies = self.policies.iter().enumerate().map(|(at, (text, trust))| {
            let source = Source::new(format!("policy{at}.toml"), text.clone());
            Policy::parse(source, "/srv", trust.clone()).expect("a policy")
        });
        Admission {
            program: program(&[call("t"), tools].join("\n")),
            offers: vec![offer("t", &self.manifest, &self.imports)],
            policies: policies.collect(),
            today: self.today.parse().expect("a moment"),
        }
    }

    fn plan(&self) -> Plan {
        admit(self.admission()).expect("admitted")
    }

    fn denied(&self) -> Denied {
        match admit(self.admission()) {
            Err(Refusal::Denied(denied)) => denied,
            other => panic!("expected a denial, got {other:?}"),
        }
    }

    /// `ok`, `invalid` with codes, or each gap as `code value`.
    fn verdict(&self) -> String {
        match admit(self.admission()) {
            Ok(_) => "ok".into(),
            Err(refusal) => shown(&refusal),
        }
    }
}

fn shown(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(found) => {
            let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
            format!("invalid: {}", codes.join(", "))
        }
        Refusal::Denied(denied) => {
            let gaps: Vec<String> =
                denied.gaps().iter().map(|gap| format!("{} {}", gap.code, gap.value)).collect();
            gaps.join(", ")
        }
    }
}

fn name(text: &str) -> ToolName {
    ToolName::new(text).expect("a name")
}

fn call(tool: &str) -> String {
    format!("[[steps]]\nid = \"call_{tool}\"\ntype = \"tool\"\ntool = \"{tool}\"\nargs = {{ amount = 1 }}")
}

fn ask_model(allowed: &[&str]) -> String {
    format!("[[steps]]\nid = \"ask\"\ntype = \"llm\"\nprompt = \"hello\"\nallowed_tools = {allowed:?}")
}

/// The program `p` of these steps and tools.
fn program(rest: &str) -> Arc<CheckedProgram> {
    let source = Source::new("program.toml", format!("name = \"p\"\n{rest}"));
    let checked = Program::parse(source, Format::Toml).and_then(Program::check);
    Arc::new(checked.expect("a program").0)
}

fn export(function: &str) -> ToolExport {
    ToolExport {
        function: function.into(),
        interface: Some("my:tool/api".into()),
        input: json!({
            "type": "object",
            "properties": {
                "amount": { "type": "integer", "maximum": u64::MAX },
                "order": { "type": "object", "properties": { "id": { "type": "string" } } },
            },
            "required": ["amount"],
            "additionalProperties": false,
        }),
        output: json!({ "type": "string" }),
    }
}

fn offer(tool: &str, manifest: &str, imports: &[&str]) -> Offer {
    let text = format!("name = \"{tool}\"\nversion = \"1.0.0\"\n{manifest}");
    let import = |name: &&str| Import { name: (*name).into(), functions: vec!["x".into()] };
    Offer {
        local: name(tool),
        manifest: Manifest::parse(Source::new("manifest.toml", text)).expect("a manifest"),
        facts: ToolFacts {
            component: Digest::of(b"component"),
            size: 9,
            imports: imports.iter().map(import).collect(),
            exports: vec![export("f")],
        },
        signature: None,
    }
}

/// A row for anything; a policy of one row.
fn permit(rest: &str) -> String {
    format!("[[permit]]\nid = \"r\"\n{rest}\n")
}

const READ: &str = "[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"read\" }]";
const WRITE: &str = "[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"write\" }]";
const LEDGER: &str = "[capabilities]\nkv = [\"ledger\"]";
const SOCKET: &str = "[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 7 }]";
const API: &str =
    "[capabilities]\nhttp = [{ host = \"api.x.test\", methods = [\"GET\", \"POST\"], path = \"/v1/**\" }]";
const MAY_ASK: &str = "http = [{ host = \"*.x.test\", methods = [\"GET\", \"POST\"], path = \"/**\" }]";
const SECRETS: &str = "nanohost:tool/secrets@0.1.0";
const HELD: &str = "[capabilities]\nsecrets = [{ name = \"k\", header = \"X-Key\", host = \"a.x.test\", methods = [\"GET\"], path = \"/v1/**\" }]";
const MAY_HOLD: &str = "secrets = [{ name = \"k\", header = \"x-key\", host = \"*.x.test\", methods = [\"GET\", \"POST\"], path = \"/**\" }]";
const MAY_READ: &str =
    "filesystem = [{ guest = \"/data\", access = \"read\" }]\n[folders.t]\n\"/data\" = \"data\"";
const MAY_WRITE: &str =
    "filesystem = [{ guest = \"/data\", access = \"write\" }]\n[folders.t]\n\"/data\" = \"data\"";

#[test]
fn one_line_a_case() {
    for (manifest, imports, policy, expect) in [
        // Nothing asked, nothing needed.
        ("", &[][..], String::new(), "ok"),
        ("", &[STDOUT, ENV, CLOCK, RANDOM], String::new(), "ok"),
        // Smuggling: what the manifest does not declare is refused although the policy allows it.
        (
            "",
            &[TCP],
            permit("sockets = [{ address = \"127.0.0.1\", port = 7 }]"),
            "import_not_declared wasi:sockets/tcp@0.2.6",
        ),
        (SOCKET, &[TCP], permit("sockets = [{ address = \"127.0.0.1\", port = 7 }]"), "ok"),
        ("", &[FILES], permit(MAY_READ), "import_not_declared wasi:filesystem/types@0.2.6"),
        ("", &[KV], permit("kv = [\"ledger\"]"), "import_not_declared nanohost:tool/kv@0.1.0"),
        ("", &[HTTP], String::new(), "import_not_declared wasi:http/outgoing-handler@0.2.6"),
        (
            "[capabilities]\nclock = \"denied\"",
            &[CLOCK],
            String::new(),
            "import_not_declared wasi:clocks/wall-clock@0.2.6",
        ),
        (
            "[capabilities]\nrandom = \"denied\"",
            &[RANDOM],
            String::new(),
            "import_not_declared wasi:random/random@0.2.6",
        ),
        ("[capabilities]\nrandom = \"denied\"", &[CLOCK], String::new(), "ok"),
        // Unknown imports and forged versions.
        ("", &["evil:thing/api@1.0.0"], permit("kv = [\"a\"]"), "unknown_import evil:thing/api@1.0.0"),
        ("", &["wasi:cli/stdout@0.3.0"], String::new(), "unknown_import wasi:cli/stdout@0.3.0"),
        (
            LEDGER,
            &["nanohost:tool/kv@0.2.0"],
            permit("kv = [\"ledger\"]"),
            "unknown_import nanohost:tool/kv@0.2.0",
        ),
        // Deny by default, in each class.
        (LEDGER, &[KV], String::new(), "not_granted ledger"),
        (LEDGER, &[KV], permit("kv = [\"ledger\"]"), "ok"),
        (LEDGER, &[KV], permit("kv = [\"ledgers\"]"), "not_granted ledger"),
        (SOCKET, &[TCP], String::new(), "not_granted 127.0.0.1:7"),
        (
            SOCKET,
            &[TCP],
            permit("sockets = [{ address = \"127.0.0.1\", port = 8 }]"),
            "not_granted 127.0.0.1:7",
        ),
        ("", &[SECRETS], permit(MAY_HOLD), "import_not_declared nanohost:tool/secrets@0.1.0"),
        (HELD, &[SECRETS], permit(MAY_HOLD), "ok"),
        (HELD, &[SECRETS], String::new(), "not_granted k in x-key of GET a.x.test/v1/**"),
        (
            HELD,
            &[SECRETS],
            permit(&MAY_HOLD.replace("\"k\"", "\"l\"")),
            "not_granted k in x-key of GET a.x.test/v1/**",
        ),
        (
            HELD,
            &[SECRETS],
            permit(&MAY_HOLD.replace("x-key", "y-key")),
            "not_granted k in x-key of GET a.x.test/v1/**",
        ),
        (
            HELD,
            &[SECRETS],
            permit(&MAY_HOLD.replace("*.x", "b.x")),
            "not_granted k in x-key of GET a.x.test/v1/**",
        ),
        (
            HELD,
            &[SECRETS],
            permit(&MAY_HOLD.replace("\"GET\", ", "")),
            "not_granted k in x-key of GET a.x.test/v1/**",
        ),
        (
            HELD,
            &[SECRETS],
            permit(&MAY_HOLD.replace("/**", "/v1/a")),
            "not_granted k in x-key of GET a.x.test/v1/**",
        ),
        (API, &[HTTP], permit(MAY_ASK), "ok"),
        (API, &[HTTP], String::new(), "not_granted GET,POST https://api.x.test/v1/**"),
        (
            API,
            &[HTTP],
            permit(&MAY_ASK.replace("\"GET\", ", "")),
            "not_granted GET,POST https://api.x.test/v1/**",
        ),
        (
            API,
            &[HTTP],
            permit(&MAY_ASK.replace("/**", "/v1/a/**")),
            "not_granted GET,POST https://api.x.test/v1/**",
        ),
        (
            API,
            &[HTTP],
            permit(&MAY_ASK.replace("*.x.test", "b.x.test")),
            "not_granted GET,POST https://api.x.test/v1/**",
        ),
        (
            API,
            &[HTTP],
            permit(&MAY_ASK.replace("host", "port = 8443, host")),
            "not_granted GET,POST https://api.x.test/v1/**",
        ),
        (
            API,
            &[HTTP],
            permit(&MAY_ASK.replace("host", "scheme = \"http\", port = 443, host")),
            "not_granted GET,POST https://api.x.test/v1/**",
        ),
        // What is forbidden is part of what is asked for.
        (
            API,
            &[HTTP],
            format!(
                "{}[[forbid]]\nid = \"n\"\n{}",
                permit(MAY_ASK),
                MAY_ASK.replace("\"GET\", ", "").replace("/**", "/v1/admin/**")
            ),
            "forbidden GET,POST https://api.x.test/v1/**",
        ),
        ("[capabilities]\nclock = \"real\"", &[CLOCK], String::new(), "not_granted real"),
        ("[capabilities]\nclock = \"real\"", &[CLOCK], permit("clock = \"virtual\""), "not_granted real"),
        ("[capabilities]\nclock = \"real\"", &[CLOCK], permit("clock = \"real\""), "ok"),
        ("[capabilities]\nrandom = \"real\"", &[RANDOM], String::new(), "not_granted real"),
        ("[capabilities]\nrandom = \"real\"", &[RANDOM], permit("random = \"real\""), "ok"),
        ("[capabilities]\nenv = [\"A\"]", &[ENV], String::new(), "not_granted A"),
        ("[capabilities]\nenv = [\"A\"]", &[ENV], permit("env = [\"A\"]"), "env_missing A"),
        ("[capabilities]\nenv = [\"A\"]", &[ENV], permit("env = [\"A\"]\n[env.t]\nA = \"1\""), "ok"),
        (
            "[capabilities]\nenv = [\"A\"]",
            &[ENV],
            permit("env = [\"A\"]\n[env.u]\nA = \"1\""),
            "env_missing A",
        ),
        (READ, &[FILES], String::new(), "not_granted /data (read)"),
        (READ, &[FILES], permit(MAY_READ), "ok"),
        (READ, &[FILES], permit(MAY_WRITE), "ok"),
        (WRITE, &[FILES], permit(MAY_READ), "not_granted /data (write)"),
        (WRITE, &[FILES], permit(MAY_WRITE), "ok"),
        (
            READ,
            &[FILES],
            permit("filesystem = [{ guest = \"/data\", access = \"read\" }]"),
            "folder_missing /data (read)",
        ),
        // Whom a row is for.
        (LEDGER, &[KV], permit("program = \"p\"\ntool = \"t\"\nfunction = \"f\"\nkv = [\"ledger\"]"), "ok"),
        (LEDGER, &[KV], permit("program = \"q\"\nkv = [\"ledger\"]"), "not_granted ledger"),
        (LEDGER, &[KV], permit("tool = \"u\"\nkv = [\"ledger\"]"), "not_granted ledger"),
        (LEDGER, &[KV], permit("function = \"g\"\nkv = [\"ledger\"]"), "not_granted ledger"),
        // Ends.
        (LEDGER, &[KV], permit("expires = 2026-11-22\nkv = [\"ledger\"]"), "not_granted ledger"),
        (LEDGER, &[KV], permit("expires = 2026-11-23\nkv = [\"ledger\"]"), "ok"),
        // Forbidding wins.
        (
            LEDGER,
            &[KV],
            permit("kv = [\"ledger\"]\n[[forbid]]\nid = \"n\"\nkv = [\"ledger\"]"),
            "forbidden ledger",
        ),
        (LEDGER, &[KV], permit("kv = [\"ledger\"]\n[[forbid]]\nid = \"n\"\nkv = [\"other\"]"), "ok"),
        ("", &[CLOCK], "[[forbid]]\nid = \"n\"\nclock = \"virtual\"".into(), "forbidden virtual"),
        ("", &[], "[[forbid]]\nid = \"n\"\nclock = \"virtual\"".into(), "ok"),
        ("", &[], "[[forbid]]\nid = \"n\"\ntool = \"t\"".into(), "forbidden f"),
        ("", &[], "[[forbid]]\nid = \"n\"\nprogram = \"p\"".into(), "forbidden f"),
        ("", &[], "[[forbid]]\nid = \"n\"\ntool = \"u\"".into(), "ok"),
        // Stubs.
        ("stub = [\"wasi:sockets/*\"]", &[TCP], String::new(), "not_granted wasi:sockets/tcp@0.2.6"),
        ("stub = [\"wasi:sockets/*\"]", &[TCP], permit("stub = [\"wasi:sockets/*\"]"), "ok"),
        (
            "stub = [\"wasi:sockets/*\"]",
            &[TCP],
            permit("stub = [\"wasi:sockets/udp\"]"),
            "not_granted wasi:sockets/tcp@0.2.6",
        ),
        ("stub = [\"wasi:http/*\"]", &[HTTP], permit("stub = [\"wasi:http/*\"]"), "ok"),
        (
            "stub = [\"wasi:sockets/udp\"]",
            &[TCP],
            permit("stub = [\"wasi:sockets/*\"]"),
            "import_not_declared wasi:sockets/tcp@0.2.6",
        ),
        (
            "stub = [\"wasi:sockets/*\"]",
            &[TCP],
            permit("stub = [\"wasi:sockets/*\"]\n[[forbid]]\nid = \"n\"\nstub = [\"wasi:sockets/*\"]"),
            "forbidden wasi:sockets/tcp@0.2.6",
        ),
        // Everything at once.
        (
            "[capabilities]\nkv = [\"a\", \"b\"]",
            &[KV, TCP, "x:y/z@1.0.0"],
            String::new(),
            "import_not_declared wasi:sockets/tcp@0.2.6, unknown_import x:y/z@1.0.0, not_granted a, not_granted b",
        ),
        // Mistakes are no denials.
        (
            "component = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
            &[],
            String::new(),
            "invalid: component_mismatch",
        ),
        ("[functions.g]\neffect = \"pure\"", &[], String::new(), "invalid: unknown_function"),
        ("[functions.f]\neffect = \"pure\"", &[], String::new(), "ok"),
        ("", &[], permit("require = \"$args.amonut < 5\""), "invalid: unknown_argument"),
        ("", &[], permit("require = \"$args.order.no == 5\""), "invalid: unknown_argument"),
        ("", &[], permit("require = \"$args.order.id == 'a'\""), "ok"),
        ("", &[], permit("tool = \"u\"\nrequire = \"$args.amonut < 5\""), "ok"),
    ] {
        assert_eq!(
            World::new(manifest, imports, &policy).verdict(),
            expect,
            "{manifest} {imports:?} {policy}"
        );
    }
}

#[test]
fn a_component_pin_that_fits_admits() {
    let pin = format!("component = \"sha256:{}\"", Digest::of(b"component"));
    assert_eq!(World::new(&pin, &[], "").verdict(), "ok");
}

#[test]
fn the_program_narrows() {
    let folder = |guest: &str, access: &str| {
        format!("filesystem = [{{ guest = \"{guest}\", access = \"{access}\" }}]")
    };
    let ledgers = "[capabilities]\nkv = [\"a\", \"b\"]";
    let one = permit("kv = [\"a\"]");
    assert_eq!(World::new(ledgers, &[KV], &one).verdict(), "not_granted b");
    let narrowed = World::new(ledgers, &[KV], &one).granting("kv = [\"a\"]");
    assert_eq!(narrowed.plan().rows()[0].grants.kv(), &BTreeSet::from(["a".to_owned()]));

    // Write narrowed to read is covered by a row that permits reading.
    let narrowed = World::new(WRITE, &[FILES], &permit(MAY_READ)).granting(&folder("/data", "read"));
    assert_eq!(narrowed.plan().rows()[0].granted, ["filesystem /data (read)"]);
    // A grant never widens.
    let wider = World::new(READ, &[FILES], &permit(MAY_WRITE)).granting(&folder("/data", "write"));
    assert_eq!(wider.plan().rows()[0].granted, ["filesystem /data (read)"]);
    for guest in ["/other", "/dat", "/"] {
        let world = World::new(READ, &[FILES], &permit(MAY_READ)).granting(&folder(guest, "read"));
        let expect = if guest == "/" { "ok" } else { "invalid: grant_matches_nothing, not_granted" };
        assert_eq!(world.verdict(), expect, "{guest}");
    }
    let world = World::new("", &[], "").granting("kv = [\"a\"]");
    assert_eq!(world.verdict(), "invalid: grant_matches_nothing");

    // What is narrowed away is not linked, so a component that imports it is refused.
    let world = World::new(LEDGER, &[KV], &permit("kv = [\"ledger\"]")).granting("kv = []");
    assert_eq!(world.verdict(), "not_granted nanohost:tool/kv@0.1.0");
    assert_eq!(world.denied().gaps()[0].not_granted_by.as_ref().map(|by| &*by.file), Some("program.toml"));
    let world = World::new("", &[CLOCK], "").granting("clock = \"denied\"");
    assert_eq!(world.verdict(), "not_granted wasi:clocks/wall-clock@0.2.6");

    // A narrower folder needs a host folder of its own.
    let below = World::new(READ, &[FILES], &permit(MAY_READ)).granting(&folder("/data/in", "read"));
    assert_eq!(below.verdict(), "folder_missing /data/in (read)");
    let policy = permit(&format!("{MAY_READ}\n\"/data/in\" = \"elsewhere\""));
    let below = World::new(READ, &[FILES], &policy).granting(&folder("/data/in", "read"));
    assert_eq!(below.plan().rows()[0].grants.filesystem()[0].host, "/srv/elsewhere");
}

#[test]
fn a_row_holds_what_was_decided() {
    let manifest = "stub = [\"wasi:sockets/*\"]\n[functions.f]\neffect = \"pure\"\npii = [\"input.order\"]\n\
         [capabilities]\nkv = [\"ledger\"]\nenv = [\"REGION\"]\nfilesystem = [{ guest = \"/data\", access = \"read\" }]";
    let policy = permit(
        "kv = [\"ledger\"]\nenv = [\"REGION\"]\nstub = [\"wasi:sockets/*\"]\n\
         filesystem = [{ guest = \"/data\", access = \"read\" }]\nrequire = \"$args.amount <= 5\"\n\
         [folders.t]\n\"/data\" = \"../data\"\n[env.t]\nREGION = \"eu\"\n[limits]\nmemory = \"1MiB\"\nfuel = 7",
    );
    let imports = [ENV, TCP, KV, PREOPENS, FILES, STDOUT, CLOCK];
    let plan = World::new(manifest, &imports, &policy).plan();
    let row = plan.row(&name("t")).expect("a row");
    assert_eq!(
        row.requested,
        ["filesystem /data (read)", "env REGION", "kv ledger", "clock virtual", "random seeded"]
    );
    // Seeded randomness is asked for by default, but the component does not import it.
    assert_eq!(row.granted, ["filesystem /data (read)", "env REGION", "kv ledger", "clock virtual"]);
    assert_eq!(row.grants.random(), Random::Denied);
    assert_eq!(row.linked, [ENV, KV, PREOPENS, FILES, STDOUT, CLOCK]);
    assert_eq!(row.stubbed, [TCP]);
    assert_eq!(row.grants.stubbed(), &BTreeSet::from([TCP.to_owned()]));
    assert_eq!(row.grants.filesystem()[0].host, "/data");
    assert_eq!(row.grants.env()[0].value, "eu");
    assert_eq!((row.limits.memory, row.limits.fuel), (1 << 20, 7));
    assert_eq!(row.grants.limits(), row.limits);
    assert_eq!(row.effect, Effect::Pure);
    assert_eq!(row.pii, ["input.order"]);
    assert_eq!(row.export.path(), "my:tool/api#f");
    let rules: Vec<String> = row.rules.iter().map(|own| format!("{}: {}", own.rule, own.granted)).collect();
    assert_eq!(
        rules,
        ["r: stub wasi:sockets/tcp@0.2.6", "r: filesystem /data (read)", "r: env REGION", "r: kv ledger"]
    );
    assert_eq!(plan.row(&name("u")).map(|row| &row.local), None);
}

#[test]
fn effects() {
    let vouched = "vouch_idempotent = [\"f\"]";
    let claim = |claim: &str, rest: &str| format!("[functions.f]\neffect = \"{claim}\"\n{rest}");
    for (manifest, imports, policy, expect) in [
        (String::new(), &[][..], String::new(), Effect::External),
        (claim("pure", ""), &[], String::new(), Effect::Pure),
        (claim("external", ""), &[], permit(vouched), Effect::External),
        (claim("idempotent", ""), &[], String::new(), Effect::External),
        (claim("idempotent", ""), &[], permit(vouched), Effect::Idempotent),
        (claim("idempotent", ""), &[], permit("vouch_idempotent = [\"g\"]"), Effect::External),
        (claim("idempotent", ""), &[], permit(&format!("expires = 2020-01-01\n{vouched}")), Effect::External),
        (claim("idempotent", ""), &[], permit(&format!("tool = \"u\"\n{vouched}")), Effect::External),
        (claim("pure", READ), &[FILES], permit(MAY_READ), Effect::Pure),
        (claim("pure", WRITE), &[FILES], permit(MAY_WRITE), Effect::External),
        (claim("idempotent", WRITE), &[FILES], permit(&format!("{vouched}\n{MAY_WRITE}")), Effect::External),
        // Power counts where it is granted: this component cannot write.
        (claim("pure", WRITE), &[], permit(MAY_WRITE), Effect::Pure),
        (
            claim("pure", SOCKET),
            &[TCP],
            permit("sockets = [{ address = \"127.0.0.1\", port = 7 }]"),
            Effect::External,
        ),
        (claim("pure", LEDGER), &[KV], permit("kv = [\"ledger\"]"), Effect::Pure),
        // A request can carry a key, so an operator's word counts there, and an author's does not.
        (claim("pure", API), &[HTTP], permit(MAY_ASK), Effect::External),
        (claim("pure", API), &[HTTP], permit(&format!("{vouched}\n{MAY_ASK}")), Effect::External),
        (claim("idempotent", API), &[HTTP], permit(MAY_ASK), Effect::External),
        (claim("idempotent", API), &[HTTP], permit(&format!("{vouched}\n{MAY_ASK}")), Effect::Idempotent),
        (claim("pure", API), &[], permit(MAY_ASK), Effect::Pure),
    ] {
        let plan = World::new(&manifest, imports, &policy).plan();
        assert_eq!(plan.rows()[0].effect, expect, "{manifest} {policy}");
    }
}

#[test]
fn a_program_narrows_to_hosts() {
    let both = "[capabilities]\nhttp = [{ host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }, { host = \"*.b.x.test\", methods = [\"GET\"], path = \"/\" }]";
    let granted = |grant: &str| {
        let plan = World::new(both, &[HTTP], &permit(MAY_ASK)).granting(grant).plan();
        plan.rows()[0].granted.join(", ")
    };
    assert_eq!(granted(""), "http GET https://a.x.test/, http GET https://*.b.x.test/");
    assert_eq!(granted("http = [\"a.x.test\"]"), "http GET https://a.x.test/");
    assert_eq!(granted("http = [\"c.b.x.test\"]"), "http GET https://c.b.x.test/");
    assert_eq!(granted("http = [\"*.c.b.x.test\"]"), "http GET https://*.c.b.x.test/");
    let world = World::new(both, &[HTTP], &permit(MAY_ASK)).granting("http = [\"c.x.test\"]");
    assert_eq!(world.verdict(), "invalid: grant_matches_nothing, not_granted");
}

#[test]
fn a_program_narrows_to_secrets() {
    let two = "[capabilities]\nsecrets = [{ name = \"k\", header = \"a\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }, { name = \"l\", header = \"a\", host = \"a.x.test\", methods = [\"GET\"], path = \"/\" }]";
    let both = format!(
        "{}[[permit]]\nid = \"q\"\n{}",
        permit(&MAY_HOLD.replace("x-key", "a")),
        MAY_HOLD.replace("x-key", "a").replace("\"k\"", "\"l\"")
    );
    let plan = World::new(two, &[SECRETS], &both).granting("secrets = [\"l\"]").plan();
    assert_eq!(plan.rows()[0].granted, ["secrets l in a of GET a.x.test/"]);
    let world = World::new(two, &[SECRETS], &both).granting("secrets = [\"m\"]");
    assert_eq!(world.verdict(), "invalid: grant_matches_nothing, not_granted");
}

/// Where a name may lead is said by every policy, and by nobody else.
#[test]
fn the_operators_own_network() {
    let private = MAY_ASK.replace(" }]", ", private = true }]");
    let shown = |first: &str, second: &str| {
        let plan = World::new(API, &[HTTP], &permit(first)).and(&permit(second), Trust::Trusted).plan();
        let row = &plan.rows()[0];
        let private: Vec<bool> = row.grants.http().iter().map(|rule| rule.private).collect();
        (row.granted[0].clone(), private)
    };
    let (open, closed) = (
        "http GET,POST https://api.x.test/v1/** (private addresses too)",
        "http GET,POST https://api.x.test/v1/**",
    );
    assert_eq!(shown(&private, &private), (open.into(), vec![true]));
    assert_eq!(shown(&private, MAY_ASK), (closed.into(), vec![false]));
    assert_eq!(shown(MAY_ASK, MAY_ASK), (closed.into(), vec![false]));
    // Any row that says so will do, and an expired one does not.
    let more = |expires: &str| format!("{MAY_ASK}\n[[permit]]\nid = \"more\"\n{expires}\n{private}");
    assert_eq!(shown(&more(""), &private), (open.into(), vec![true]));
    assert_eq!(shown(&more("expires = 2020-01-01"), &private), (closed.into(), vec![false]));
}

#[test]
fn policies_only_narrow_each_other() {
    let yes = permit("kv = [\"ledger\"]\nvouch_idempotent = [\"f\"]");
    let world = || World::new(&format!("[functions.f]\neffect = \"idempotent\"\n{LEDGER}"), &[KV], &yes);
    assert_eq!(world().and(&yes, Trust::Trusted).plan().rows()[0].effect, Effect::Idempotent);
    assert_eq!(world().and("", Trust::Trusted).verdict(), "not_granted ledger");
    assert_eq!(
        world().and("[[forbid]]\nid = \"n\"\ntool = \"t\"", Trust::Trusted).verdict(),
        "forbidden f, not_granted ledger"
    );
    let found = Trust::Found { project: "/srv".into() };
    assert_eq!(
        world().and(&yes, found).plan().rows()[0].effect,
        Effect::External,
        "a found policy vouches for nothing"
    );

    let reads = |folder: &str| permit(&MAY_READ.replace("\"data\"", &format!("\"{folder}\"")));
    let world = || World::new(READ, &[FILES], &reads("data"));
    assert_eq!(world().and(&reads("data"), Trust::Trusted).verdict(), "ok");
    assert_eq!(world().and(&reads("other"), Trust::Trusted).verdict(), "folder_conflict /data (read)");

    let limited = |fuel: u64| format!("[limits]\nfuel = {fuel}");
    let plan = World::new("", &[], &limited(9)).and(&limited(5), Trust::Trusted).plan();
    assert_eq!(plan.rows()[0].limits.fuel, 5);
    let plan = World::new("[limits]\nfuel = 3", &[], &limited(9)).plan();
    assert_eq!(plan.rows()[0].limits.fuel, 3);
    let plan = World::new(
        "[limits]\nhttp_calls = 7\nhttp_bytes = \"1KiB\"",
        &[],
        "[limits]\nhttp_calls = 9\nhttp_bytes = \"9B\"",
    )
    .plan();
    assert_eq!((plan.rows()[0].limits.http_calls, plan.rows()[0].limits.http_bytes), (7, 9));
}

#[test]
fn no_policy_grants_nothing() {
    let mut admission = World::new(LEDGER, &[KV], "").admission();
    admission.policies.clear();
    match admit(admission) {
        Err(Refusal::Denied(denied)) => {
            let help = &denied.gaps()[0].help;
            assert!(help.starts_with("write a policy, such as policies/local.toml, with:"), "{help}");
        }
        other => panic!("expected a denial, got {other:?}"),
    }
}

#[test]
fn writing_never_reaches_what_governs() {
    let writes = |host: &str| {
        let policy = permit(&MAY_WRITE.replace("\"data\"", &format!("\"{host}\"")));
        World::new(WRITE, &[FILES], &policy).verdict()
    };
    for (host, expect) in [
        ("out", "ok"),
        ("/srvshop", "ok"),
        (".", "grant_covers_control_files /data (write)"),
        ("/", "grant_covers_control_files /data (write)"),
        ("/srv/repository/.git/hooks", "grant_covers_control_files /data (write)"),
        ("/home/a/.cargo", "grant_covers_control_files /data (write)"),
    ] {
        assert_eq!(writes(host), expect, "{host}");
    }
    let reads = permit(&MAY_READ.replace("\"data\"", "\".\""));
    assert_eq!(World::new(READ, &[FILES], &reads).verdict(), "ok", "reading is another matter");
}

#[test]
fn a_found_policy_is_a_strangers() {
    let found = |manifest: &str, import, policy: &str| {
        let mut world = World::new(manifest, &[import], policy);
        world.policies[0].1 = Trust::Found { project: "/srv".into() };
        world.verdict()
    };
    assert_eq!(found(READ, FILES, &permit(MAY_READ)), "ok");
    assert_eq!(found(LEDGER, KV, &permit("kv = [\"ledger\"]")), "ok");
    assert_eq!(
        found(READ, FILES, &permit(&MAY_READ.replace("\"data\"", "\"/etc\""))),
        "not_granted /data (read)"
    );
    assert_eq!(
        found(READ, FILES, &permit(&MAY_READ.replace("\"data\"", "\"../etc\""))),
        "not_granted /data (read)"
    );
    assert_eq!(found(WRITE, FILES, &permit(MAY_WRITE)), "not_granted /data (write)");
    assert_eq!(
        found(SOCKET, TCP, &permit("sockets = [{ address = \"127.0.0.1\", port = 7 }]")),
        "not_granted 127.0.0.1:7"
    );
    assert_eq!(found(HELD, SECRETS, &permit(MAY_HOLD)), "not_granted k in x-key of GET a.x.test/v1/**");
    assert_eq!(found(API, HTTP, &permit(MAY_ASK)), "not_granted GET,POST https://api.x.test/v1/**");
    assert_eq!(
        found("[capabilities]\nclock = \"real\"", CLOCK, &permit("clock = \"real\"")),
        "not_granted real"
    );
    assert_eq!(
        found("[capabilities]\nenv = [\"A\"]", ENV, &permit("env = [\"A\"]\n[env.t]\nA = \"1\"")),
        "not_granted A"
    );
}

/// A row that was meant and does not say so is shown, and what would grant it all the same.
#[test]
fn a_row_of_nearly_the_name_is_asked_about() {
    let help = |row: &str| {
        let policy = permit(&format!("kv = [\"ledger\"]\n{row}"));
        let denied = World::new(LEDGER, &[KV], &policy).denied();
        let place = denied.gaps()[0].not_granted_by.as_ref().and_then(|by| by.place.as_ref()).is_some();
        (denied.gaps()[0].help.lines().next().unwrap_or_default().to_owned(), place)
    };
    for (row, says) in [
        ("program = \"P\"", "program = \"P\""),
        ("program = \"p1\"\ntool = \"t\"", "program = \"p1\""),
        ("tool = \"tt\"", "tool = \"tt\""),
        ("function = \"g\"", "function = \"g\""),
    ] {
        let (help, place) = help(row);
        let asked = format!("did you mean row `r`, which says `{says}`? Otherwise add to policy0.toml:");
        assert_eq!((help, place), (asked, true));
    }
    for row in ["tool = \"ledger\"", "tool = \"tt\"\nprogram = \"p1\""] {
        assert_eq!(help(row), ("add to policy0.toml:".to_owned(), false), "{row}");
    }
}

/// The policy as somebody leaves it who does what a refusal says, and nothing else.
fn mended(policy: &str, help: &str) -> String {
    let mut lines: Vec<String> = policy.lines().map(str::to_owned).collect();
    let mut header = "tool = \"t\"".to_owned();
    for said in help.lines().skip(1).filter(|said| !said.is_empty()) {
        if let Some(under) = said.strip_prefix("under ") {
            under.trim_end_matches(':').clone_into(&mut header);
        } else if said.starts_with('[') {
            lines.extend([String::new(), said.to_owned()]);
            said.clone_into(&mut header);
        } else {
            let key = said.split(" = ").next().expect("a line of TOML");
            let widened = help.starts_with("widen") && header.starts_with("tool");
            lines.retain(|line| !(widened && line.starts_with(&format!("{key} = "))));
            let at = lines.iter().rposition(|line| *line == header).expect("it is there");
            lines.insert(at + 1, said.replace("<folder of this machine>", "data"));
        }
    }
    lines.join("\n")
}

/// Each refusal names the file as it has to be: what is there already stands in the line, no key and
/// no table twice.
#[test]
fn the_lines_to_add_can_be_pasted() {
    let manifest = "stub = [\"wasi:sockets/tcp\", \"wasi:sockets/udp\"]\n[capabilities]\nkv = [\"a\", \"b\", \"c\"]\n\
        env = [\"A\", \"B\"]\nclock = \"real\"\nfilesystem = [{ guest = \"/data\", access = \"read\" }, { guest = \"/out\", \
        access = \"write\" }]\nhttp = [{ scheme = \"https\", host = \"a.test\", methods = [\"GET\"], path = \"/**\" }, \
        { scheme = \"https\", host = \"b.test\", methods = [\"GET\"], path = \"/**\" }]";
    let imports = [KV, ENV, CLOCK, FILES, HTTP, TCP, "wasi:sockets/udp@0.2.6"];
    let row = "[[permit]]\nid = \"r\"\nprogram = \"p\"\ntool = \"t\"\n";
    for (start, rounds) in [
        (row.to_owned(), 8),
        (
            format!(
                "{row}kv = [\"z\", \"b\"]\nenv = [\"B\"]\n\n[env.t]\nB = \"1\"\n\n[folders.t]\n\"/out\" = \"out\""
            ),
            7,
        ),
        (
            format!(
                "{row}filesystem = [{{ guest = \"/out\", access = \"read\" }}]\nstub = [\"wasi:sockets/udp\"]"
            ),
            8,
        ),
        (
            format!(
                "{row}http = [{{ scheme = \"https\", host = \"b.test\", methods = [\"GET\"], path = \"/**\", private = true }}]\nclock = \"virtual\""
            ),
            8,
        ),
    ] {
        let mut policy = start.clone();
        let mut taken = 0;
        loop {
            let denied = match admit(World::new(manifest, &imports, &policy).admission()) {
                Ok(_) => break,
                Err(Refusal::Denied(denied)) => denied,
                Err(other) => panic!("{other:?}\n{policy}"),
            };
            policy = mended(&policy, &denied.gaps()[0].help);
            taken += 1;
            assert!(taken <= rounds, "{}\n{policy}", denied.gaps()[0].help);
        }
        // Nothing that the row said before is lost.
        for kept in ["\"z\"", "private = true"] {
            assert_eq!(policy.contains(kept), start.contains(kept), "{policy}");
        }
    }
}

#[test]
fn a_gap_shows_both_causes() {
    let gap = |policy: &str| World::new(LEDGER, &[KV], policy).denied().gaps()[0].clone();
    let missing = gap("");
    assert_eq!(missing.asks.as_ref().map(ToString::to_string).as_deref(), Some("manifest.toml:4"));
    assert_eq!(missing.message, "tool `t` asks for kv ledger, and no row of policy0.toml permits it");
    // The lines of the help are lines that help.
    let lines = missing.help.split("\n\n").nth(1).expect("lines to add");
    assert_eq!(World::new(LEDGER, &[KV], lines).verdict(), "ok");
    assert_eq!(missing.diagnostic().place().as_deref(), Some("manifest.toml:4:7"));

    let forbidden = gap("[[forbid]]\nid = \"n\"\nkv = [\"ledger\"]\nreason = \"closed\"\nowner = \"desk\"");
    assert_eq!(forbidden.rule(), Some("n"));
    let by = forbidden.not_granted_by.as_ref().and_then(|by| by.place.as_ref()).map(ToString::to_string);
    assert_eq!(by.as_deref(), Some("policy0.toml:3"));
    assert!(forbidden.message.ends_with("row `n` of policy0.toml forbids it: closed (ask desk)"));

    let folder = World::new(READ, &[FILES], "").denied();
    let lines = folder.gaps()[0].help.split_once("\n\n").expect("lines to add").1;
    let lines = lines.replace("<folder of this machine>", "data");
    assert_eq!(World::new(READ, &[FILES], &lines).verdict(), "ok");

    // A declaration that the help suggests gets as far as the policy.
    let smuggled = World::new("", &[KV], &permit("kv = [\"namespace\"]")).denied();
    let lines = smuggled.gaps()[0].help.split("\n\n").nth(1).expect("lines to add").to_owned();
    assert_eq!(World::new(&lines, &[KV], &permit("kv = [\"namespace\"]")).verdict(), "ok");
}

#[test]
fn warnings() {
    for (manifest, imports, policy, expect) in [
        ("", &[][..], String::new(), ""),
        (LEDGER, &[], String::new(), "over_asking"),
        (LEDGER, &[KV], permit("kv = [\"ledger\"]"), ""),
        ("stub = [\"wasi:sockets/*\"]", &[], String::new(), "over_asking"),
        ("", &[], permit("program = \"p\"\ntool = \"t\"\nkv = [\"ledger\"]"), "unused_rule"),
        ("", &[], permit("tool = \"t\"\nkv = [\"ledger\"]"), ""),
        (
            "[functions.f]\neffect = \"idempotent\"",
            &[],
            permit("tool = \"t\"\nvouch_idempotent = [\"f\"]"),
            "",
        ),
        (
            "[functions.f]\neffect = \"pure\"",
            &[],
            permit("tool = \"t\"\nvouch_idempotent = [\"f\"]"),
            "unused_rule",
        ),
        (
            "[functions.f]\neffect = \"idempotent\"\n[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"write\" }]",
            &[FILES],
            permit(&format!("tool = \"t\"\nvouch_idempotent = [\"f\"]\n{MAY_WRITE}")),
            "unused_rule",
        ),
    ] {
        let plan = World::new(manifest, imports, &policy).plan();
        let codes: Vec<&str> = plan.warnings().iter().map(|finding| finding.code).collect();
        assert_eq!(codes.join(" "), expect, "{manifest} {policy}");
    }
}

#[test]
fn the_table_holds_the_programs_tools_and_no_others() {
    let admission = |parts: &[&str], offers: &[&str]| Admission {
        program: program(&parts.join("\n")),
        offers: offers.iter().map(|tool| offer(tool, "", &[])).collect(),
        policies: Vec::new(),
        today: crate::Timestamp::from_millis(0),
    };
    let (t, u, table) = (call("t"), call("u"), "[tools.t]\npath = \"x\"");
    let tried = |admission| match admit(admission) {
        Ok(plan) => plan.rows().iter().map(|row| row.local.to_string()).collect::<Vec<_>>().join(" "),
        Err(refusal) => shown(&refusal),
    };
    // With a table, what a model may propose is what the table holds.
    assert_eq!(tried(admission(&[&t, &ask_model(&["t"]), table], &["t", "wire"])), "t");
    // Without one, tools are looked up by name, and one that is only proposable need not exist.
    assert_eq!(tried(admission(&[&ask_model(&["t", "wire"])], &["t"])), "t");
    assert_eq!(tried(admission(&[&ask_model(&["t"])], &["t", "wire"])), "t");
    assert_eq!(tried(admission(&[&t], &["t", "wire"])), "t");
    // A step cannot do without its tool.
    assert_eq!(tried(admission(&[&t, &u], &["t"])), "invalid: unknown_tool");
    assert_eq!(tried(admission(&[&t, table], &[])), "invalid: unknown_tool");
    assert_eq!(tried(admission(&[&t], &["t", "t"])), "invalid: ambiguous_tool");
    // The function: as named, of the tool's name, or the only one.
    assert_eq!(tried(admission(&[&t, table, "function = \"f\""], &["t"])), "t");
    assert_eq!(tried(admission(&[&t, table, "function = \"g\""], &["t"])), "invalid: unknown_function");
    let exporting = |functions: &[&str]| {
        let mut admission = admission(&[&call("issue_refund")], &["issue_refund"]);
        admission.offers[0].facts.exports = functions.iter().map(|function| export(function)).collect();
        match admit(admission) {
            Ok(plan) => plan.rows()[0].export.function.clone(),
            Err(refusal) => shown(&refusal),
        }
    };
    assert_eq!(exporting(&["f"]), "f");
    assert_eq!(exporting(&["f", "issue-refund"]), "issue-refund");
    assert_eq!(exporting(&["f", "g"]), "invalid: unknown_function");
    assert_eq!(exporting(&["issue-refund", "issue-refund"]), "invalid: ambiguous_function");
    assert_eq!(exporting(&[]), "invalid: unknown_function");
}

#[test]
fn the_digest_is_of_the_table() {
    let digest = |manifest: &str, policy: &str| World::new(manifest, &[KV, ENV], policy).plan().digest();
    let policy = permit("kv = [\"ledger\"]");
    let first = digest(LEDGER, &policy);
    assert_eq!(first, digest(LEDGER, &policy));
    // A policy that decides the same leaves the table the same; one that decides otherwise does not.
    assert_eq!(first, digest(LEDGER, &format!("# a word\n{policy}")));
    assert_ne!(first, digest(LEDGER, &format!("{policy}\n[limits]\nfuel = 7")));
    assert_ne!(first, digest(LEDGER, &policy.replace("\"r\"", "\"s\"")));
    assert_ne!(first, digest(LEDGER, &format!("{policy}\nrequire = \"$args.amount < 5\"")));
    assert_ne!(first, digest(&format!("# a word\n{LEDGER}"), &policy), "the manifest's digest is in it");

    let plan = World::new(LEDGER, &[KV], &policy).plan();
    let canonical = jcs::canonical(&plan.to_json()).expect("canonical");
    assert_eq!(plan.digest(), Digest::of(&canonical));

    // A variable's value is committed with the call, not guessable from the table.
    let env = "[capabilities]\nenv = [\"A\"]";
    let row = |value: &str| permit(&format!("env = [\"A\"]\n[env.t]\nA = \"{value}\""));
    let digest = |value: &str| World::new(env, &[ENV], &row(value)).plan().digest();
    assert_eq!(digest("1"), digest("2"));
}

#[test]
fn arguments() {
    let policy = "[[permit]]\nid = \"small\"\nrequire = \"$args.amount <= 50\"\n\
         [[permit]]\nid = \"theirs\"\nexpires = 2020-01-01\nrequire = \"$args.order.id == 'a' or $args.amount < 10\"\n\
         [[permit]]\nid = \"other\"\ntool = \"u\"\nrequire = \"False\"";
    let plan = World::new("", &[], policy).plan();
    let row = &plan.rows()[0];
    let verdict = |args: &Value| match plan.check_args(row, args) {
        Ok(()) => "ok".to_owned(),
        Err(ArgsRefused::Schema { misfits, .. }) => format!("schema {}", misfits[0].path),
        Err(ArgsRefused::Require { rule, undecidable, .. }) => {
            format!("{rule} {}", if undecidable.is_some() { "undecidable" } else { "false" })
        }
    };
    for (args, expect) in [
        (json!({ "amount": 50, "order": { "id": "a" } }), "ok"),
        (json!({ "amount": 9 }), "ok"),
        (json!({ "amount": 51, "order": { "id": "a" } }), "small false"),
        // The restriction of an expired row outlives its grants.
        (json!({ "amount": 50, "order": { "id": "b" } }), "theirs false"),
        (json!({ "amount": 50 }), "theirs false"),
        (json!({ "amount": "50" }), "schema /amount"),
        (json!({}), "schema "),
        (json!({ "amount": 5, "extra": 1 }), "schema "),
        (json!([]), "schema "),
        (Value::Null, "schema "),
    ] {
        assert_eq!(verdict(&args), expect, "{args}");
    }
    let plan = World::new("", &[], &permit("require = \"$args.order > 5\"")).plan();
    match plan.check_args(&plan.rows()[0], &json!({ "amount": 5 })) {
        Err(ArgsRefused::Require { undecidable: Some(_), .. }) => {}
        other => panic!("expected an undecidable condition, got {other:?}"),
    }
}

#[test]
fn a_refusal_of_arguments_does_not_hold_them() {
    let plan = World::new("", &[], "").plan();
    let secret = "4111-1111-1111-1111";
    let refused = plan.check_args(&plan.rows()[0], &json!({ "amount": secret })).expect_err("refused");
    assert!(!refused.to_string().contains(secret), "{refused}");
    let many: Value =
        (0..1000).map(|at| (format!("x{at}"), json!(at))).collect::<serde_json::Map<_, _>>().into();
    match plan.check_args(&plan.rows()[0], &many) {
        Err(ArgsRefused::Schema { misfits, .. }) => assert!(misfits.len() <= 16),
        other => panic!("expected misfits, got {other:?}"),
    }
}

#[test]
fn a_schema_that_refers_is_refused() {
    for (schema, expect) in [
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "object" } } }), "invalid: bad_schema"),
        (json!({ "unevaluatedProperties": false }), "invalid: bad_schema"),
        (json!({ "type": "object" }), "ok"),
        (json!({ "$ref": "https://example.com/schema.json" }), "invalid: bad_schema"),
        (json!({ "$ref": "file:///etc/passwd" }), "invalid: bad_schema"),
        (json!({ "type": 7 }), "invalid: bad_schema"),
    ] {
        let mut admission = World::new("", &[], "").admission();
        admission.offers[0].facts.exports[0].input = schema.clone();
        let verdict = match admit(admission) {
            Ok(_) => "ok".into(),
            Err(refusal) => shown(&refusal),
        };
        assert_eq!(verdict, expect, "{schema}");
    }
    let mut admission = World::new("", &[], "").admission();
    admission.offers[0].facts.exports[0].output = json!({ "$ref": "#" });
    assert_eq!(
        admit(admission).map_err(|refusal| shown(&refusal)).err().as_deref(),
        Some("invalid: bad_schema")
    );
}

#[test]
fn inert_requests_need_no_row_and_name_none() {
    let plan = World::new("", &[CLOCK, RANDOM], &permit("clock = \"virtual\"")).plan();
    assert_eq!(plan.rows()[0].granted, ["clock virtual", "random seeded"]);
    assert_eq!(plan.rows()[0].rules, []);
    assert!(Capability::Random(Random::Seeded).is_inert());
}

/// What admission says of a step with these keys, whose tool `t` is called and whose tools `u` and
/// `v` may check events. `u` is pure, `v` writes.
fn with_step(keys: &str) -> String {
    let step = format!("[[steps]]\nid = \"s\"\ntype = \"tool\"\ntool = \"t\"\n{keys}");
    let pure = "[functions.f]\neffect = \"pure\"";
    let mut checker = offer("u", pure, &[]);
    checker.facts.exports[0].input = json!({
        "type": "object",
        "properties": { "body": { "type": "string" }, "signature": { "type": "string" } },
        "required": ["body", "signature"],
        "additionalProperties": false,
    });
    let mut writer = offer("v", &format!("{pure}\n{WRITE}"), &[FILES]);
    writer.facts.exports[0].input = checker.facts.exports[0].input.clone();
    let policy = permit(MAY_WRITE).replace("[folders.t]", "[folders.v]");
    let admission = Admission {
        program: program(&step),
        offers: vec![offer("t", pure, &[]), checker, writer],
        policies: vec![
            Policy::parse(Source::new("policy.toml", policy), "/srv", Trust::Trusted).expect("a policy"),
        ],
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    };
    match admit(admission) {
        Ok(_) => "ok".into(),
        Err(refusal) => {
            if let Refusal::Invalid(found) = &refusal {
                let placed = |finding: &Diagnostic| {
                    finding.place().as_deref() == Some("program.toml:3:6")
                        && finding.step.as_deref() == Some("s")
                };
                assert!(found.iter().filter(|finding| finding.code != "unknown_tool").all(placed), "{found}");
            }
            shown(&refusal)
        }
    }
}

#[test]
fn arguments_that_fit_no_run() {
    for (args, expect) in [
        ("args = { amount = 1 }", "ok"),
        ("args = { amount = \"$x\" }", "ok"),
        ("args = { amount = 1, order = { id = \"a\", more = 1 } }", "ok"),
        ("", "invalid: absent_argument"),
        ("args = { amonut = 1 }", "invalid: unknown_argument, absent_argument"),
        ("args = { amount = \"$x\", x = 1, y = 2 }", "invalid: unknown_argument, unknown_argument"),
        ("args = { amount = \"1\" }", "invalid: invalid_args"),
        ("args = { amount = 1.5 }", "invalid: invalid_args"),
        ("args = { amount = 1, order = { id = 1 } }", "invalid: invalid_args"),
        // What a reference will bring is only known then.
        ("args = { amount = \"no. $x\" }", "ok"),
    ] {
        assert_eq!(with_step(args), expect, "{args}");
    }
}

#[test]
fn events_are_checked_by_pure_tools() {
    let verify =
        |tool: &str| with_step(&format!("args = {{ amount = 1 }}\nresume = {{ verify = \"{tool}\" }}"));
    assert_eq!(verify("u"), "ok");
    assert_eq!(verify("v"), "invalid: verify_not_pure");
    assert_eq!(verify("nobody"), "invalid: unknown_tool");
    // It takes the event's text and its signature, and nothing else.
    assert_eq!(verify("t"), "invalid: unknown_argument, unknown_argument, absent_argument");
}

/// A component of several functions stands in a program several times, and lacks what it lacks once.
#[test]
fn what_tools_of_one_component_lack_alike_is_said_once() {
    let more = |local: &str| Offer { local: name(local), ..offer("t", WRITE, &[FILES]) };
    let admission = Admission {
        program: program(&[call("t"), call("u"), call("v")].join("\n")),
        offers: vec![more("t"), more("u"), offer("v", WRITE, &[FILES])],
        policies: vec![Policy::none()],
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    };
    let Err(Refusal::Denied(denied)) = admit(admission) else { panic!("expected a denial") };
    assert_eq!(denied.gaps().len(), 3, "each is a refusal of its own");
    let said: Vec<String> = denied.diagnostics().iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].ends_with("; the same for `t`, `u`") && !said[1].contains("the same"), "{said:#?}");
}

/// A program whose tool `pay` gets its amount from where `amount` says, under these rows.
fn origins(amount: &str, rows: &str) -> Result<Plan, String> {
    let text = format!(
        "[inputs]\norder = {{ type = \"string\" }}\n[tools.load]\npath = \"load\"\nfunction = \"f\"\n[tools.pay]\n\
         path = \"pay\"\nfunction = \"f\"\n[[steps]]\nid = \"write\"\ntype = \"llm\"\nprompt = \"x\"\n[[steps]]\n\
         id = \"load\"\ntype = \"tool\"\nargs = {{ amount = \"$write\" }}\n[[steps]]\nid = \"agent\"\ntype = \"llm\"\n\
         prompt = \"x\"\n{amount}"
    );
    let claims = "[functions.f]\neffect = \"pure\"";
    let policy = |at: usize, text: &str| {
        Policy::parse(Source::new(format!("policy{at}.toml"), text), "/srv", Trust::Trusted)
            .expect("a policy")
    };
    admit(Admission {
        program: program(&text),
        offers: vec![offer("load", claims, &[]), offer("pay", claims, &[])],
        policies: rows.split("====").enumerate().map(|(at, rows)| policy(at, rows)).collect(),
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    })
    .map_err(|refusal| shown(&refusal))
}

fn pays(amount: &str) -> String {
    format!("[[steps]]\nid = \"pay\"\ntype = \"tool\"\nargs = {{ amount = {amount} }}")
}

#[test]
fn arguments_come_from_nowhere_that_a_row_forbids() {
    let row = |origins: &str| {
        format!("[[permit]]\nid = \"r\"\ntool = \"pay\"\nforbid_origin = {{ amount = [{origins}] }}")
    };
    let model = row("\"model\"");
    let check = |amount: &str, rows: &str, expect: &str| {
        let told = origins(amount, rows).map_or_else(|refused| refused, |_| "ok".to_owned());
        assert_eq!(told, expect, "{amount} {rows}");
    };
    check(&pays("1"), &model, "ok");
    check(&pays("\"$order\""), &model, "ok");
    check(&pays("\"$write\""), &model, "tainted_argument amount: model");
    check(&pays("\"$write.x\""), &row("\"choice\", \"webhook\""), "ok");
    check(&pays("1"), &row("\"literal\""), "tainted_argument amount: literal");
    check(&pays("\"$load.x\""), &row("\"tool\", \"model\""), "tainted_argument amount: tool, model");
    // A tool repeats what it was given, unless every policy says that it does not.
    let vouch = "[[permit]]\nid = \"v\"\ntool = \"load\"\nvouch_origin = [\"f\"]";
    check(&pays("\"$load.x\""), &model, "tainted_argument amount: model");
    check(&pays("\"$load.x\""), &format!("{model}\n{vouch}"), "ok");
    check(&pays("\"$load.x\""), &format!("{model}\n{vouch}===="), "tainted_argument amount: model");
    check(&pays("\"$load.x\""), &format!("{model}\n{vouch}\n===={vouch}"), "ok");
    let expired = format!("{model}\n{vouch}\nexpires = 2026-01-01");
    check(&pays("\"$load.x\""), &expired, "tainted_argument amount: model");
    // What is forbidden outlives its row, and holds for the whole where a part is forbidden.
    check(&pays("\"$write\""), &format!("{model}\nexpires = 2026-01-01"), "tainted_argument amount: model");
    let part = model.replace("amount =", "\"order.id\" =");
    let order = |order: &str| {
        format!("[[steps]]\nid = \"pay\"\ntype = \"tool\"\nargs = {{ amount = 1, order = {order} }}")
    };
    check(&order("\"$write\""), &part, "tainted_argument order.id: model");
    check(&order("{ id = \"$write\" }"), &part, "tainted_argument order.id: model");
    check(&order("{ id = \"x\" }"), &part, "ok");
    // Proposing a call is choosing all of it.
    check("allowed_tools = [\"pay\"]", &model, "tainted_argument amount: model");
    check("allowed_tools = [\"load\"]", &model, "ok");
    // A rule about no argument would protect nothing.
    check(&pays("1"), &model.replace("amount", "amonut"), "invalid: unknown_argument");
    check(&pays("1"), &model.replace("\"pay\"", "\"other\""), "ok");
}

#[test]
fn a_tainted_argument_says_the_way() {
    let row = "[[permit]]\nid = \"r\"\ntool = \"pay\"\nforbid_origin = { amount = [\"model\"] }";
    let plan = origins(&pays("\"$load.x\""), "").expect("nothing is forbidden");
    let told: Vec<String> = plan
        .arguments(&name("pay"))
        .map(|(name, origins)| format!("{name}: {:?}", origins.iter().collect::<Vec<_>>()))
        .collect();
    assert_eq!(told, ["amount: [Tool, Model]"]);
    let plan = origins("allowed_tools = [\"pay\"]", "").expect("nothing is forbidden");
    let names: Vec<&str> = plan.arguments(&name("pay")).map(|(name, _)| name).collect();
    assert_eq!(names, ["amount", "order"], "a model proposes any of them");
    let text = format!("{row}\n");
    let policy = Policy::parse(Source::new("policy.toml", text), "/srv", Trust::Trusted).expect("a policy");
    let mut world = World::new("", &[], "");
    world.manifest = "[functions.f]\neffect = \"pure\"".into();
    let mut admission = world.admission();
    admission.policies = vec![policy];
    let steps = format!("[[steps]]\nid = \"write\"\ntype = \"llm\"\nprompt = \"x\"\n{}", pays("\"$write\""));
    admission.program = program(&steps);
    admission.offers = vec![offer("pay", "[functions.f]\neffect = \"pure\"", &[])];
    let Err(Refusal::Denied(denied)) = admit(admission) else { panic!("it is refused") };
    let gap = &denied.gaps()[0];
    assert!(gap.message.contains("can come from model, by way of `write`"), "{}", gap.message);
    assert_eq!(gap.rule(), Some("r"));
    assert_eq!(
        gap.not_granted_by.as_ref().and_then(|by| by.place.as_ref()).map(ToString::to_string).as_deref(),
        Some("policy.toml:4")
    );
    let denial = crate::envelope::DenialRef::of_gap(gap);
    assert_eq!((denial.capability.as_str(), denial.culprit.as_str()), ("argument", "program"));
}
