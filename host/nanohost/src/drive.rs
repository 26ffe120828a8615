//! Drives a run: does what the machine says, and puts what happened on disk before anything
//! depends on it. The only place where sandbox, model, store and clock meet.
//!
//! Intents are durable before a call that can have an effect; a call's key-value writes commit
//! with its result; what nothing depends on yet waits for the next commit.

mod kv;
mod outcome;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::Effect;
use nanohost_core::envelope::Observed;
use nanohost_core::export::Role;
use nanohost_core::run::{
    Action, Ask, Call, CallEnd, Code, ErrorKind, Event, Failure as StepFailure, Next, Place, Retry, Run,
    Slot, SuspensionCause,
};
use nanohost_core::trace::{RunState, Trace};
use nanohost_core::{Diagnostic, Digest, Plan, RunId, StepIndex, StepKind, ToolName, TrustRoot};
use nanohost_sandbox::{CallContext, CallReport, Cancellation, FaultCode, Outcome, Tool, Usage, Use};
use nanohost_store::{
    CallPlace, Claim, Fate, IdempotencyScope, KvScope, Phase, Records as _, Reservation, ReservationState,
    SqliteStore,
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::commands::verify_record;
use crate::console::program_name;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::model::{Answered, Models, SCRIPTED};
use crate::{acts, store_failure, wait};
use kv::{CommittedKv, KvLock};
pub use outcome::{How, answers, ended, event, refusals, used};

/// What a run needs from outside.
pub struct Tools {
    /// The linked tools by their local names.
    pub linked: HashMap<ToolName, Arc<Tool>>,
    /// The models that the program's steps ask.
    pub models: Models,
    /// The run's secret seed.
    pub seed: [u8; 32],
    /// Whose key-value spaces and idempotency keys it shares; empty: the operator's own.
    pub domain: String,
    /// The keys by which a recorded result is believed.
    pub trust: TrustRoot,
    /// The idempotency keys that calls of the run were signed with before this process took it, by step
    /// and visit.
    pub signed_keys: HashMap<(StepIndex, u32), String>,
}

/// A run that is being driven.
pub struct Drive<'a> {
    run: Run,
    journal: Ledger,
    tools: Arc<Tools>,
    cancellation: Cancellation,
    in_flight: JoinSet<Done>,
    observed: Vec<CallObserved>,
    on_step: &'a dyn Fn(&str),
}

/// What a call did, kept for the summary.
#[derive(Debug)]
pub struct CallObserved {
    /// Which attempt of which step.
    pub place: Place,
    /// The tool.
    pub tool: ToolName,
    /// What it reached through its grants.
    pub used: Vec<Use>,
    /// What it cost; absent where a recorded result was reused.
    pub usage: Option<Usage>,
    /// Operations and values it was refused.
    pub denied: Vec<nanohost_sandbox::Refusal>,
    /// What it wrote to its log.
    pub logs: Vec<u8>,
}

/// Something that was going on and is over.
enum Done {
    /// It is this call's turn: the pause is over and its key-value space is its own.
    Ready(Call, Option<KvLock>),
    /// A call ended.
    Called { call: Call, report: Box<CallReport>, timed_out: bool, lock: Option<KvLock> },
    /// A model attempt ended.
    Answered(Ask, Answered),
    /// The run is being stopped, and this had not begun.
    Stopped,
    /// The host itself failed.
    Broken(anyhow::Error),
}

impl<'a> Drive<'a> {
    /// Drives `run` with the tools it was admitted with.
    pub fn new(
        run: Run,
        journal: Ledger,
        tools: Tools,
        cancellation: Cancellation,
        on_step: &'a dyn Fn(&str),
    ) -> Self {
        Self {
            run,
            journal,
            tools: Arc::new(tools),
            cancellation,
            in_flight: JoinSet::new(),
            observed: Vec::new(),
            on_step,
        }
    }

