//! Generated programs against generated events: bytes are read as choices, so that what fails
//! shrinks to the few choices that matter.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{Order, World, moment, plan, tool};
use super::*;
use crate::{Diagnostics, OnError, Severity};

/// Choices read from bytes; when they run out, the first choice is taken.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % bound)
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 1
    }
}

const REFERENCES: [&str; 7] = ["$i", "$s0", "$s1.n", "$k", "$nothing.x", "$__webhook__", "text"];

fn worker(choices: &mut Choices<'_>, id: &str) -> Value {
    let on_error = choices.of(&["fail", "skip", "retry"]);
    let mut step = match choices.below(4) {
        0 => call(id, json!({ "tool": "look", "args": { "x": choices.of(&REFERENCES) } })),
        1 => call(
            id,
            json!({ "tool": "pay", "args": { "amount": choices.of(&[json!(5), json!(501), json!("$i"), json!("$k")]) } }),
        ),
        2 => {
            ask(id, json!({ "prompt": choices.of(&REFERENCES), "allowed_tools": ["look", "pay", "nobody"] }))
        }
        _ => ask(
            id,
            json!({ "prompt": "?", "allowed_outputs": ["ok", "no"], "timeout_seconds": 1, "on_timeout": choices.of(&["fail", "fallback"]) }),
        ),
    };
    step["on_error"] = on_error.into();
    if on_error == "retry" {
        step["max_retries"] = (1 + choices.below(3)).into();
    }
    if choices.chance() {
        step["output_key"] = "k".into();
    }
    step
}

/// A program that may or may not check: every target is one of its steps, or none.
fn program(choices: &mut Choices<'_>) -> Value {
    let count = 1 + choices.below(5);
    let targets: Vec<String> = (0..count).map(|at| format!("s{at}")).collect();
    let mut list = Vec::new();
    for at in 0..count {
        let id = format!("s{at}");
        let mut step = match choices.below(4) {
            0 => {
                let condition = choices.of(&["$i == 5", "$k", "$s0 == 'ok'", "$i < 'a'", "True", "not $k"]);
                let mut step = branch(&id, condition, json!({ "then": choices.of(&targets) }));
                if choices.chance() {
                    step["otherwise"] = choices.of(&targets).into();
                }
                list.push(step);
                continue;
            }
            1 => {
                let subs: Vec<Value> =
                    (0..=choices.below(3)).map(|sub| worker(choices, &format!("p{at}_{sub}"))).collect();
                let mut step =
                    block(&id, json!(subs), json!({ "on_error": choices.of(&["fail", "skip", "retry"]) }));
                if choices.chance() {
                    step["max_concurrency"] = (1 + choices.below(2)).into();
                }
                step
            }
            _ => worker(choices, &id),
        };
        match choices.below(3) {
            0 => {}
            1 => step["is_terminal"] = true.into(),
            _ => step["next_step"] = choices.of(&targets).into(),
        }
        list.push(step);
    }
    let mut program = json!({ "max_steps": 1 + choices.below(12), "steps": list });
    if choices.chance() {
        program["max_stalled_steps"] = (1 + choices.below(3)).into();
    }
    if choices.chance() {
        program["max_tokens"] = (1 + choices.below(20)).into();
    }
    program
}

fn sound(program: &Value) -> bool {
    examined(program).is_ok()
}

fn examined(program: &Value) -> Result<(), Diagnostics> {
    let source = crate::Source::new("program.json", program.to_string());
    crate::Program::parse(source, crate::Format::Json).and_then(crate::Program::check).map(|_| ())
}

/// A program of guards that can go either way and tools that succeed. A target may be missing.
fn graph(choices: &mut Choices<'_>) -> Value {
    let count = 1 + choices.below(7);
    let target = |choices: &mut Choices<'_>| match choices.below(40) {
        39 => "nowhere".to_owned(),
        _ => format!("s{}", choices.below(count)),
    };
    let mut list = Vec::new();
    for at in 0..count {
        let id = format!("s{at}");
        let mut step = match choices.below(5) {
            0 | 1 => {
                let mut step = branch(&id, "$i", json!({}));
                let sides = choices.below(3);
                if sides != 1 {
                    step["then"] = target(choices).into();
                }
                if sides != 0 {
                    step["otherwise"] = target(choices).into();
                }
                list.push(step);
                continue;
            }
            2 => block(&id, json!([call(&format!("p{at}"), json!({}))]), json!({})),
            _ => call(&id, json!({})),
        };
        match choices.below(5) {
            0 => step["is_terminal"] = true.into(),
            1 | 2 => step["next_step"] = target(choices).into(),
            _ => {}
        }
        list.push(step);
    }
    json!({ "max_steps": 500, "steps": list })
}

