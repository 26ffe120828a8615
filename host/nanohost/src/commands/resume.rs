//! `nanohost resume`, `settle` and `token`: somebody outside answers a run that waits.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use nanohost_core::envelope::{Observed, ResolverRef};
use nanohost_core::run::{
    CallEnd, Check, CheckEnd, Code, Denial, ErrorKind, Event, Failure as StepFailure, Retry, Settlement,
    Slot, SuspensionCause, WebhookSource,
};
use nanohost_core::trace::RunState;
use nanohost_core::{Diagnostic, Held, Principal, RunId, Source, Target, Timestamp, read_json};
use nanohost_sandbox::{CallContext, Cancellation, Engine};
use nanohost_store::{Claim, Fate, Journal as _, Phase, Records as _, ReservationState, SqliteStore};
use serde_json::{Value, json};

use super::driving::Manner;
use super::reopen::{self, OPERATOR, Ready, Took};
use crate::cli::{ResumeArgs, SettleArgs, TokenArgs};
use crate::console::{self, Console, Progress, Sight, program_name};
use crate::drive;
use crate::failure::{Exit, Failure};
use crate::project::{Places, read_bounded};
use crate::store_failure;

/// No event is larger: it is read whole, and committed to.
const MAX_EVENT: u64 = 4 << 20;

/// How the host knew who acts: they also held the suspension's token.
const TOKEN: &str = "token";

/// An event as it came.
pub struct Arrived {
    /// Its text.
    pub text: String,
    /// What that says.
    pub payload: Value,
}

/// `nanohost resume`.
pub fn resume(args: &ResumeArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::of(args.reveal) };
    if args.due {
        return due(args, manner, places, console);
    }
    let Some(run) = &args.run else {
        let finding = Diagnostic::error("missing_argument", "say which run to resume, or --due");
        return Err(Failure::usage(finding.help(format!("`{} list` shows the runs", program_name()))));
    };
    let arrived = args.event.as_deref().map(arrived).transpose()?;
    let (store, id) = reopen::find(run, places)?;
    let progress = Progress::new(manner.is_shown());
    let engine = Engine::new()?;
    let mut ready = waiting(&args.go_on, &args.principal, &store, &id, places, &engine, &progress)?;
    progress.clear();
    if ready.run.suspension().map(|at| at.cause) == Some(SuspensionCause::InDoubt) {
        return Err(reopen::not_suspended(
            &id,
            "is in doubt: nobody saw how its call ended",
            console::look_outside(&id),
        ));
    }
    let Some(arrived) = arrived else {
        return show(&ready, &id, manner, console);
    };
    // Said and signed alike, so without personal data.
    let shown = manner.is_shown().then(|| ready.question(Sight::Projected));
    if let Some(question) = &shown {
        console.note(&console::question(question, &id));
    }
    let reply = Reply { arrived, signature: args.signature.as_deref(), token: args.token.as_deref(), shown };
    answer(&mut ready, reply, &args.principal, &store)?;
    Ok(ready.go_on(manner, places, console, &store, &progress)?.0)
}

/// What somebody answers a suspension with.
pub struct Reply<'a> {
    /// The event.
    pub arrived: Arrived,
    /// What came beside it, for the tool that checks it.
    pub signature: Option<&'a str>,
    /// The token of the suspension.
    pub token: Option<&'a str>,
    /// What they were shown before.
    pub shown: Option<Value>,
}