    /// Drives the run until it ends or waits for somebody outside. Everything is on disk then.
    pub async fn drive(mut self) -> anyhow::Result<(Run, Ledger, Vec<CallObserved>)> {
        loop {
            if self.cancellation.is_cancelled() && self.run.end().is_none() {
                self.stop().await?;
            }
            match self.run.next() {
                Next::Record(event) => {
                    let closed = match &event {
                        Event::Closed(end) => Some(end.status),
                        _ => None,
                    };
                    self.journal.record(&mut self.run, event, Observed::default())?;
                    if let Some(status) = closed {
                        self.journal.phase(Phase::Closed(status.as_str().to_owned()));
                        self.journal.commit()?;
                    }
                }
                Next::Perform(action) => self.begin(action).await?,
                Next::Await => match self.wait().await {
                    Some(done) => self.settle(done).await?,
                    None if self.cancellation.is_cancelled() => {}
                    None => anyhow::bail!("the run waits for work that nobody does"),
                },
                Next::Suspended => {
                    self.journal.phase(suspended(&self.run));
                    self.journal.commit()?;
                    break;
                }
                Next::Ended => break,
            }
        }
        Ok((self.run, self.journal, self.observed))
    }

    /// The next thing that is over; `None` where nothing is going on, or the user stops the run.
    async fn wait(&mut self) -> Option<Done> {
        let cancellation = self.cancellation.clone();
        tokio::select! {
            done = self.in_flight.join_next() => match done? {
                Ok(done) => Some(done),
                Err(error) => Some(Done::Broken(anyhow::Error::new(error).context("a task of the host ended"))),
            },
            () = crate::signals::cancelled(&cancellation) => None,
        }
    }

    /// A call that was stopped with its run says why, where whoever stopped it did: the run may end
    /// with the call, and then nothing else says it.
    fn stopped(&self, outcome: Outcome) -> anyhow::Result<Outcome> {
        let Outcome::Fault(mut fault) = outcome else { return Ok(outcome) };
        if fault.code == FaultCode::Cancelled
            && let Some(reason) =
                self.journal.store().asked_to_stop(self.journal.run()).map_err(store_failure)?
        {
            fault.message = format!("{}: {reason}", fault.message);
        }
        Ok(Outcome::Fault(fault))
    }

    /// The user wants the run to end: guests are stopped, what they left is recorded, then the end.
    async fn stop(&mut self) -> anyhow::Result<()> {
        while let Some(done) = self.in_flight.join_next().await {
            match done.context("a task of the host ended")? {
                // Not begun: nothing happened.
                Done::Ready(..) | Done::Answered(..) | Done::Stopped => {}
                done => {
                    if self.run.end().is_none() && self.run.suspension().is_none() {
                        self.settle(done).await?;
                    }
                }
            }
        }
        if self.run.end().is_none() && !self.run.is_closing() {
            let asked = self.journal.store().asked_to_stop(self.journal.run()).map_err(store_failure)?;
            let reason = Slot::known(asked.map_or(Value::Null, Value::from));
            self.journal.record(&mut self.run, Event::Cancelled { reason }, Observed::default())?;
        }
        Ok(())
    }

    fn in_block(&self, place: Place) -> bool {
        self.run.plan().program().step(place.step).block.is_some()
    }

    fn step_id(&self, step: StepIndex) -> &str {
        self.run.plan().program().step(step).id.as_str()
    }

