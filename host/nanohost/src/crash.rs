//! Ends the process at every point between two writes, recovers, and looks whether anything was
//! lost or happened twice. The process is this very test executable, since the places at which it
//! is ended are not in the one that users have.

mod erasing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser as _;
use nanohost_core::export::Role;
use nanohost_core::run::{Slot, SuspensionCause};
use nanohost_core::trace::{RunState, Trace};
use nanohost_core::{RunId, StepKind};
use nanohost_store::{Begun, Journal as _, OpenOptions, OpenRun, Records as _, SqliteReader, SqliteStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::Cli;
use crate::commands::verify_record;
use crate::project::Places;

const ARGS: &str = "NANOHOST_CRASH_ARGS";
const AT: &str = "NANOHOST_CRASH_AT";
const CLOCK: &str = "NANOHOST_CRASH_CLOCK";

/// Signal 9.
const KILLED: Option<i32> = Some(9);

/// nanohost itself, where the test below starts this executable again with arguments for it.
#[test]
fn child() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<String> = serde_json::from_str(&args).expect("the parent wrote them");
    let cli = Cli::parse_from(std::iter::once("nanohost".to_owned()).chain(args));
    std::process::exit(crate::nanohost(&cli) as i32);
}

/// A machine for one run.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let machine = Self { folder };
        let write = |name: &str, text: &str| fs::write(machine.path(name), text).expect("it is writable");
        fs::create_dir(machine.path("lines")).expect("it is writable");
        write("program.json", &program().to_string());
        write("policy.toml", POLICY);
        write("answers.toml", "[[answer]]\nstep = \"ask\"\ntext = \"go on\"\n");
        machine
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs nanohost, ended at the `at`-th point where one is given.
    fn nanohost(&self, args: &[&str], at: Option<usize>) -> ExitStatus {
        self.nanohost_at(args, at, None)
    }

    /// The same, with a clock that is some days behind and runs backwards.
    fn nanohost_at(&self, args: &[&str], at: Option<usize>, behind: Option<u32>) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().expect("a test executable has a path"));
        command.args(["--exact", "crash::child", "--nocapture", "--quiet"]).current_dir(self.folder.path());
        command.env(ARGS, serde_json::to_string(args).expect("arguments are text"));
        command.env("NANOHOST_STORE", self.path("store")).env("NANOHOST_CONFIG", self.path("config"));
        command.env("NANOHOST_CACHE", self.path("cache"));
        command.env_remove("NANOHOST_POLICY").env_remove(AT).env_remove(CLOCK);
        if let Some(days) = behind {
            command.env(CLOCK, days.to_string());
        }
        if let Some(at) = at {
            command.env(AT, at.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().expect("the test executable starts");
        if killed(&output.status) || output.status.code().is_some_and(|code| code <= 4) {
            return output.status;
        }
        panic!("{args:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self, at: Option<usize>) -> ExitStatus {
        let args = ["run", "program.json", "--policy", "policy.toml", "--json", "--idempotency-key", "once"];
        self.nanohost(&args, at)
    }

    fn places(&self) -> Places {
        Places {
            store: self.path("store"),
            config: self.path("config"),
            cache: None,
            policy: None,
            machine_policy: None,
            log_policy: None,
            offline: false,
        }
    }

    /// The exact bytes of the run's envelopes: what was acknowledged.
    fn envelopes(&self) -> Vec<Vec<u8>> {
        let Ok(store) = SqliteReader::open(&self.path("store"), &OpenOptions::default()) else {
            return Vec::new();
        };
        let runs = store.runs().expect("the store reads");
        assert!(runs.len() <= 1, "one key is one run");
        runs.first().map_or_else(Vec::new, |run| {
            store.load(&run.run).expect("the store reads").expect("it is listed").envelopes
        })
    }

    fn trace(&self) -> Trace {
        let store =
            SqliteReader::open(&self.path("store"), &OpenOptions::default()).expect("there is a store");
        let run = store.runs().expect("the store reads").remove(0).run;
        let record = store.load(&run).expect("the store reads").expect("it is listed");
        let trust = crate::commands::own_trust(&self.places()).expect("there is a key");
        let (report, trace) = verify_record(&record, &trust);
        assert_eq!(report.fault, None);
        trace.expect("the run verifies")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("lines/lines.txt")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets the run go on until it is over. What is in doubt is settled by looking outside.
    fn bring_to_its_end(&self, mut at: Option<usize>) {
        for _ in 0..12 {
            let acknowledged = self.envelopes();
            if acknowledged.is_empty() {
                // Nothing had begun: whoever starts again with the key begins.
                self.run(at.take());
            } else {
                let trace = self.trace();
                match trace.state() {
                    RunState::Closed => return,
                    RunState::Open => {
                        self.nanohost(&["recover", "--json"], at.take());
                    }
                    RunState::Suspended => self.settle(&trace, at.take()),
                }
            }
            let now = self.envelopes();
            assert!(now.starts_with(&acknowledged), "what was acknowledged is there");
        }
        panic!("the run does not come to its end");
    }

    fn settle(&self, trace: &Trace, at: Option<usize>) {
        let run = trace.machine().expect("an admitted run");
        assert_eq!(run.suspension().map(|waits| waits.cause), Some(SuspensionCause::InDoubt));
        let call = run.pending_call().expect("a call in doubt");
        let args = call.args.expect("its arguments are here");
        let line = args["line"].as_str().expect("it appends a line");
        let id = trace.run().as_str();
        if self.lines().iter().any(|there| there == line) {
            fs::write(self.path("happened.json"), line.len().to_string()).expect("it is writable");
            self.nanohost(&["settle", id, "--happened", "happened.json", "--json"], at);
        } else {
            self.nanohost(&["settle", id, "--did-not-happen", "--json"], at);
        }
    }
}

/// A clock that is set back, within a run and between two of them: nothing is lost or refused for it, and no
/// envelope is older than the one before it.
#[test]
fn a_clock_that_goes_backwards_stops_nothing() {
    let machine = Machine::new();
    let run = ["run", "program.json", "--policy", "policy.toml", "--json"];
    for behind in [0, 400, 30] {
        assert_eq!(machine.nanohost_at(&run, None, Some(behind)).code(), Some(0), "{behind} days behind");
    }
    // One that is cut off at a time goes on at an earlier one.
    assert!(killed(&machine.nanohost_at(&run, Some(12), Some(1))));
    for _ in 0..12 {
        machine.nanohost_at(&["recover", "--json"], None, Some(500));
        let trace = machine.trace();
        match trace.state() {
            RunState::Suspended => machine.settle(&trace, None),
            RunState::Open => {}
            RunState::Closed => break,
        }
    }
    let store =
        SqliteReader::open(&machine.path("store"), &OpenOptions::default()).expect("there is a store");
    let trust = crate::commands::own_trust(&machine.places()).expect("there is a key");
    let runs = store.runs().expect("the store reads");
    assert_eq!(runs.len(), 4);
    let mut days = BTreeMap::new();
    for run in runs {
        let record = store.load(&run.run).expect("the store reads").expect("it is listed");
        let (report, trace) = verify_record(&record, &trust);
        let trace = trace.unwrap_or_else(|| panic!("{:?}", report.fault));
        assert_eq!(trace.state(), RunState::Closed);
        let times: Vec<_> = trace.predicates().map(|predicate| predicate.time).collect();
        assert!(times.is_sorted(), "{times:?}");
        days.insert(trace.opened().as_millis() / 86_400_000, ());
    }
    assert!(days.len() >= 3, "the clocks were set back: {days:?}");
    assert_eq!(machine.nanohost(&["log", "fsck", "--json"], None).code(), Some(0));
}

fn killed(status: &ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(status) == KILLED
}

const POLICY: &str = r#"
[[permit]]
id = "lines"
program = "crash"
tool = "append-line"
filesystem = [{ guest = "/lines", access = "write" }]

[[permit]]
id = "orders"
program = "crash"
tool = "place-order"
kv = ["orders"]
vouch_idempotent = ["place"]

[folders.append-line]
"/lines" = "lines"
"#;

/// Pure, idempotent and external calls, key-value state, a model, a guard and a block.
fn program() -> Value {
    let tools = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools"));
    let tools = tools.canonicalize().expect("the tools lie beside the host");
    let at = |name: &str| json!({ "path": tools.join(name) });
    let append = |id: &str, line: &str| json!({ "id": id, "type": "tool", "tool": "append", "args": { "line": line } });
    let place = |id: &str, item: &str| {
        let args = json!({ "item": item, "amount_cents": 5, "approved_by": "dana" });
        json!({ "id": id, "type": "tool", "tool": "place", "args": args })
    };
    let decide = |id: &str| {
        let order = json!({ "id": "A-1", "customer": { "name": "Mira", "email": "m@example.org" }, "item": "kettle",
            "total_cents": 100, "delivered": null, "status": "cancelled" });
        json!({ "id": id, "type": "tool", "tool": "decide", "args": { "order": order, "as_of": "2026-11-23" } })
    };
    let mut once = append("third", "three");
    once["idempotency"] = "third".into();
    json!({
        "name": "crash",
        "models": { "scripted": "answers.toml" },
        "inputs": {},
        "max_steps": 20,
        "tools": {
            "append": at("append-line"),
            "place": at("place-order"),
            "decide": { "path": tools.join("eligibility"), "function": "decide" },
        },
        "steps": [
            decide("rules"),
            place("order", "oven"),
            append("first", "one"),
            { "id": "ask", "type": "llm", "prompt": "Now?", "output_key": "answer" },
            { "id": "both", "type": "parallel", "parallel_steps": [
                decide("again"), place("more", "hood"), append("second", "two") ] },
            { "id": "guard", "type": "condition", "condition": "$answer == 'go on'", "then": "third", "otherwise": "third" },
            once,
        ],
    })
}

/// What a run came to: each step's status and output, in trace order.
fn told(trace: &Trace) -> Vec<Value> {
    let run = trace.machine().expect("an admitted run");
    let step = |record: &nanohost_core::run::StepRecord| {
        let step = run.plan().program().step(record.step);
        let output = match (&step.kind, record.output.value()) {
            // In which order two orders of a block are numbered is no part of what it means.
            (StepKind::Parallel(_), _) => Value::Null,
            (_, output) => output.cloned().unwrap_or_default(),
        };
        json!([step.id, record.status.as_str(), output])
    };
    run.records().iter().map(step).collect()
}

/// What has to hold at the end, whatever happened on the way.
fn sound(machine: &Machine, undisturbed: &[Value], at: &str) {
    let trace = machine.trace();
    let run = trace.machine().expect("an admitted run");
    assert_eq!(run.final_output(), Some(&Slot::known(json!(5))), "{at}");
    assert_eq!(told(&trace), undisturbed, "{at}");
    let mut lines: BTreeMap<String, u32> = BTreeMap::new();
    machine.lines().into_iter().for_each(|line| *lines.entry(line).or_default() += 1);
    let once = ["one", "three", "two"].map(|line| (line.to_owned(), 1));
    assert_eq!(lines, BTreeMap::from(once), "every effect once, {at}");
    // Every call of which there is a result had its intent first, and there is one result a call.
    let mut results: BTreeMap<(String, u32), u32> = BTreeMap::new();
    for predicate in trace.predicates() {
        let (Some(step), Some(call)) = (&predicate.step, &predicate.call) else { continue };
        if call.result.as_deref() == Some("success") {
            *results.entry((step.id.to_string(), step.visit)).or_default() += 1;
        }
    }
    assert!(results.values().all(|count| *count == 1), "{results:?}, {at}");
    assert!(trace.value(0, &Role::SEED).is_some());
}

/// What the program does where nothing happens to it.
fn undisturbed() -> Vec<Value> {
    let machine = Machine::new();
    assert_eq!(machine.run(None).code(), Some(0));
    let told = told(&machine.trace());
    sound(&machine, &told, "undisturbed");
    told
}

#[test]
fn a_run_survives_its_process_at_every_point() {
    let undisturbed = undisturbed();
    let (next, ended) = (AtomicUsize::new(1), AtomicUsize::new(usize::MAX));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let machine = Machine::new();
                    if !killed(&machine.run(Some(at))) {
                        ended.fetch_min(at, Ordering::SeqCst);
                        break;
                    }
                    // Every other time the process that recovers is ended too.
                    machine.bring_to_its_end((at % 2 == 0).then_some(at / 2 % 7 + 1));
                    sound(&machine, &undisturbed, &format!("ended at point {at}"));
                }
            });
        }
    });
    let points = ended.load(Ordering::SeqCst);
    assert!((20..200).contains(&points), "{points} points were passed");
}

#[test]
fn recovery_leaves_a_live_run_alone() {
    let machine = Machine::new();
    let store = SqliteStore::open(&machine.path("store"), &OpenOptions::default()).expect("a store");
    let open = OpenRun { program: "live".into(), opened: crate::ledger::now(), start: None, subject: None };
    let id = RunId::from_random([3; 16]);
    let Begun::Owned(fence) = store.begin(&id, &open).expect("it begins") else { panic!("it has no key") };
    assert_eq!(machine.nanohost(&["recover", "--json"], None).code(), Some(0));
    assert_eq!(machine.nanohost(&["recover", id.as_str(), "--json"], None).code(), Some(0));
    assert!(store.is_live(&id).expect("liveness is known"));
    assert_eq!(fence.epoch(), 1);
    assert_eq!(store.runs().expect("the store reads").len(), 1);
    // Once its process is gone, and nothing of it had happened, nothing is left of it.
    drop(fence);
    assert_eq!(machine.nanohost(&["recover", "--json"], None).code(), Some(0));
    assert!(store.runs().expect("the store reads").is_empty());
}
