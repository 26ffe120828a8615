//! What is measured: the machine over admitted programs with tools that are Rust closures, the
//! checker, and conditions. Nothing is sealed, stored or sandboxed. The names and programs are those
//! of `host/bench/peer_nano_vm.py`, and every result is checked as it is there.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::run::{
    Action, CallEnd, Code, ErrorKind, Event, Failure, Next, Reply, Retry, Run, Slot, Status, WebhookSource,
};
use nanohost_core::{
    Admission, CheckedProgram, Condition, Digest, Format, Manifest, Offer, Plan, Program, Root, Scope,
    Source, StepKind, Timestamp, ToolExport, ToolFacts, ToolName, admit,
};
use serde_json::{Map, Value, json};

/// One thing that is measured.
pub(crate) struct Scenario {
    /// The name, the same as the peer's where it has such a scenario.
    pub(crate) name: &'static str,
    /// How many times it is done between two looks at the clock.
    pub(crate) batch: u32,
    /// How many batches make one measurement.
    pub(crate) batches: u32,
    /// Makes what does it `batch` times and says how long that took.
    pub(crate) make: fn(u32) -> Box<dyn FnMut() -> Duration>,
}

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "refund", batch: 20, batches: 2000, make: |batch| timed(batch, refund()) },
    Scenario { name: "tool_chain_10", batch: 10, batches: 2000, make: |batch| timed(batch, chain()) },
    Scenario { name: "parallel_8", batch: 10, batches: 2000, make: |batch| timed(batch, parallel()) },
    Scenario { name: "retries", batch: 20, batches: 2000, make: |batch| timed(batch, retries()) },
    Scenario { name: "budget", batch: 20, batches: 2000, make: |batch| timed(batch, budget()) },
    Scenario { name: "suspend_resume", batch: 20, batches: 2000, make: |batch| timed(batch, suspension()) },
    Scenario { name: "condition_eval", batch: 200, batches: 2000, make: |batch| timed(batch, condition()) },
    Scenario {
        name: "condition_eval_parsed",
        batch: 500,
        batches: 2000,
        make: |batch| timed(batch, parsed()),
    },
    Scenario { name: "validate_1k", batch: 1, batches: 300, make: |_| check() },
    Scenario { name: "parse_1k", batch: 1, batches: 100, make: |batch| timed(batch, parse()) },
    Scenario { name: "long_1k", batch: 1, batches: 300, make: |batch| timed(batch, long(1_000)) },
    Scenario { name: "long_100k", batch: 1, batches: 10, make: |batch| timed(batch, long(100_000)) },
    // One small program that goes on for longer: what grows is the run, not what it reads.
    Scenario { name: "loop_1k", batch: 1, batches: 500, make: |batch| timed(batch, cycle(1_000)) },
    Scenario { name: "loop_100k", batch: 1, batches: 20, make: |batch| timed(batch, cycle(100_000)) },
];

fn timed(batch: u32, mut op: impl FnMut() + 'static) -> Box<dyn FnMut() -> Duration> {
    Box::new(move || {
        let start = Instant::now();
        (0..batch).for_each(|_| op());
        start.elapsed()
    })
}

fn moment() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn text(program: &Value) -> Arc<Source> {
    Source::new("program.json", program.to_string())
}

fn checked(program: &Value) -> CheckedProgram {
    let checked = Program::parse(text(program), Format::Json).and_then(Program::check);
    checked.unwrap_or_else(|found| panic!("{found}")).0
}

/// A tool that takes anything and reaches nothing.
fn offer(local: ToolName) -> Offer {
    let manifest = format!("name = \"{local}\"\nversion = \"1.0.0\"\n[functions.f]\neffect = \"pure\"\n");
    let manifest = Manifest::parse(Source::new("manifest.toml", manifest)).expect("a manifest");
    let export = ToolExport { function: "f".into(), interface: None, input: json!({}), output: json!({}) };
    let facts = ToolFacts { component: Digest::of(b""), size: 0, imports: Vec::new(), exports: vec![export] };
    Offer { local, manifest, facts, signature: None }
}

fn plan(program: &Value) -> Arc<Plan> {
    let program = Arc::new(checked(program));
    let tools: BTreeSet<ToolName> = program
        .steps()
        .iter()
        .filter_map(|step| match &step.kind {
            StepKind::Tool(call) => Some(call.tool.clone()),
            _ => None,
        })
        .collect();
    let offers = tools.into_iter().map(offer).collect();
    let admission = Admission { program, offers, policies: Vec::new(), today: moment() };
    Arc::new(admit(admission).unwrap_or_else(|refusal| panic!("{refusal}")))
}

fn start(plan: &Arc<Plan>, inputs: Value) -> Run {
    let Value::Object(inputs) = inputs else { panic!("inputs are an object") };
    let inputs = plan.program().bind_inputs(inputs).expect("inputs that fit");
    Run::start(Arc::clone(plan), inputs, moment())
}