    /// Starts what the machine handed out: first the pause and the lock, then the thing itself.
    async fn begin(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Ask(ask) => {
                (self.on_step)(self.step_id(ask.place.step));
                let tools = Arc::clone(&self.tools);
                let step = self.step_id(ask.place.step).to_owned();
                let cancellation = self.cancellation.clone();
                self.in_flight.spawn(async move {
                    let answered = async {
                        wait::pause(ask.backoff).await;
                        tools.models.ask(&step, &ask).await
                    };
                    match wait::unless_cancelled(&cancellation, answered).await {
                        Some(answered) => Done::Answered(ask, answered),
                        None => Done::Stopped,
                    }
                });
                Ok(())
            }
            Action::Call(call) => {
                (self.on_step)(self.step_id(call.place.step));
                let alone = call.idempotency.is_some()
                    || self.run.plan().row(&call.tool).is_some_and(|row| !row.grants.kv().is_empty());
                let scope = alone.then(|| self.kv_scope(&call.tool));
                if scope.is_none() && call.backoff.is_none() {
                    return self.start(call, None).await;
                }
                let store = Arc::clone(self.journal.store());
                let cancellation = self.cancellation.clone();
                self.in_flight.spawn(async move {
                    if wait::unless_cancelled(&cancellation, wait::pause(call.backoff)).await.is_none() {
                        return Done::Stopped;
                    }
                    match scope {
                        None => Done::Ready(call, None),
                        Some(scope) => match KvLock::take(&store, &scope, &cancellation).await {
                            Ok(Some(lock)) => Done::Ready(call, Some(lock)),
                            Ok(None) => Done::Stopped,
                            Err(error) => Done::Broken(error),
                        },
                    }
                });
                Ok(())
            }
        }
    }

    fn kv_scope(&self, local: &ToolName) -> KvScope {
        kv_scope(self.run.plan(), &self.tools.domain, local)
    }

    /// Something is over: record it.
    async fn settle(&mut self, done: Done) -> anyhow::Result<()> {
        match done {
            Done::Broken(error) => Err(error),
            Done::Stopped => Ok(()),
            Done::Answered(ask, answered) => {
                let in_block = self.in_block(ask.place);
                let event = self.run.judge(&ask, answered.reply);
                let observed = Observed { cost: answered.cost, ..Observed::default() };
                self.journal.record(&mut self.run, event, observed)?;
                // What was paid for, or came while others go on, is durable as it arrives.
                if in_block || ask.model != SCRIPTED { self.journal.commit() } else { Ok(()) }
            }
            Done::Ready(call, lock) => self.start(call, lock).await,
            Done::Called { call, report, timed_out, lock } => self.called(call, *report, timed_out, lock),
        }
    }

    fn called(
        &mut self,
        call: Call,
        report: CallReport,
        timed_out: bool,
        lock: Option<KvLock>,
    ) -> anyhow::Result<()> {
        self.finish(call, report, timed_out)?;
        drop(lock); // only now that the result is on disk
        Ok(())
    }

    /// The turn of a call: its recorded result, or its intent and then the call.
    async fn start(&mut self, call: Call, lock: Option<KvLock>) -> anyhow::Result<()> {
        if let Some(key) = &call.idempotency {
            let scope = self.idempotency_scope(&call.tool, key);
            let held = self.journal.store().recorded(&scope).map_err(store_failure)?;
            // What this very call reserved, before its process died or in an earlier attempt, is its own.
            let place = call_place(self.run.plan(), call.place);
            if let Some(held) = held.filter(|held| !held.is_of(self.journal.run(), &place)) {
                return self.reuse(&call, &held);
            }
        }
        let plan = Arc::clone(self.run.plan());
        let row = plan.row(&call.tool).context("the machine hands out calls of the table only")?;
        let started = Event::Started {
            place: call.place,
            tool: call.tool.clone(),
            args: Slot::known(call.args.clone()),
        };
        if row.effect == Effect::Pure {
            let time = self.journal.now().max(self.run.now());
            self.run.record(started, time)?;
        } else {
            let observed =
                Observed { idempotency_key: Some(self.outward_key(&call)?), ..Observed::default() };
            self.journal.record(&mut self.run, started, observed)?;
            // An external effect is reserved with its intent; others claim their key with the result.
            let claim = match row.effect {
                Effect::External => self.claim(&call, Fate::Reserve),
                _ => None,
            };
            self.journal.commit_with(None, claim)?;
        }
        let tool = Arc::clone(self.tools.linked.get(&call.tool).context("every row has a linked tool")?);
        let context = CallContext {
            idempotency_key: self.outward_key(&call)?,
            attempt: call.place.attempt,
            time: self.run.opened(),
            seed: self.tools.seed,
            identity: format!(
                "{}/{}/{}",
                self.step_id(call.place.step),
                call.place.visit,
                call.place.attempt
            ),
            kv: Arc::new(CommittedKv::new(Arc::clone(self.journal.store()), self.kv_scope(&call.tool))),
            cancellation: Cancellation::default(),
        };
        let everything = self.cancellation.clone();
        if !self.in_block(call.place) {
            // Nothing goes on beside it: no other thread has to be woken for it, and for its end.
            let (report, timed_out) = call_within(&tool, &call, context, &everything).await;
            return self.called(call, report, timed_out, lock);
        }
        self.in_flight.spawn(async move {
            let (report, timed_out) = call_within(&tool, &call, context, &everything).await;
            Done::Called { call, report: Box::new(report), timed_out, lock }
        });
        Ok(())
    }

    /// The key that the guest and the outside may deduplicate by. It tells nothing of the step's
    /// own key, which may be personal data.
    ///
    /// A call that began in another process keeps the key that it was signed with.
    fn outward_key(&self, call: &Call) -> anyhow::Result<String> {
        if let Some(signed) = self.tools.signed_keys.get(&(call.place.step, call.place.visit)) {
            return Ok(signed.clone());
        }
        if let Some(key) = &call.idempotency {
            let scope = self.idempotency_scope(&call.tool, key);
            return Ok(self.journal.store().outward_key(&scope).map_err(store_failure)?.to_string());
        }
        let Place { step, visit, .. } = call.place;
        let text = format!("nanohost/key/v1\0{}\0{}\0{visit}", self.journal.run(), self.step_id(step));
        Ok(Digest::of(text.as_bytes()).to_string())
    }

    fn idempotency_scope(&self, local: &ToolName, key: &str) -> IdempotencyScope {
        idempotency_scope(self.run.plan(), &self.tools.domain, local, key)
    }

    fn claim(&self, call: &Call, to: Fate) -> Option<Claim> {
        let scope = self.idempotency_scope(&call.tool, call.idempotency.as_ref()?);
        Some(Claim { scope, place: call_place(self.run.plan(), call.place), to, over: None })
    }

    /// Somebody made this call before: its recorded result stands, or its end is not known.
    fn reuse(&mut self, call: &Call, held: &Reservation) -> anyhow::Result<()> {
        let place = call.place;
        let ReservationState::Fulfilled { seq } = held.state else {
            let store = self.journal.store();
            let live = store.is_live(&held.run).map_err(store_failure)?;
            let left = left_by(store, held, &self.run, self.journal.run(), &self.tools.trust)?;
            let (kind, retry) = match left {
                Some(left) if left.by == answerers(&self.run, call.place.step) => {
                    (ErrorKind::InDoubt, Retry::Never)
                }
                _ => (ErrorKind::StepFailed, if live { Retry::Maybe } else { Retry::Never }),
            };
            let words = format!("run/{} made this call, and nobody saw how it ended", held.run);
            let failure =
                StepFailure::new(kind, Code::IDEMPOTENCY_HELD, retry).with_message(Slot::known(words.into()));
            return self.journal.record(&mut self.run, Event::Failed { place, failure }, Observed::default());
        };
        let record = acts::load(&**self.journal.store(), &held.run).map_err(store_failure)?;
        let trace = record.as_ref().and_then(|record| verify_record(record, &self.tools.trust).1);
        let output =
            trace.as_ref().and_then(|trace| self.recorded_output(trace, seq, call, held.place.is_some()));
        let Some(output) = output else {
            if let Ok(at) = usize::try_from(seq)
                && trace.as_ref().is_some_and(|trace| trace.is_erased(at, &Role::OUTPUT))
            {
                // It is not made again either: that it was made stands.
                let words = format!("run/{} made this call, and its result was erased", held.run);
                let failure = StepFailure::new(ErrorKind::StepFailed, Code::IDEMPOTENCY_HELD, Retry::Never)
                    .with_message(Slot::known(words.into()));
                let failed = Event::Failed { place, failure };
                return self.journal.record(&mut self.run, failed, Observed::default());
            }
            let what = format!(
                "run/{}/{seq} is to hold the result of an earlier call with this idempotency value, and does \
                 not hold one that can be believed",
                held.run
            );
            return Err(lost(&held.run, what));
        };
        let end = CallEnd::Success { output: Slot::known(output), recorded: true };
        let observed = Observed {
            recorded: Some(format!("run/{}/{seq}", held.run)),
            idempotency_key: Some(self.outward_key(call)?),
            input: Some(Slot::known(call.args.clone())),
            tool: Some(call.tool.clone()),
            ..Observed::default()
        };
        self.observed.push(CallObserved {
            place,
            tool: call.tool.clone(),
            used: Vec::new(),
            usage: None,
            denied: Vec::new(),
            logs: Vec::new(),
        });
        self.journal.record(&mut self.run, Event::Finished { place, end }, observed)
    }

    /// The result in an earlier run, where it is one of the same program and tool function.
    fn recorded_output(&self, trace: &Trace, seq: u64, call: &Call, has_place: bool) -> Option<Value> {
        let at = usize::try_from(seq).ok()?;
        let predicate = trace.predicates().nth(at)?;
        let step = predicate.step.as_ref()?;
        let earlier = trace.machine()?.plan();
        // The key that the call was signed with is that of this one. Before reservations had places,
        // results were not signed with one.
        let signed = trace
            .predicates()
            .take(at.saturating_add(1))
            .filter(|other| other.step.as_ref().is_some_and(|other| other.id == step.id));
        let signed = signed.filter_map(|made| made.call.as_ref()?.idempotency_key.as_ref()).last();
        let scope = self.idempotency_scope(&call.tool, call.idempotency.as_ref()?);
        match signed {
            Some(signed) if !self.journal.store().is_outward_key(&scope, signed).ok()? => return None,
            None if has_place => return None,
            _ => {}
        }
        // The result of a call that waited is the event that answered it.
        let (made, role) = match &predicate.call {
            _ if step.event.starts_with("resumed:") => {
                let waited = earlier.program().index_of(step.id.as_str())?;
                match &earlier.program().step(waited).kind {
                    StepKind::Tool(waited) => (&waited.tool, Role::EVENT),
                    _ => return None,
                }
            }
            Some(made) if made.result.as_deref() == Some("success") => (&made.tool, Role::OUTPUT),
            _ => return None,
        };
        let (then, now) = (earlier.row(made)?, self.run.plan().row(&call.tool)?);
        let same = earlier.program().name() == self.run.plan().program().name()
            && then.tool == now.tool
            && then.export.path() == now.export.path();
        same.then(|| trace.value(at, &role).cloned())?
    }

    /// A call is over: refusals first, then the result with everything that commits with it.
    fn finish(&mut self, call: Call, report: CallReport, timed_out: bool) -> anyhow::Result<()> {
        let place = call.place;
        let plan = Arc::clone(self.run.plan());
        let row = plan.row(&call.tool).context("the machine hands out calls of the table only")?;
        for denial in outcome::refusals(&report) {
            self.journal.record(&mut self.run, Event::Blocked { place, denial }, Observed::default())?;
        }
        let stopped = self.cancellation.is_cancelled();
        let (used, usage) = outcome::used(&report);
        let CallReport { outcome, used: uses, denied, logs, kv, usage: cost, answers, .. } = report;
        self.observed.push(CallObserved {
            place,
            tool: call.tool.clone(),
            used: uses,
            usage: Some(cost),
            denied,
            logs,
        });
        let outcome = if stopped { self.stopped(outcome)? } else { outcome };
        // A guest that ran no instruction has done nothing that could be in doubt.
        let how = How { began: cost.fuel > 0, timed_out, stopped };
        let event = outcome::event(place, outcome, row.effect, how);
        let succeeded = matches!(&event, Event::Finished { end: CallEnd::Success { .. }, .. });
        let seen = matches!(
            &event,
            Event::Finished { end: CallEnd::Failure(failure), .. } if failure.kind != ErrorKind::InDoubt
        );
        let observed = Observed {
            used,
            usage: Some(usage),
            answers: outcome::answers(&answers)?,
            tool: Some(call.tool.clone()),
            // A call without an effect has no intent: its arguments stand in its result.
            input: (row.effect == Effect::Pure).then(|| Slot::known(call.args.clone())),
            // By it a later run knows that the result is its own call's.
            idempotency_key: call.idempotency.is_some().then(|| self.outward_key(&call)).transpose()?,
            ..Observed::default()
        };
        let commit = (succeeded && !kv.writes.is_empty()).then(|| kv::commit(self.kv_scope(&call.tool), kv));
        let seq = self.journal.next_seq();
        let claim = match row.effect {
            _ if succeeded => self.claim(&call, Fate::Fulfil { seq }),
            // The tool itself says that it did nothing: the key is free again.
            Effect::External if seen => self.claim(&call, Fate::Release),
            _ => None,
        };
        self.journal.record(&mut self.run, event, observed)?;
        if self.run.suspension().is_some() {
            self.journal.phase(suspended(&self.run));
        }
        if commit.is_some() || claim.is_some() || row.effect != Effect::Pure || self.in_block(place) {
            self.journal.commit_with(commit, claim)?;
        }
        Ok(())
    }
}