/// Answers a suspension: who answers, with which token and with what is judged before anything changes, and
/// a refusal of any of it is recorded.
///
/// # Errors
/// What refuses, and where the store cannot be written.
pub fn answer(
    ready: &mut Ready,
    reply: Reply<'_>,
    principal: &Principal,
    store: &SqliteStore,
) -> anyhow::Result<()> {
    // Nobody gets a token for a wait that is over, so that is said first.
    let arrived = reply.arrived;
    let entitled = Some(ready.entitle(principal)?);
    let now = reopen::now(&ready.run);
    let resolver = ResolverRef { authenticated: OPERATOR.to_owned(), entitled, shown: None };
    in_time(ready, &arrived, resolver, now)?;
    let (entitled, authenticated) = authenticate(ready, reply.token, principal, store)?;
    let resolver = |entitled: Option<String>| ResolverRef {
        authenticated: authenticated.to_owned(),
        entitled,
        shown: None,
    };
    if let Err(why) = ready.run.fits_event(&arrived.payload) {
        let value = json!({ "event": arrived.payload, "why": why.to_string() });
        reopen::refuse(
            &mut ready.run,
            &mut ready.ledger,
            Denial::EVENT_SCHEMA,
            value,
            resolver(Some(entitled)),
        )?;
        return Err(reopen::refused(
            &why.to_string(),
            "mend the event and send it again: nothing was changed",
        ));
    }
    let checked = check(ready, &arrived, reply.signature, resolver(Some(entitled.clone())))?;
    // The check took its time.
    let now = reopen::now(&ready.run);
    in_time(ready, &arrived, resolver(Some(entitled.clone())), now)?;
    let source = if checked.is_some() { WebhookSource::Webhook } else { WebhookSource::Operator };
    let (check, mut observed) =
        checked.map_or((None, Observed::default()), |(check, observed)| (Some(check), observed));
    observed.take_over = Some(ready.take_over.clone());
    observed.resolver = Some((resolver(Some(entitled)), reply.shown));
    let seq = ready.ledger.next_seq();
    let claim = claim(ready, principal, Fate::Fulfil { seq })?;
    let event = Event::Resumed { payload: Slot::known(arrived.payload), source, check };
    ready.ledger.record_at(&mut ready.run, event, observed, now)?;
    ready.ledger.phase(Phase::Open);
    ready.ledger.commit_with(None, claim)
}

/// `nanohost settle`.
pub fn settle(args: &SettleArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::of(args.reveal) };
    let output = args.happened.as_deref().map(arrived).transpose()?;
    let (store, id) = reopen::find(&args.run, places)?;
    let progress = Progress::new(manner.is_shown());
    let engine = Engine::new()?;
    let mut ready = waiting(&args.go_on, &args.principal, &store, &id, places, &engine, &progress)?;
    progress.clear();
    if ready.run.suspension().map(|at| at.cause) != Some(SuspensionCause::InDoubt) {
        return Err(reopen::not_suspended(
            &id,
            "waits for an event, and no call of it is in doubt",
            format!("answer it: {}", console::answer(&ready.run, &id, None)),
        ));
    }
    if output.is_none() && !args.did_not_happen && !args.fail {
        return show(&ready, &id, manner, console);
    }
    if let Some(output) = &output
        && let Err(misfits) = ready.run.fits_output(&output.payload)
    {
        let message = format!("the tool cannot have returned that: {}", misfits.join("; "));
        return Err(Failure::usage(Diagnostic::error("invalid_input", message).help(returned(&ready, &id))));
    }
    // Said and signed alike, so without personal data.
    let shown = manner.is_shown().then(|| ready.question(Sight::Projected));
    if let Some(question) = &shown {
        console.note(&console::question(question, &id));
    }
    let (entitled, authenticated) = authenticate(&mut ready, args.token.as_deref(), &args.principal, &store)?;
    let resolver =
        ResolverRef { authenticated: authenticated.to_owned(), entitled: Some(entitled), shown: None };
    let pending = ready.run.pending_call();
    let seq = ready.ledger.next_seq();
    let (settlement, claim) = match output {
        Some(output) => (
            Settlement::Happened { output: Slot::known(output.payload) },
            claim(&mut ready, &args.principal, Fate::Fulfil { seq })?,
        ),
        None if args.did_not_happen => {
            (Settlement::DidNotHappen, claim(&mut ready, &args.principal, Fate::Release)?)
        }
        // Nobody knows: whoever comes with the same value must not call either.
        None => (Settlement::Failed, None),
    };
    let observed = Observed {
        take_over: Some(ready.take_over.clone()),
        resolver: Some((resolver, shown)),
        idempotency_key: outward_key(&ready)?,
        tool: pending.map(|call| call.tool),
        ..Observed::default()
    };
    ready.ledger.record(&mut ready.run, Event::Settled(settlement), observed)?;
    ready.ledger.phase(Phase::Open);
    ready.ledger.commit_with(None, claim)?;
    Ok(ready.go_on(manner, places, console, &store, &progress)?.0)
}