/// The steps that a run executes with these decisions, and the guard that needs one more.
fn executed(plan: &Arc<Plan>, decisions: &[bool]) -> (BTreeSet<String>, Option<StepIndex>) {
    // What the guards ask for is withheld, so that the machine accepts either side.
    let mut run = Run::start_withheld(Arc::clone(plan), moment(0));
    let mut decisions = decisions.iter();
    let mut open = None;
    loop {
        match run.next() {
            Next::Record(Event::Decided { place, .. }) => match decisions.next() {
                Some(side) => run
                    .record(Event::Decided { place, taken: Some(*side) }, moment(0))
                    .expect("either side can be taken"),
                None => {
                    open = Some(place.step);
                    break;
                }
            },
            Next::Record(event) => run.record(event, moment(0)).expect("its own event"),
            Next::Perform(Action::Call(call)) => {
                let place = call.place;
                let args = Slot::known(call.args);
                run.record(Event::Started { place, tool: call.tool, args }, moment(0)).expect("a call");
                let end = CallEnd::Success { output: Slot::known(json!(1)), recorded: false };
                run.record(Event::Finished { place, end }, moment(0)).expect("its end");
            }
            Next::Ended => break,
            other => panic!("{other:?}"),
        }
    }
    let id = |step: StepIndex| plan.program().step(step).id.to_string();
    let steps = run.records().iter().map(|record| record.step).chain(open);
    (steps.map(id).collect(), open)
}

/// Every step that some run executes which begins with these decisions. What follows a guard
/// depends on nothing but its side, so each side of each guard is taken once.
fn explored(plan: &Arc<Plan>, begin: &[bool]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut guards = BTreeSet::new();
    let mut open = vec![begin.to_vec()];
    while let Some(decisions) = open.pop() {
        let (steps, guard) = executed(plan, &decisions);
        all.extend(steps);
        if let Some(guard) = guard
            && guards.insert(guard)
        {
            open.extend([true, false].map(|side| [&*decisions, &[side]].concat()));
        }
    }
    all
}

/// The program with a gate before it that leads to each of these steps too, so that all are
/// reachable and the program sound; with every gate shut it runs as it did.
fn gated(program: &Value, steps: &[String]) -> Value {
    let gate = |at: usize| if at < steps.len() { format!("gate{at}") } else { "go".to_owned() };
    let mut list: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| branch(&gate(at), "$i", json!({ "then": step, "otherwise": gate(at + 1) })))
        .collect();
    list.push(call("go", json!({ "next_step": "s0" })));
    list.extend(program["steps"].as_array().into_iter().flatten().cloned());
    json!({ "max_steps": 500, "steps": list })
}

/// A block of steps with tools of their own, so that who answers first decides no answer.
fn side_by_side(choices: &mut Choices<'_>) -> (Value, Value) {
    let calls = [
        json!({ "return": 5 }),
        json!({ "echo": true }),
        json!({ "fail": "unavailable" }),
        json!({ "fail": "rejected", "blocked": ["kv"] }),
        json!({ "fault": "trap" }),
    ];
    let texts = [
        json!({ "text": "ok", "tokens": 3 }),
        json!({ "text": "other", "estimated": 2 }),
        json!({ "hang": true }),
        json!({ "fail": "unavailable" }),
    ];
    let mut script = json!({});
    let mut subs = Vec::new();
    for at in 0..2 + choices.below(4) {
        let id = format!("p{at}");
        let mut sub = if choices.chance() {
            let tool = format!("look{at}");
            script[&*tool] = (0..4).map(|_| choices.of(&calls)).collect();
            call(&id, json!({ "tool": tool, "args": { "x": choices.of(&["$i", "$s", "text"]) } }))
        } else {
            script[&*id] = (0..4).map(|_| choices.of(&texts)).collect();
            ask(&id, json!({ "allowed_outputs": ["ok"], "timeout_seconds": 1 }))
        };
        sub["on_error"] = choices.of(&["fail", "skip", "retry"]).into();
        subs.push(sub);
    }
    let more = json!({ "on_error": choices.of(&["fail", "skip", "retry"]) });
    let program = steps(json!([
        call("s", json!({})),
        block("p", json!(subs), more),
        call("after", json!({ "args": { "x": "$p" } })),
    ]));
    (program, script)
}