/// How a run that waits is listed.
pub fn suspended(run: &Run) -> Phase {
    let deadline = match run.suspension().map(|suspension| suspension.cause) {
        Some(SuspensionCause::Tool { deadline }) => deadline,
        Some(SuspensionCause::InDoubt) | None => None,
    };
    Phase::Suspended { deadline }
}

/// A tool's space is its own by the name in its manifest, which policies speak of, whatever a
/// program calls it; and by the program's name, before it the project where that is not the
/// operator's own.
fn kv_scope(plan: &Plan, domain: &str, local: &ToolName) -> KvScope {
    let name = plan.program().name();
    let program = if domain.is_empty() { name.to_owned() } else { format!("{domain}\n{name}") };
    KvScope { program, tool: plan.row(local).map_or_else(|| local.clone(), |row| row.tool.clone()) }
}

/// What a step's idempotency value is unique in.
pub fn idempotency_scope(plan: &Plan, domain: &str, local: &ToolName, key: &str) -> IdempotencyScope {
    let KvScope { program, tool } = kv_scope(plan, domain, local);
    let export = plan.row(local).map(|row| row.export.path()).unwrap_or_default();
    IdempotencyScope { program, tool, export, key: key.to_owned() }
}

/// Which call of the run a place is: all attempts of a visit are one call.
pub fn call_place(plan: &Plan, place: Place) -> CallPlace {
    CallPlace { step: plan.program().step(place.step).id.to_string(), visit: place.visit }
}