/// `nanohost token`: the one moment at which a token is shown.
pub fn token(args: &TokenArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (store, id) = reopen::find(&args.run, places)?;
    let progress = Progress::new(false);
    let engine = Engine::new()?;
    let mut ready = waiting(&args.go_on, &args.principal, &store, &id, places, &engine, &progress)?;
    if ready.run.resume_rules().is_none_or(|rules| rules.by.is_empty()) {
        return Err(reopen::not_suspended(
            &id,
            "names nobody in `resume.by`: whoever holds the store answers it, without a token",
            console::answer(&ready.run, &id, None),
        ));
    }
    if ready.run.is_too_late(reopen::now(&ready.run)) {
        let help = format!("the run goes on as its program says with: {} resume --due", program_name());
        return Err(reopen::not_suspended(
            &id,
            "waits no longer: the deadline of its suspension has passed",
            help,
        ));
    }
    ready.entitle(&args.principal)?;
    let at = ready.suspended_at.unwrap_or_default();
    let token = store.hand_out_token(&id, at, args.principal.as_str(), args.renew).map_err(store_failure)?;
    let Some(token) = token else {
        let message = format!("the token of {} for run {} was handed out before", args.principal, id.short());
        return Err(Failure::usage(
            Diagnostic::error("token_handed_out", message)
                .help(format!("tokens are shown once; {}", renewed(&id, &args.principal))),
        ));
    };
    if args.json {
        console.json(&json!({ "run": id, "principal": args.principal, "token": token.as_str() }))?;
    } else {
        console.note(&format!(
            "for {} alone, shown this once. They answer with:\n  {}",
            args.principal,
            console::answer(&ready.run, &id, Some(&args.principal))
        ));
        console.print(&format!("{}\n", token.as_str()))?;
    }
    Ok(Exit::Success)
}

/// `nanohost resume --due`: suspensions whose deadline has passed end with it.
fn due(args: &ResumeArgs, manner: Manner, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let store = Arc::new(crate::open_store(places)?);
    let engine = Engine::new()?;
    let progress = Progress::new(manner.is_shown());
    let mut worst = Exit::Success;
    let mut told = Vec::new();
    for summary in store.runs().map_err(store_failure)? {
        let nanohost_store::RunState::Suspended { deadline: Some(listed) } = summary.state else { continue };
        if listed > crate::ledger::now() {
            continue;
        }
        let id = summary.run;
        let outcome = (|| {
            let mut ready = match reopen::take(&store, &id, places)? {
                Took::Owned(reopened) => {
                    reopened.ready(&args.go_on, &args.principal, &store, places, &engine, &progress)?
                }
                Took::NotBegun(_) | Took::Live => return Ok(None),
            };
            // The listing is a hint; what was signed decides.
            let deadline = match ready.run.suspension().map(|at| at.cause) {
                Some(SuspensionCause::Tool { deadline: Some(deadline) }) => deadline,
                _ => return Ok(None),
            };
            if reopen::now(&ready.run) < deadline {
                return Ok(None);
            }
            let observed = Observed { take_over: Some(ready.take_over.clone()), ..Observed::default() };
            ready.ledger.record(&mut ready.run, Event::Expired, observed)?;
            ready.ledger.phase(Phase::Open);
            ready.ledger.commit()?;
            ready.finish(manner, &progress).map(Some)
        })();
        let line = super::recover::line(&id, &summary.program, outcome);
        if let Some((exit, line)) = line {
            let lost = super::recover::is_lost(&line);
            worst = if exit == Exit::Success || lost { worst } else { exit };
            told.push(line);
        }
    }
    super::recover::tell(&told, "expired", manner, console)?;
    Ok(worst)
}

