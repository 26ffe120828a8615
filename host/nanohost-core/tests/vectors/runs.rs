//! `runs.json`: programs through the whole line, admission included, with tools and models that
//! answer from the case. Nothing sleeps: back-off is only handed out.

use std::collections::BTreeMap;
use std::sync::Arc;

use nanohost_core::run::{
    Action, CallEnd, Code, ErrorKind, Event, Failure, Next, Reply, Retry, Run, Slot, StepRecord,
    WebhookSource,
};
use nanohost_core::{Admission, Offer, admit};
use nanohost_core::{
    CheckedProgram, Diagnostics, Digest, Format, Manifest, Program, Severity, Source, StepKind, Timestamp,
    ToolExport, ToolFacts, ToolName,
};
use serde_json::{Value, json};

use super::Outcome;

/// Judges one case.
pub(crate) fn run(case: &Value) -> Outcome {
    let mut actual = json!({});
    let mut passed = true;
    let mut world = World::of(case);
    let mut phases = vec![(&case["expect"], "expect".to_owned())];
    let resumes = case["resume"].as_array().map(Vec::as_slice).unwrap_or_default();
    let expected = case["resume_expect"].as_array().map(Vec::as_slice).unwrap_or_default();
    phases.extend(expected.iter().enumerate().map(|(at, expect)| (expect, format!("resume {at}"))));

    let mut machine = None;
    for (at, (expect, name)) in phases.into_iter().enumerate() {
        world.calls.clear();
        let state = match at.checked_sub(1).and_then(|at| resumes.get(at)) {
            None => match start(case) {
                Ok(run) => {
                    let mut run = Box::new(run);
                    world.drive(&mut run);
                    let state = world.state(&run);
                    machine = Some(run);
                    state
                }
                Err(codes) => json!({ "status": "not_admitted", "error_kind": codes }),
            },
            Some(event) => world.resume(machine.as_deref_mut(), event),
        };
        let fits =
            expect.as_object().into_iter().flatten().all(|(key, expected)| fits(key, expected, &state));
        passed &= fits;
        if !fits {
            actual[name] = state;
        }
    }
    Outcome { passed, actual }
}

fn fits(key: &str, expected: &Value, state: &Value) -> bool {
    match (key, &state[key]) {
        // Refused before the run: the expected code is one of those found.
        ("error_kind", Value::Array(codes)) => codes.contains(expected),
        ("steps", Value::Array(steps)) => expected.as_array().is_some_and(|expected| {
            steps.len() == expected.len()
                && steps.iter().zip(expected).all(|(step, expected)| {
                    expected
                        .as_object()
                        .is_some_and(|expected| expected.iter().all(|(key, value)| step[key] == *value))
                })
        }),
        (_, actual) => actual == expected,
    }
}

fn codes(findings: &Diagnostics) -> Vec<String> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.code.to_owned()).collect()
}

fn start(case: &Value) -> Result<Run, Vec<String>> {
    let source = Source::new("program.json", case["program"].to_string());
    let (program, _) =
        Program::parse(source, Format::Json).and_then(Program::check).map_err(|findings| codes(&findings))?;
    let inputs = program
        .bind_inputs(case["inputs"].as_object().cloned().unwrap_or_default())
        .map_err(|findings| codes(&findings))?;
    let program = Arc::new(program);
    let offers =
        called(&program).into_iter().filter(|name| case["tools"].get(name.as_str()).is_some()).map(offer);
    let admission = Admission {
        program: Arc::clone(&program),
        offers: offers.collect(),
        policies: Vec::new(),
        today: epoch(),
    };
    let plan = admit(admission).map_err(|refusal| match refusal {
        nanohost_core::Refusal::Invalid(findings) => codes(&findings),
        nanohost_core::Refusal::Denied(denied) => codes(&denied.diagnostics()),
    })?;
    Ok(Run::start(Arc::new(plan), inputs, epoch()))
}