/// A reservation of which nobody else can say any more what its call did: its run is over, or it is
/// this one, further on. What is left of the question is for a person.
pub struct Left {
    /// Who may answer it there: the `resume.by` of the step that made the call.
    pub by: Vec<String>,
    /// Who opened that run.
    pub starter: Option<String>,
}

/// What is left of a reservation; `None` where its run can still say it, or a person there.
pub fn left_by(
    store: &SqliteStore,
    held: &Reservation,
    run: &Run,
    own: &RunId,
    trust: &TrustRoot,
) -> anyhow::Result<Option<Left>> {
    // An earlier version's stands for more than one function.
    let Some(place) = &held.place else { return Ok(None) };
    if held.run == *own {
        let step = run.plan().program().index_of(&place.step);
        let by = step.map(|step| answerers(run, step).to_vec()).unwrap_or_default();
        return Ok(Some(Left { by, starter: None }));
    }
    if store.is_live(&held.run).map_err(store_failure)? {
        return Ok(None);
    }
    let record = acts::load(store, &held.run).map_err(store_failure)?;
    let trace = record.and_then(|record| verify_record(&record, trust).1);
    let machine = trace.as_ref().and_then(|trace| trace.machine());
    // Evidence that does not verify says neither that nobody is left nor who may answer.
    let (Some(trace), Some(machine)) = (&trace, machine) else {
        let what = format!(
            "run/{} holds this idempotency value, and its evidence does not verify: nobody can tell what its \
             call did",
            held.run
        );
        return Err(lost(&held.run, what));
    };
    if trace.state() != RunState::Closed {
        return Ok(None);
    }
    let step = machine.plan().program().index_of(&place.step);
    let by = step.map(|step| answerers(machine, step).to_vec()).unwrap_or_default();
    Ok(Some(Left { by, starter: trace.predicates().next().map(|open| open.principal.clone()) }))
}