/// A suspended run, owned and ready to go on.
///
/// # Errors
/// Where it does not wait, or cannot go on as it began.
pub fn waiting(
    go_on: &crate::cli::GoOnArgs,
    principal: &Principal,
    store: &Arc<SqliteStore>,
    id: &RunId,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Ready> {
    let reopened = match reopen::take(store, id, places)? {
        Took::Owned(reopened) => reopened,
        Took::Live => return Err(reopen::live(id)),
        Took::NotBegun(_) => {
            let help = format!("`{} list` shows the runs", program_name());
            return Err(reopen::not_suspended(
                id,
                "never began: its process ended before its first step",
                help,
            ));
        }
    };
    match reopened.state() {
        RunState::Suspended => reopened.ready(go_on, principal, store, places, engine, progress),
        RunState::Closed => {
            let help = format!("`{} trace {}` shows what it did", program_name(), id.short());
            Err(reopen::not_suspended(id, "is over", help))
        }
        RunState::Open => {
            let help = format!("let it go on: {} recover {}", program_name(), id.short());
            Err(reopen::not_suspended(id, "was interrupted and waits for nobody", help))
        }
    }
}

/// What the run waits for, and how to answer.
fn show(ready: &Ready, id: &RunId, manner: Manner, console: &Console) -> anyhow::Result<Exit> {
    let question = ready.question(manner.sight);
    if manner.sight == Sight::Revealed {
        console.note(console::REVEALS);
    }
    if manner.json {
        let rules = ready.run.resume_rules();
        // What is asked for: an event, or what the tool has returned.
        let schema = match ready.run.suspension().map(|at| at.cause) {
            Some(SuspensionCause::InDoubt) => ready.run.output_schema(),
            _ => rules.and_then(|rules| rules.schema.as_ref()),
        };
        console.json(&json!({
            "run": id,
            "status": "suspended",
            "exitCode": Exit::Suspended as u8,
            "expired": ready.run.is_too_late(reopen::now(&ready.run)),
            "question": question,
            "by": rules.map(|rules| &rules.by),
            "schema": schema,
            "verify": rules.and_then(|rules| rules.verify.as_ref()),
        }))?;
    } else {
        console.print(&console::question(&question, id))?;
        console.print(&console::how_to_answer(&ready.run, id, reopen::now(&ready.run)))?;
    }
    Ok(Exit::Suspended)
}

/// By what right, and how known, somebody answers.
fn authenticate(
    ready: &mut Ready,
    token: Option<&str>,
    principal: &Principal,
    store: &SqliteStore,
) -> anyhow::Result<(String, &'static str)> {
    let entitled = ready.entitle(principal)?;
    if ready.run.resume_rules().is_none_or(|rules| rules.by.is_empty()) {
        return Ok((entitled, OPERATOR));
    }
    let at = ready.suspended_at.unwrap_or_default();
    let fits = match token {
        Some(token) => store
            .token_fits(ready.ledger.run(), at, principal.as_str(), token.trim())
            .map_err(store_failure)?,
        None => false,
    };
    if fits {
        return Ok((entitled, TOKEN));
    }
    let resolver = ResolverRef { authenticated: OPERATOR.to_owned(), entitled: Some(entitled), shown: None };
    let value = json!({ "principal": principal, "given": token.is_some() });
    reopen::refuse(&mut ready.run, &mut ready.ledger, Denial::WRONG_TOKEN, value, resolver)?;
    let id = ready.ledger.run();
    let (why, help) = match token {
        None => (
            format!("{principal} answers this run with a token, and none was given"),
            format!("`{} token {} --as {principal}` hands it out, once", program_name(), id.short()),
        ),
        Some(_) => (
            format!("this is not the token of {principal} for this suspension"),
            format!("give the one that was handed out; {}", renewed(id, principal)),
        ),
    };
    Err(reopen::refused(&why, &help))
}

/// How a token is had that was handed out before.
fn renewed(id: &RunId, principal: &Principal) -> String {
    let name = program_name();
    format!("`{name} token {} --as {principal} --renew` makes a new one, and the old one ends", id.short())
}

/// No longer schema is shown beside a misfit: what fills the screen hides what is wrong.
const MAX_SHOWN_SCHEMA: usize = 2000;

/// What a call in doubt can have returned.
fn returned(ready: &Ready, id: &RunId) -> String {
    match ready.run.output_schema().map(Value::to_string) {
        Some(schema) if schema.len() <= MAX_SHOWN_SCHEMA => format!("what it returns fits {schema}"),
        _ => format!("`{} settle {} --json` shows the schema of what it returns", program_name(), id.short()),
    }
}

/// Calls the tool that the step checks events with; `None` where it names none.
fn check(
    ready: &mut Ready,
    arrived: &Arrived,
    signature: Option<&str>,
    resolver: ResolverRef,
) -> anyhow::Result<Option<(Check, Observed)>> {
    let Some(name) = ready.run.resume_rules().and_then(|rules| rules.verify.clone()) else {
        if signature.is_some() {
            let message = "the step checks no signature: it has no `resume.verify`";
            return Err(Failure::usage(
                Diagnostic::error("unused_signature", message).help("leave out --signature"),
            ));
        }
        return Ok(None);
    };
    let row = ready.plan.row(&name);
    let linked = ready.tool(&name).cloned();
    let (Some(row), Some(tool)) = (row, linked) else {
        let message = format!("`{name}`, which checks events, is not in the table");
        return Err(Failure::denied(Diagnostic::error("unknown_tool", message)));
    };
    let signature = signature.unwrap_or_default();
    let call = ready.run.check_args_of(row, &arrived.text, signature, reopen::now(&ready.run));
    let args_slot = Slot::known(call.clone());
    if let Err(why) = ready.plan.check_args(row, &call) {
        let value = json!({ "event": arrived.payload, "why": why.to_string() });
        reopen::refuse(&mut ready.run, &mut ready.ledger, Denial::EVENT_CHECK, value, resolver)?;
        return Err(reopen::refused(&why.to_string(), "nothing was changed: the run waits on"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let context = CallContext {
        idempotency_key: String::new(),
        attempt: 1,
        time: ready.run.opened(),
        seed: ready.tools.seed,
        identity: format!("{name}/check/{}", ready.ledger.next_seq()),
        kv: drive::kv_view(ready.ledger.store(), ready.run.plan(), &ready.tools.domain, &name),
        cancellation: Cancellation::default(),
    };
    let report = runtime.block_on(tool.call(&call, context));
    runtime.shutdown_background();
    let end = check_end(drive::ended(&report));
    let (used, usage) = drive::used(&report);
    let check = Check { tool: name.clone(), args: args_slot, end };
    let answers = drive::answers(&report.answers)?;
    let observed = Observed { used, usage: Some(usage), answers, ..Observed::default() };
    let CheckEnd::Refused { failure } = &check.end else { return Ok(Some((check, observed))) };
    let words = failure.message.value().filter(|words| !words.is_null());
    let words =
        words.map(|words| console::value_text(&ready.run.projection(Target::Log).value(Held::Words, words)));
    let why = format!(
        "`{name}` did not pass the event: {}{}",
        failure.code,
        words.map(|words| format!(": {words}")).unwrap_or_default()
    );
    let value = json!({ "event": arrived.payload });
    let event = Event::Refused {
        denial: Denial::of_event(Denial::EVENT_CHECK, Slot::known(value)),
        check: Some(check),
    };
    let observed = Observed { resolver: Some((resolver, None)), ..observed };
    ready.ledger.record(&mut ready.run, event, observed)?;
    ready.ledger.commit()?;
    Err(reopen::refused(&why, "nothing was changed: the run waits on"))
}

/// The key by which a later run knows that the answer is its own call's.
fn outward_key(ready: &Ready) -> anyhow::Result<Option<String>> {
    let Some(call) = ready.run.pending_call() else { return Ok(None) };
    let Some(key) = &call.idempotency else { return Ok(None) };
    let scope = drive::idempotency_scope(ready.run.plan(), &ready.tools.domain, &call.tool, key);
    Ok(Some(ready.ledger.store().outward_key(&scope).map_err(store_failure)?.to_string()))
}

/// What becomes of the idempotency value of the call that waits.
///
/// A reservation that nobody else can say anything of any more is replaced by whoever settles its
/// question here; one that somebody has taken since is left to them.
///
/// Whoever may not answer in the run that made the call may not here either.
fn claim(ready: &mut Ready, principal: &Principal, to: Fate) -> anyhow::Result<Option<Claim>> {
    let plan = &Arc::clone(ready.run.plan());
    let Some(call) = ready.run.pending_call() else { return Ok(None) };
    let Some(key) = &call.idempotency else { return Ok(None) };
    let scope = drive::idempotency_scope(plan, &ready.tools.domain, &call.tool, key);
    let place = drive::call_place(plan, call.place);
    let (store, run) = (ready.ledger.store(), ready.ledger.run());
    let held = store.recorded(&scope).map_err(store_failure)?;
    let over = match held {
        Some(held) if !held.is_of(run, &place) => {
            if held.state != ReservationState::Reserved {
                return Ok(None);
            }
            let left = drive::left_by(store, &held, &ready.run, run, &ready.tools.trust)?;
            let same = |left: &drive::Left| left.by == drive::answerers(&ready.run, call.place.step);
            let Some(left) = left.filter(same) else { return Ok(None) };
            if left.starter.as_deref() == Some(principal.as_str()) {
                ready.entitle_beside(principal, &left.by)?;
            }
            Some(held)
        }
        _ => None,
    };
    Ok(Some(Claim { scope, place, to, over }))
}

/// Refuses an event that comes after the deadline.
fn in_time(
    ready: &mut Ready,
    arrived: &Arrived,
    resolver: ResolverRef,
    now: Timestamp,
) -> anyhow::Result<()> {
    if !ready.run.is_too_late(now) {
        return Ok(());
    }
    let value = json!({ "event": arrived.payload });
    reopen::refuse(&mut ready.run, &mut ready.ledger, Denial::TOO_LATE, value, resolver)?;
    Err(reopen::refused(
        "the event came after the deadline of the suspension",
        &format!("`{} resume --due` lets the run go on as its program says", program_name()),
    ))
}

/// Reads an event, `-` from standard input.
fn arrived(path: &Path) -> anyhow::Result<Arrived> {
    let io = |error: std::io::Error| Failure::io("event_unreadable", "read the event", path, &error);
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().take(MAX_EVENT + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_EVENT {
            let message = format!("the event is larger than {MAX_EVENT} bytes");
            return Err(Failure::usage(Diagnostic::error("event_unreadable", message)));
        }
        bytes
    } else {
        read_bounded(path, MAX_EVENT).map_err(io)?
    };
    let text = String::from_utf8(bytes)
        .map_err(|error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    let payload =
        read_json(&Source::new(path.display().to_string(), text.as_str())).map_err(Failure::usage)?;
    Ok(Arrived { text, payload })
}

/// What a check came to.
pub fn check_end(end: CallEnd) -> CheckEnd {
    let refused =
        |code| CheckEnd::Refused { failure: StepFailure::new(ErrorKind::StepFailed, code, Retry::Never) };
    match end {
        CallEnd::Success { output, .. } if output.value() == Some(&Value::Bool(false)) => {
            refused(Code::known("check_false"))
        }
        CallEnd::Success { output, .. } => CheckEnd::Passed { output },
        CallEnd::Failure(failure) => CheckEnd::Refused { failure },
        CallEnd::Suspended { .. } => refused(Code::known("check_suspended")),
    }
}