/// Drives a run as far as it goes; `tool` is every tool, the model says "refund".
fn drive(run: &mut Run, tool: &mut impl FnMut(&str, &Value) -> CallEnd) {
    loop {
        match run.next() {
            Next::Record(event) => run.record(event, moment()).expect("its own event"),
            Next::Perform(Action::Call(call)) => {
                let args = Arc::new(call.args);
                let end = tool(call.tool.as_str(), &args);
                let started = Event::Started { place: call.place, tool: call.tool, args: Slot::Known(args) };
                run.record(started, moment()).expect("a call begins");
                run.record(Event::Finished { place: call.place, end }, moment()).expect("and ends");
            }
            Next::Perform(Action::Ask(ask)) => {
                let reply = Reply::Text { text: "refund".into(), tokens: 3, estimated_tokens: 0 };
                let event = run.judge(&ask, reply);
                run.record(event, moment()).expect("an answer");
            }
            Next::Await => panic!("nothing goes on"),
            Next::Suspended | Next::Ended => return,
        }
    }
}

fn gives(output: Value) -> CallEnd {
    CallEnd::Success { output: Slot::known(output), recorded: false }
}

fn tools(name: &str, args: &Value) -> CallEnd {
    match name {
        "issue_refund" => gives(json!({
            "refund_id": format!("ref_{}", args["order_id"].as_str().unwrap_or_default()),
            "status": "processed",
        })),
        "send_rejection" => gives(json!({ "rejected": true, "order_id": args["order_id"] })),
        "audit_log" => {
            gives(json!({ "logged": true, "trace_id": args["trace_id"], "step_id": args["step_id"] }))
        }
        "inc" => gives(json!(args["v"].as_i64().unwrap_or_default() + 1)),
        "pend" => CallEnd::Suspended { reason: Slot::known(json!("PENDING")), deadline: None },
        other => panic!("no tool {other}"),
    }
}

fn succeeded(run: &Run, steps: usize) {
    assert_eq!(run.end().map(|end| end.status), Some(Status::Success));
    assert_eq!(run.records().len(), steps);
}

fn refund() -> impl FnMut() {
    let plan = plan(&json!({ "name": "refund", "max_steps": 10, "steps": [
        { "id": "classify", "type": "llm", "prompt": "Classify: $input. Reply refund.", "output_key": "intent" },
        { "id": "route", "type": "condition", "condition": "'refund' in $intent", "then": "process", "otherwise": "reject" },
        { "id": "process", "type": "tool", "tool": "issue_refund", "args": { "order_id": "$order_id" } },
        { "id": "reject", "type": "tool", "tool": "send_rejection", "args": { "order_id": "$order_id" } },
    ]}));
    move || {
        let mut run = start(&plan, json!({ "input": "refund order 1", "order_id": "1" }));
        drive(&mut run, &mut tools);
        succeeded(&run, 3);
    }
}

fn chain() -> impl FnMut() {
    let step = |at: usize| {
        let from = if at == 0 { "$seed".to_owned() } else { format!("$s{}", at - 1) };
        json!({ "id": format!("s{at}"), "type": "tool", "tool": "inc", "args": { "v": from } })
    };
    let steps: Vec<Value> = (0..10).map(step).collect();
    let plan = plan(&json!({ "name": "chain10", "max_steps": 12, "steps": steps }));
    move || {
        let mut run = start(&plan, json!({ "seed": 7 }));
        drive(&mut run, &mut tools);
        assert_eq!(run.final_output().and_then(Slot::value), Some(&json!(17)));
    }
}

fn parallel() -> impl FnMut() {
    let steps: Vec<Value> = (0..8)
        .map(|at| json!({ "id": format!("b{at}"), "type": "tool", "tool": "inc", "args": { "v": at } }))
        .collect();
    let block = json!({ "id": "p", "type": "parallel", "max_concurrency": 8, "parallel_steps": steps });
    let plan = plan(&json!({ "name": "parallel8", "max_steps": 4, "steps": [block] }));
    move || {
        let mut run = start(&plan, json!({}));
        drive(&mut run, &mut tools);
        succeeded(&run, 9);
        assert_eq!(run.final_output().and_then(Slot::value).map(|output| &output["b7"]), Some(&json!(8)));
    }
}

fn retries() -> impl FnMut() {
    let plan = plan(&json!({ "name": "retries", "max_steps": 4, "steps": [
        { "id": "flaky", "type": "tool", "tool": "flaky", "args": { "order_id": "$order_id" },
          "on_error": "retry", "max_retries": 3 },
    ]}));
    let mut calls = 0;
    move || {
        let mut run = start(&plan, json!({ "order_id": "1" }));
        drive(&mut run, &mut |_, args| {
            calls += 1;
            if calls % 3 == 0 {
                return gives(json!({ "ok": args["order_id"] }));
            }
            let failure = Failure::new(ErrorKind::StepFailed, Code::known("unavailable"), Retry::Maybe);
            CallEnd::Failure(failure.with_message(Slot::known(json!("boom"))))
        });
        succeeded(&run, 1);
        assert_eq!(run.records()[0].retries, 2);
    }
}