/// Who may answer a step, by its own words.
pub fn answerers(run: &Run, step: StepIndex) -> &[String] {
    match &run.plan().program().step(step).kind {
        StepKind::Tool(call) => call.resume.as_ref().map_or(&[], |rules| &rules.by),
        _ => &[],
    }
}

/// An earlier run is needed, and cannot be believed.
fn lost(run: &RunId, what: String) -> anyhow::Error {
    let help = format!(
        "`{} verify {run}` says what is wrong; restore that run's evidence from a backup of the store, or look \
         outside what the call did and begin anew with another value for `idempotency`",
        program_name()
    );
    Failure::host(Diagnostic::error("recorded_result_lost", what).help(help))
}

/// A tool's committed values, as one call sees them.
pub fn kv_view(store: &Arc<SqliteStore>, plan: &Plan, domain: &str, local: &ToolName) -> Arc<CommittedKv> {
    Arc::new(CommittedKv::new(Arc::clone(store), kv_scope(plan, domain, local)))
}

/// Calls a tool, stops it at the step's timeout or with the run, and tells whether it was the former.
async fn call_within(
    tool: &Tool,
    call: &Call,
    context: CallContext,
    run: &Cancellation,
) -> (CallReport, bool) {
    let own = context.cancellation.clone();
    let mut calling = std::pin::pin!(tool.call(&call.args, context));
    let timed_out = tokio::select! {
        // Most calls end before anybody has to watch the clock for them.
        biased;
        report = &mut calling => return (report, false),
        () = wait::timeout(call.timeout) => true,
        () = crate::signals::cancelled(run) => false,
    };
    own.cancel();
    (calling.await, timed_out)
}