/// What of a run does not depend on when things happened.
fn told_without_time(run: &Run) -> Value {
    let records = run.records().iter().map(|record| {
        let timeless = StepRecord { started: moment(0), ended: moment(0), ..record.clone() };
        format!("{timeless:?}")
    });
    json!([records.collect::<Vec<_>>(), format!("{:?} {:?}", run.tally(), run.end())])
}

fn script(choices: &mut Choices<'_>) -> Value {
    let calls = [
        json!({ "return": 5 }),
        json!({ "return": null }),
        json!({ "echo": true }),
        json!({ "fail": "unavailable" }),
        json!({ "fail": "rejected", "blocked": ["kv"] }),
        json!({ "fault": "trap" }),
        json!({ "stub": true }),
        json!({ "suspend": "wait" }),
    ];
    let texts = [
        json!({ "text": "ok", "tokens": 3 }),
        json!({ "text": "other", "estimated": 2 }),
        json!({ "text": "{\"tool\":\"look\"}" }),
        json!({ "text": "{\"tool\":\"pay\",\"args\":{\"amount\":5}}" }),
        json!({ "text": "{\"tool\":\"pay\",\"args\":{\"amount\":501}}" }),
        json!({ "text": "{\"tool\":\"pay\",\"args\":{}}" }),
        json!({ "text": "{\"tool\":\"nobody\"}" }),
        json!({ "text": "{\"tool\":\"tell\"}" }),
        json!({ "hang": true }),
        json!({ "fail": "unavailable" }),
    ];
    let mut script = json!({});
    for name in ["look", "pay"] {
        script[name] = (0..4).map(|_| choices.of(&calls)).collect();
    }
    for at in 0..5 {
        script[format!("s{at}")] = (0..3).map(|_| choices.of(&texts)).collect();
        for sub in 0..3 {
            script[format!("p{at}_{sub}")] = (0..3).map(|_| choices.of(&texts)).collect();
        }
    }
    script
}

/// An event about anything, also about places that no program has.
fn garbage(choices: &mut Choices<'_>, near: Place) -> Event {
    let number = |choices: &mut Choices<'_>, near: u32| {
        choices.of(&[near, near, near, 0, 1, 2, near.wrapping_add(1), near.wrapping_sub(1), u32::MAX])
    };
    let place = Place {
        step: StepIndex(number(choices, near.step.0)),
        visit: number(choices, near.visit),
        attempt: number(choices, near.attempt),
    };
    let value = |choices: &mut Choices<'_>| {
        choices.of(&[
            Slot::Withheld,
            Slot::known(json!({})),
            Slot::known(json!({ "amount": 5 })),
            Slot::known(json!("ok")),
            Slot::known(json!("{\"tool\":\"pay\",\"args\":{\"amount\":5}}")),
            Slot::known(json!(null)),
        ])
    };
    let kind = choices.of(&[
        ErrorKind::StepFailed,
        ErrorKind::UnresolvedReference,
        ErrorKind::InDoubt,
        ErrorKind::Authority,
        ErrorKind::ToolInjection,
        ErrorKind::InvalidProposal,
        ErrorKind::GuestFault,
        ErrorKind::Cancelled,
        ErrorKind::Stalled,
    ]);
    let code = choices.of(&[
        Code::UNRESOLVED,
        Code::INVALID_ARGS,
        Code::IDEMPOTENCY_HELD,
        Code::parse("other").expect("a code"),
    ]);
    let retry = choices.of(&[Retry::Maybe, Retry::Never]);
    let failure = Failure::new(kind, code, retry).with_message(value(choices));
    let culprit = choices.of(&[Culprit::Guest, Culprit::Model, Culprit::Program, Culprit::Component]);
    let denial = Denial {
        kind,
        capability: choices.of(&["tool", "require", "kv"]).to_owned(),
        rule: choices.of(&[Denial::NO_ROW, Denial::NOT_LISTED, Denial::SCHEMA, "small"]).to_owned(),
        culprit,
        value: value(choices),
    };
    match choices.below(13) {
        0 => {
            Event::Started { place, tool: tool(choices.of(&["look", "pay", "nobody"])), args: value(choices) }
        }
        1 => {
            let end = CallEnd::Success { output: value(choices), recorded: choices.chance() };
            Event::Finished { place, end }
        }
        2 => Event::Finished { place, end: CallEnd::Failure(failure) },
        3 => Event::Finished { place, end: CallEnd::Suspended { reason: value(choices), deadline: None } },
        4 | 5 => {
            let verdict = match choices.below(5) {
                0 => Verdict::Accepted,
                1 => Verdict::NotAllowed,
                2 => Verdict::Proposed,
                3 => Verdict::TimedOut,
                _ => Verdict::Failed(failure),
            };
            let text = if choices.chance() { Some(value(choices)) } else { None };
            let tokens = choices.of(&[0, 1, u64::MAX, 1 << 53]);
            let answer = Answer {
                prompt: value(choices),
                system: None,
                text,
                verdict,
                tokens,
                estimated_tokens: tokens,
            };
            Event::Answered { place, answer }
        }
        6 => Event::Decided { place, taken: choices.of(&[None, Some(true), Some(false)]) },
        7 => Event::Failed { place, failure },
        8 => Event::Denied { place, denial },
        9 => Event::Blocked { place, denial },
        10 => Event::Joined(place.step),
        11 => Event::Resumed { payload: value(choices), source: WebhookSource::Webhook, check: None },
        _ => Event::Closed(choices.of(&[
            End::success(),
            End::of(Status::Stalled, ErrorKind::Stalled),
            End::of(Status::BudgetExceeded, ErrorKind::BudgetMaxSteps),
        ])),
    }
}