fn logging(trace: &str, id: String) -> Value {
    json!({ "id": id, "type": "tool", "tool": "audit_log", "args": { "trace_id": trace, "step_id": id } })
}

fn budget() -> impl FnMut() {
    let steps: Vec<Value> = (0..8).map(|at| logging("t0", format!("step_{at}"))).collect();
    let plan = plan(&json!({ "name": "budget_guard", "max_steps": 3, "steps": steps }));
    move || {
        let mut run = start(&plan, json!({ "order_id": "1" }));
        drive(&mut run, &mut tools);
        assert_eq!(run.end().map(|end| end.status), Some(Status::BudgetExceeded));
    }
}

fn suspension() -> impl FnMut() {
    let plan = plan(&json!({ "name": "suspend", "max_steps": 10, "steps": [
        { "id": "a", "type": "tool", "tool": "audit_log", "args": { "trace_id": "t", "step_id": "a" } },
        { "id": "wait", "type": "tool", "tool": "pend", "args": { "order_id": "$order_id" } },
        { "id": "c", "type": "tool", "tool": "issue_refund", "args": { "order_id": "$order_id" } },
    ]}));
    move || {
        let mut run = start(&plan, json!({ "order_id": "1" }));
        drive(&mut run, &mut tools);
        assert!(run.suspension().is_some());
        let payload = Slot::known(json!({ "paid": true }));
        let resumed = Event::Resumed { payload, source: WebhookSource::Webhook, check: None };
        run.record(resumed, moment()).expect("it waits for this");
        drive(&mut run, &mut tools);
        assert_eq!(run.end().map(|end| end.status), Some(Status::Success));
    }
}

const CONDITION: &str = "'refund' in $intent and $amount <= 500";

struct Names(Map<String, Value>);

impl Scope for Names {
    fn root(&self, name: &str) -> Root<'_> {
        self.0.get(name).map_or(Root::Absent, Root::Plain)
    }
}

fn names() -> Names {
    let names = json!({ "intent": "refund please", "amount": 129.5, "order_id": "7" });
    Names(names.as_object().cloned().expect("an object"))
}

fn condition() -> impl FnMut() {
    let names = names();
    move || {
        let condition = Condition::parse(black_box(CONDITION)).expect("a condition");
        assert_eq!(condition.evaluate(&names), Ok(true));
    }
}

fn parsed() -> impl FnMut() {
    let names = names();
    let condition = Condition::parse(CONDITION).expect("a condition");
    move || assert_eq!(black_box(&condition).evaluate(&names), Ok(true))
}

fn long_program(steps: usize) -> Value {
    let list: Vec<Value> = (0..steps).map(|at| logging("long", format!("s{at:04}"))).collect();
    json!({ "name": "long_horizon", "max_steps": steps + 2, "steps": list })
}

/// A program of a thousand steps, read and not yet checked.
pub(crate) fn unchecked(source: &Arc<Source>) -> Program {
    Program::parse(Arc::clone(source), Format::Json).expect("a program")
}

/// The text of that program.
pub(crate) fn thousand() -> Arc<Source> {
    text(&long_program(1_000))
}

/// Checking takes the program, so each is read outside of the time.
fn check() -> Box<dyn FnMut() -> Duration> {
    let source = thousand();
    Box::new(move || {
        let program = unchecked(&source);
        let start = Instant::now();
        let checked = program.check();
        let took = start.elapsed();
        assert_eq!(checked.map(|(program, _)| program.steps().len()).ok(), Some(1_000));
        took
    })
}

fn parse() -> impl FnMut() {
    let source = thousand();
    move || drop(unchecked(&source))
}

fn long(steps: usize) -> impl FnMut() {
    let plan = plan(&long_program(steps));
    move || {
        let mut run = start(&plan, json!({ "order_id": "1" }));
        drive(&mut run, &mut tools);
        succeeded(&run, steps);
    }
}

/// Ten steps round and round, until the budget ends them.
fn cycle(steps: usize) -> impl FnMut() {
    let mut list: Vec<Value> = (0..10).map(|at| logging("cycle", format!("s{at}"))).collect();
    list[9]["next_step"] = "s0".into();
    let plan = plan(&json!({ "name": "cycle", "max_steps": steps, "steps": list }));
    let output = Slot::known(json!({ "logged": true }));
    move || {
        let mut run = start(&plan, json!({ "order_id": "1" }));
        drive(&mut run, &mut |_, _| CallEnd::Success { output: output.clone(), recorded: false });
        assert_eq!(run.records().len(), steps);
    }
}