fn epoch() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn called(program: &CheckedProgram) -> Vec<ToolName> {
    let names = program.steps().iter().filter_map(|step| match &step.kind {
        StepKind::Tool(call) => Some(call.tool.clone()),
        _ => None,
    });
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// A tool that takes anything and reaches nothing.
fn offer(local: ToolName) -> Offer {
    let manifest = format!("name = \"{local}\"\nversion = \"1.0.0\"\n[functions.f]\neffect = \"pure\"\n");
    let manifest = Manifest::parse(Source::new("manifest.toml", manifest)).expect("the manifest is fixed");
    let export =
        ToolExport { function: "f".to_owned(), interface: None, input: json!({}), output: json!({}) };
    let facts = ToolFacts { component: Digest::of(b""), size: 0, imports: Vec::new(), exports: vec![export] };
    Offer { local, manifest, facts, signature: None }
}

/// Everything outside the machine.
struct World {
    tools: BTreeMap<String, Vec<Value>>,
    llm: Vec<Value>,
    /// How often each was asked.
    asked: BTreeMap<String, usize>,
    calls: Vec<Value>,
    tokens: u64,
}

impl World {
    fn of(case: &Value) -> Self {
        let tools = case["tools"].as_object().into_iter().flatten();
        let behaviours = |value: &Value| value.as_array().cloned().unwrap_or_default();
        Self {
            tools: tools.map(|(name, list)| (name.clone(), behaviours(list))).collect(),
            llm: behaviours(&case["llm"]),
            asked: BTreeMap::new(),
            calls: Vec::new(),
            tokens: 0,
        }
    }

    /// The next behaviour of a list; the last one repeats.
    fn next(asked: &mut BTreeMap<String, usize>, name: &str, list: &[Value]) -> Option<Value> {
        let at = asked.entry(name.to_owned()).or_default();
        let behaviour = list.get(*at).or(list.last()).cloned();
        *at += 1;
        behaviour
    }

    fn drive(&mut self, run: &mut Run) {
        loop {
            match run.next() {
                Next::Record(event) => {
                    run.record(event, run.now()).expect("the machine's own events are legal")
                }
                Next::Perform(Action::Call(call)) => {
                    self.calls.push(json!({ "tool": call.tool, "args": call.args }));
                    let started = Event::Started {
                        place: call.place,
                        tool: call.tool.clone(),
                        args: Slot::known(call.args.clone()),
                    };
                    run.record(started, run.now()).expect("a call that was handed out may start");
                    let list = self.tools.get(call.tool.as_str()).cloned().unwrap_or_default();
                    let behaviour =
                        Self::next(&mut self.asked, call.tool.as_str(), &list).unwrap_or_default();
                    let end = end_of(&behaviour, call.args);
                    run.record(Event::Finished { place: call.place, end }, run.now())
                        .expect("a started call may end");
                }
                Next::Perform(Action::Ask(ask)) => {
                    let behaviour =
                        Self::next(&mut self.asked, "llm", &self.llm).unwrap_or(json!({ "text": "ok" }));
                    let event = run.judge(&ask, reply_of(&behaviour));
                    run.record(event, run.now()).expect("a model that was asked may answer");
                }
                Next::Await => panic!("nothing is going on, and the machine waits"),
                Next::Suspended | Next::Ended => return,
            }
        }
    }

    fn resume(&mut self, run: Option<&mut Run>, event: &Value) -> Value {
        let refused = json!({ "status": "resume_error" });
        let Some(run) = run else { return refused };
        let before = self.state(run);
        let same_program = event.get("program").is_none_or(|program| {
            Digest::of(program.to_string().as_bytes()) == run.plan().program().digest()
        });
        let resumed = Event::Resumed {
            payload: Slot::known(event["payload"].clone()),
            source: WebhookSource::Webhook,
            check: None,
        };
        if !same_program || event.get("trace_id").is_some() || run.record(resumed, run.now()).is_err() {
            assert_eq!(self.state(run), before, "a refused resume changes nothing");
            return refused;
        }
        self.drive(run);
        self.state(run)
    }

    fn state(&self, run: &Run) -> Value {
        let program = run.plan().program();
        let step = |record: &StepRecord| {
            json!({
                "id": program.step(record.step).id,
                "status": record.status.as_str(),
                "output": record.output.value(),
                "retries": record.retries,
            })
        };
        let (status, error) = match (run.end(), run.suspension()) {
            (Some(end), _) => (end.status.as_str(), end.error.map(ErrorKind::as_str)),
            (None, Some(_)) => ("suspended", None),
            (None, None) => ("running", None),
        };
        json!({
            "status": status,
            "path": run.records().iter().map(|record| &program.step(record.step).id).collect::<Vec<_>>(),
            "steps": run.records().iter().map(step).collect::<Vec<_>>(),
            "final_output": run.final_output().and_then(Slot::value),
            "error_kind": error,
            "suspended_step_id": run.suspension().map(|suspension| &program.step(suspension.step).id),
            "total_tokens": run.tally().tokens + self.tokens,
            "tool_calls": self.calls,
        })
    }
}

fn end_of(behaviour: &Value, args: Value) -> CallEnd {
    if behaviour.get("pending").is_some() {
        return CallEnd::Suspended { reason: Slot::known(Value::Null), deadline: None };
    }
    if behaviour.get("raise").is_some() {
        return CallEnd::Failure(passing(ErrorKind::StepFailed));
    }
    let output = if behaviour.get("echo").is_some() { args } else { behaviour["return"].clone() };
    CallEnd::Success { output: Slot::known(output), recorded: false }
}

fn reply_of(behaviour: &Value) -> Reply {
    if behaviour.get("hang").is_some() {
        return Reply::TimedOut;
    }
    if behaviour.get("raise").is_some() {
        return Reply::Failed { failure: passing(ErrorKind::StepFailed), tokens: 0 };
    }
    Reply::Text {
        text: behaviour["text"].as_str().unwrap_or("ok").to_owned(),
        tokens: behaviour["usage"]["total_tokens"].as_u64().unwrap_or(0),
        estimated_tokens: 0,
    }
}

fn passing(kind: ErrorKind) -> Failure {
    Failure::new(kind, Code::known("unavailable"), Retry::Maybe)
}