/// Where something happens now, if anything does.
fn near(run: &Run) -> Place {
    match &run.state {
        State::Active(active) => {
            let lane = active.lanes.iter().find(|lane| !matches!(lane.phase, Phase::Done(_)));
            let lane = lane.unwrap_or(&active.lanes[0]);
            Place { step: lane.step, visit: lane.visit, attempt: lane.attempt }
        }
        _ => Place { step: StepIndex(0), visit: 1, attempt: 1 },
    }
}

/// What the checker and the budgets promise of every run.
fn promises(run: &Run) {
    let program = run.plan().program();
    let budgets = program.budgets();
    assert!(budgets.max_steps.is_none_or(|max| run.tally().steps <= max.get()));
    for record in run.records() {
        let step = program.step(record.step);
        if let OnError::Retry { attempts } = step.on_error {
            let rounds = step.block.map_or(1, |block| match program.step(block).on_error {
                OnError::Retry { attempts } => attempts.get(),
                _ => 1,
            });
            assert!(record.retries < attempts.get() * rounds);
        }
        if let Some(error) = &record.error {
            assert!(!(error.kind.is_authority() && record.status != StepStatus::Failed));
        }
    }
    if let State::Active(active) = &run.state {
        let lanes =
            |wanted: fn(&Phase) -> bool| active.lanes.iter().filter(|lane| wanted(&lane.phase)).count();
        assert_eq!(active.busy as usize, lanes(|phase| matches!(phase, Phase::Handed | Phase::Calling)));
        assert_eq!(active.unfinished, lanes(|phase| !matches!(phase, Phase::Done(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_within_its_budgets_and_verifies(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let mut choices = Choices(bytes.iter());
        let program = program(&mut choices);
        prop_assume!(sound(&program));
        let inputs = json!({ "i": choices.of(&[json!(5), json!("a"), json!(501), json!(null)]) });
        let mut world = World::new(&program, inputs, script(&mut choices));
        world.order = choices.of(&[Order::First, Order::Last]);
        let mut turns = 0;
        let mut at = None;
        loop {
            while world.step() {
                promises(&world.run);
                // No step begins once the tokens are spent: only the last one can exceed them.
                if let State::Active(active) = &world.run.state {
                    let now = (active.step, active.lanes[0].visit);
                    let tally = world.run.tally();
                    let max = world.run.plan().program().budgets().max_tokens;
                    if at.replace(now) != Some(now) {
                        prop_assert!(max.is_none_or(|max| tally.tokens + tally.estimated_tokens < max.get()));
                    }
                }
                turns += 1;
                assert!(turns < 5_000, "it does not end");
            }
            match world.run.suspension().map(|waits| waits.cause) {
                Some(SuspensionCause::Tool { .. }) => world.happens(Event::Resumed {
                    payload: Slot::known(json!({ "n": 1 })),
                    source: WebhookSource::Operator, check: None
                }),
                _ => break,
            }
        }
        prop_assert!(world.run.end().is_some() || world.run.suspension().is_some());
        // An end absorbs whatever comes.
        if world.run.end().is_some() {
            let before = shown(&world.run);
            for _ in 0..8 {
                let event = garbage(&mut choices, near(&world.run));
                prop_assert!(world.run.record(event, moment(world.clock)).is_err());
            }
            let cancelled = Event::Cancelled { reason: Slot::Withheld };
            prop_assert!(world.run.record(cancelled, moment(world.clock)).is_err());
            prop_assert_eq!(shown(&world.run), before);
        }
        let trace = world.proved();
        prop_assert_eq!(trace.predicates().len(), world.handed.envelopes.len());
        // Nothing disclosed but what was admitted: shape only, and no fault.
        let hidden = world.handed.without(|content| !content.role.is_document());
        prop_assert_eq!(hidden.verify(false).0.fault, None);
        // Half disclosed.
        let half = world.handed.without(|content| {
            !content.role.is_document() && bytes.get(content.seq as usize % bytes.len().max(1)).is_some_and(|byte| byte % 2 == 0)
        });
        prop_assert_eq!(half.verify(false).0.fault, None);
    }

    #[test]
    fn what_the_checker_calls_reachable_is_what_runs_reach(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let program = graph(&mut Choices(bytes.iter()));
        let list = program["steps"].as_array().expect("a list");
        let all: BTreeSet<String> =
            list.iter().filter_map(|step| step["id"].as_str()).map(str::to_owned).collect();
        let found = match examined(&program) {
            Ok(()) => Vec::new(),
            Err(found) => found
                .iter()
                .filter(|finding| finding.severity == Severity::Error)
                .map(|finding| (finding.code, finding.step.clone().expect("a step")))
                .collect(),
        };
        if program.to_string().contains("nowhere") {
            prop_assert!(found.iter().any(|(code, _)| *code == "missing_target"));
            return Ok(());
        }
        prop_assert!(found.iter().all(|(code, _)| *code == "unreachable_step"), "{found:?}");
        let never: Vec<String> = found.into_iter().map(|(_, step)| step).collect();
        let plan = plan(&gated(&program, &never));
        let reached = explored(&plan, &vec![false; never.len()]);
        for step in &all {
            prop_assert_eq!(reached.contains(step), !never.contains(step), "{} in {}", step, program);
        }
    }

    #[test]
    fn who_answers_first_changes_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut choices = Choices(bytes.iter());
        let (mut program, script) = side_by_side(&mut choices);
        let inputs = json!({ "i": 5 });
        let mut told: Option<Value> = None;
        for (order, at_a_time) in [(Order::First, 100), (Order::Last, 100), (Order::Last, 2), (Order::First, 1)] {
            program["steps"][1]["max_concurrency"] = at_a_time.into();
            let mut world = World::new(&program, inputs.clone(), script.clone());
            world.order = order;
            world.drive();
            prop_assert!(world.run.end().is_some());
            world.proved();
            let now = told_without_time(&world.run);
            let before = told.get_or_insert_with(|| now.clone());
            prop_assert_eq!(before, &now);
        }
    }

    #[test]
    fn no_event_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut choices = Choices(bytes.iter());
        let program = program(&mut choices);
        prop_assume!(sound(&program));
        let plan = plan(&program);
        let given = json!({ "i": 5 }).as_object().cloned().expect("inputs");
        let (mut run, mut again) = match choices.chance() {
            true => (Run::start(Arc::clone(&plan), given.clone(), moment(0)), Run::start(plan, given, moment(0))),
            false => (Run::start_withheld(Arc::clone(&plan), moment(0)), Run::start_withheld(plan, moment(0))),
        };
        let mut at = 0;
        while choices.0.len() > 0 {
            let event = match choices.below(3) {
                0 => match run.next() {
                    Next::Record(event) => event,
                    Next::Perform(Action::Call(call)) => Event::Started {
                        place: call.place, tool: call.tool, args: Slot::known(call.args),
                    },
                    Next::Perform(Action::Ask(ask)) => {
                        let text = choices.of(&["ok", "{\"tool\":\"pay\",\"args\":{\"amount\":5}}", "{\"tool\":1}"]).to_owned();
                        run.judge(&ask, Reply::Text { text, tokens: 1, estimated_tokens: 0 })
                    }
                    Next::Await | Next::Suspended | Next::Ended => garbage(&mut choices, near(&run)),
                },
                _ => garbage(&mut choices, near(&run)),
            };
            at += 1;
            let before = shown(&run);
            match run.record(event.clone(), moment(at)) {
                // What one machine accepted, another one that is only shown the events accepts too.
                Ok(()) => again.record(event.clone(), moment(at)).unwrap_or_else(|error| panic!("{event:?}: {error}")),
                Err(_) => prop_assert_eq!(shown(&run), before),
            }
            promises(&run);
        }
        prop_assert_eq!(run.records(), again.records());
        prop_assert_eq!(run.tally(), again.tally());
        prop_assert_eq!(run.end(), again.end());
        prop_assert_eq!(run.location(), again.location());
    }
}
