//! A run of the store that another process began: taken, verified, admitted again, ready to go on.
//! What is recorded of going on is said by the commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::act::{Act, Ending};
use nanohost_core::envelope::{Chain, Kind, Observed, ResolverRef, TakeOver};
use nanohost_core::export::Role;
use nanohost_core::resume::{STARTER, entitled};
use nanohost_core::run::{Denial, End, Event, Next, Run, Slot};
use nanohost_core::trace::{Reach, RunState, Trace};
use nanohost_core::{
    AdmissionRecord, Diagnostic, Digest, Held, KeyTrust, Plan, Principal, Refusal, RunId, StepIndex, Target,
    Timestamp, ToolName, admit,
};
use nanohost_sandbox::{Engine, Tool};
use nanohost_store::{Effect, Fence, Head, Journal as _, Phase, SqliteStore, Taken};
use serde_json::{Map, Value, json};

use super::driving::{self, Launch, Manner};
use super::evidence;
use crate::acts::Acts;
use crate::cli::{GoOnArgs, ProgramArgs};
use crate::console::{Progress, Sight, program_name};
use crate::drive::Tools;
use crate::executable;
use crate::failure::{Exit, Failure};
use crate::ledger::{self, Ledger};
use crate::model::Models;
use crate::prepare::Prepared;
use crate::project::{self, FoundPolicy, Places, quoted};
use crate::{acts, signing, store_failure};

/// A run that this process owns now, with evidence that verified.
pub struct Reopened {
    /// The run's id.
    pub id: RunId,
    /// What its evidence says.
    pub trace: Trace,
    fence: Fence,
    head: Head,
}

/// A run whose program, table and files are those it began with.
pub struct Ready {
    /// The machine where the evidence leaves it.
    pub run: Run,
    /// Its journal, open at its end.
    pub ledger: Ledger,
    /// Everything around the program, read anew.
    pub prepared: Prepared,
    /// The table, admitted again.
    pub plan: Plan,
    /// The linked tools and what else the run needs.
    pub tools: Tools,
    /// What the run goes on under, for the envelope that says so.
    pub take_over: TakeOver,
    /// Who opened the run.
    pub starter: String,
    /// The envelope that suspended it, where one did.
    pub suspended_at: Option<u64>,
    /// What the tool said when it asked to wait.
    pub reason: Option<Value>,
    /// The scripted model's answers.
    pub model: Option<PathBuf>,
}

/// Why a run does not go on: recorded in its evidence before the user is told.
struct NotSame {
    rule: &'static str,
    value: Value,
    finding: Diagnostic,
}

/// Opens the store for writing and finds the run that `prefix` begins.
pub fn find(prefix: &str, places: &Places) -> anyhow::Result<(Arc<SqliteStore>, RunId)> {
    let id = evidence::find(prefix, places)?;
    let store = crate::open_store(places)?;
    Ok((Arc::new(store), id))
}

/// What taking a run comes to.
pub enum Took {
    /// It is ours.
    Owned(Box<Reopened>),
    /// Its process died before its first commit: nothing of it happened.
    NotBegun(Fence),
    /// A live process has it.
    Live,
}

/// Takes a run and verifies it. Evidence that is not good is never gone on with.
pub fn take(store: &SqliteStore, id: &RunId, places: &Places) -> anyhow::Result<Took> {
    let fence = match store.take(id).map_err(store_failure)? {
        Taken::Owned(fence) => fence,
        Taken::Live => return Ok(Took::Live),
        Taken::Unknown => {
            let message = format!("run {id} was there a moment ago and is gone");
            return Err(Failure::usage(Diagnostic::error("unknown_run", message)));
        }
    };
    // Read after it was taken: nobody else writes to it any more.
    let record = acts::load(store, id).map_err(store_failure)?;
    let record = record.ok_or_else(|| {
        Failure::usage(Diagnostic::error(
            "unknown_run",
            format!("run {id} was there a moment ago and is gone"),
        ))
    })?;
    if record.recorded.len == 0 && record.envelopes.is_empty() {
        return Ok(Took::NotBegun(fence));
    }
    let head = record.recorded;
    let (mut report, trace) = evidence::verify_record(&record, &evidence::own_trust(places)?);
    // An end that was cut off would let a call be made again.
    let own = KeyTrust::keys(&evidence::own_trust(places)?);
    evidence::check_standing(&mut report, &Reach::of(&record.envelopes, None), store, None, &own, places)?;
    match trace {
        Some(trace) if report.fault.is_none() => {
            Ok(Took::Owned(Box::new(Reopened { id: id.clone(), trace, fence, head })))
        }
        _ => {
            let why =
                report.fault.as_ref().map_or_else(|| "it holds no program".to_owned(), ToString::to_string);
            let message = format!("run {} does not go on: its evidence does not verify: {why}", id.short());
            let findings = Diagnostic::error("evidence_bad", message)
                .help(format!("`{} verify {}` shows every check", program_name(), id.short()))
                .into();
            let exit = match evidence::exit_of(&report) {
                Exit::Success => Exit::Truncated,
                exit => exit,
            };
            Err(Failure { exit, findings }.into())
        }
    }
}

/// The finding for a run that a live process has.
pub fn live(id: &RunId) -> anyhow::Error {
    Failure::usage(
        Diagnostic::error("not_suspended", format!("run {} is being run by another process", id.short()))
            .help(format!(
                "`{} cancel {} --reason TEXT` asks that process to stop it",
                program_name(),
                id.short()
            )),
    )
}

/// The finding for a run that does not wait so.
pub fn not_suspended(id: &RunId, why: &str, help: String) -> anyhow::Error {
    let message = format!("run {} {why}", id.short());
    Failure::usage(Diagnostic::error("not_suspended", message).help(help))
}

impl Reopened {
    /// How the run stands.
    pub fn state(&self) -> RunState {
        self.trace.state()
    }

    /// Whether its evidence says that this was started, by this principal.
    pub fn was_started(
        &self,
        prepared: &Prepared,
        inputs: &Map<String, Value>,
        principal: &Principal,
    ) -> bool {
        let open = self.trace.predicates().next();
        let same = open.is_some_and(|open| {
            open.run.program == prepared.program.digest() && open.principal == principal.as_str()
        });
        // Erased inputs cannot be compared; the keyed hash of the start key, which led here, is over them.
        same && (self.trace.is_erased(0, &Role::INPUT)
            || self.trace.value(0, &Role::INPUT).and_then(Value::as_object) == Some(inputs))
    }

    /// The journal at the run's end, in the name of `principal`.
    pub fn ledger(
        trace: &Trace,
        fence: Fence,
        head: Head,
        principal: &Principal,
        store: &Arc<SqliteStore>,
        places: &Places,
    ) -> anyhow::Result<Ledger> {
        // The key that the run began with, also where another one signs by now.
        acts::refuse_retired(&**store, &trace.key(), places)?;
        let key = signing::named(&trace.key(), places)?.map(|key| Arc::new(key.signer));
        let chain = key.and_then(|key| Chain::reopen(trace, principal.as_str(), key)).ok_or_else(|| {
            Failure::host(
                Diagnostic::error(
                    "other_key",
                    "the run was signed with another key than the one that is here",
                )
                .help("restore the key that it began with: one key signs a run from its opening to its end"),
            )
        })?;
        Ok(Ledger::reopen(Arc::clone(store), fence, chain, head, trace.last()))
    }

    /// Gives up everything but the machine and its journal: for ending a run, which needs no
    /// program and no table. Where its own key was retired, the key that signs now ends it, by an act
    /// that says so and why.
    pub fn close(
        self,
        principal: &Principal,
        reason: &str,
        store: &Arc<SqliteStore>,
        places: &Places,
    ) -> anyhow::Result<(Option<Run>, Ledger)> {
        let ledger = if acts::is_retired(&**store, &self.trace.key(), places)? {
            let signer = signing::current(places)?.signer;
            self.ending(principal, reason, store, places)?;
            let chain = Chain::to_end(&self.trace, principal.as_str(), Arc::new(signer));
            Ledger::reopen(Arc::clone(store), self.fence, chain, self.head, self.trace.last())
        } else {
            Self::ledger(&self.trace, self.fence, self.head, principal, store, places)?
        };
        Ok((self.trace.into_machine(), ledger))
    }

    /// Says that the key that signs now ends the run. Whoever said it before and did not come to the
    /// end says it again: an act is about the envelopes that are there.
    fn ending(
        &self,
        principal: &Principal,
        reason: &str,
        store: &SqliteStore,
        places: &Places,
    ) -> anyhow::Result<()> {
        let mut acts = Acts::take(store, places)?;
        let act = acts.next_seq();
        let (run, after, key) = (self.id.clone(), self.head.len, self.trace.key());
        let head = self.trace.head();
        acts.seal(principal, (Role::REASON, reason), |reason| {
            Act::Ending(Ending { run, after, head, key, reason })
        })?;
        acts.effect(Effect::Bears { act, run: self.id.clone() });
        acts.commit(places).map(drop)
    }

    /// Ends a run that cannot go on, since a value that it needs was erased; what to say of it.
    fn ended_for_want(
        self,
        principal: &Principal,
        store: &Arc<SqliteStore>,
        places: &Places,
    ) -> anyhow::Result<anyhow::Error> {
        let message = format!(
            "run {} cannot go on: a value that it needs was erased; it ended failed",
            self.id.short()
        );
        let help = format!("begin anew; `{} trace {}` shows what it did", program_name(), self.id.short());
        let finding = Diagnostic::error("erased", message).help(help);
        let why = "a value that it needs was erased";
        let (run, mut ledger) = self.close(principal, why, store, places)?;
        if let Some(mut run) = run {
            let end = match run.next() {
                // Its end was decided before.
                Next::Record(Event::Closed(end)) => end,
                _ => End::for_want(),
            };
            let status = end.status;
            ledger.record(&mut run, Event::Closed(end), Observed::default())?;
            ledger.phase(Phase::Closed(status.to_string()));
            ledger.commit()?;
        }
        Ok(Failure { exit: Exit::RunFailed, findings: finding.into() }.into())
    }

    /// The first run's machine where it is over or waits, to tell of it.
    pub fn into_told(self) -> (RunId, Head, Option<Run>) {
        (self.id, self.head, self.trace.into_machine())
    }

    /// Reads everything anew and admits again. What is not the same as when the run began is
    /// refused, and the refusal recorded where the run waits for somebody.
    pub fn ready(
        self,
        args: &GoOnArgs,
        principal: &Principal,
        store: &Arc<SqliteStore>,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Ready> {
        if self.trace.lacks_erased() {
            return Err(self.ended_for_want(principal, store, places)?);
        }
        let Self { id, trace, fence, head } = self;
        let launch = launch_of(&trace)?;
        let seed = seed_of(&trace)?;
        let starter = trace.predicates().next().map_or_else(String::new, |open| open.principal.clone());
        let suspended_at = trace.suspended_at();
        let at = suspended_at.and_then(|seq| usize::try_from(seq).ok());
        let said = |role| at.and_then(|at| trace.value(at, &role).cloned());
        let reason = said(Role::REASON).or_else(|| said(Role::MESSAGE));
        let signed_keys = signed_keys(&trace);
        let mut ledger = Self::ledger(&trace, fence, head, principal, store, places)?;
        let mut run = match trace.into_machine() {
            Some(run) => run,
            None => return Err(not_suspended(&id, "was refused before anything ran", String::new())),
        };
        let program = ProgramArgs {
            program: args.program.clone().unwrap_or_else(|| launch.program.clone()),
            policy: args.policy.clone().or_else(|| launch.policy.clone()),
            tools: args.tools.clone().or_else(|| launch.tools.clone()),
            // What the run began with is pinned by its evidence.
            locked: false,
            packages: args.packages.clone(),
            class: launch.class,
        };
        let again = again(&run, &program, &launch, args, places, engine, progress);
        let (prepared, plan, record) = match again {
            Ok(same) => same,
            Err(Again::Failed(error)) => return Err(error),
            Err(Again::NotSame(not_same)) => {
                let NotSame { rule, value, finding } = *not_same;
                if run.suspension().is_some() {
                    let resolver =
                        ResolverRef { authenticated: OPERATOR.to_owned(), entitled: None, shown: None };
                    refuse(&mut run, &mut ledger, rule, value, resolver)?;
                }
                return Err(Failure::denied(finding));
            }
        };
        let linked = prepared.link(&plan, engine)?;
        let scripted = prepared.scripted(&program.program)?;
        let model = scripted.as_ref().map(|model| model.path().to_owned());
        let tools = Tools {
            linked,
            models: Models::open(&plan, scripted)?,
            seed,
            domain: launch.domain,
            trust: evidence::own_trust(places)?,
            signed_keys,
        };
        let take_over = TakeOver {
            host: driving::host(engine, places)?,
            policies: driving::policies(&prepared.policy),
            admission: record,
        };
        Ok(Ready { run, ledger, prepared, plan, tools, take_over, starter, suspended_at, reason, model })
    }
}

/// How the host knew who acts: they hold the store.
pub const OPERATOR: &str = "operator";

enum Again {
    NotSame(Box<NotSame>),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Again {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn not_same(rule: &'static str, value: Value, finding: Diagnostic) -> Again {
    Again::NotSame(Box::new(NotSame { rule, value, finding }))
}

fn again(
    run: &Run,
    program: &ProgramArgs,
    launch: &Launch,
    args: &GoOnArgs,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> Result<(Prepared, Plan, Value), Again> {
    let began = run.plan();
    let source = project::read_source(&program.program, "the run's program").map_err(|error| {
        Failure::with_help(
            error,
            "the run goes on with the program that it began with: name where it lies with --program FILE",
        )
    })?;
    if Digest::of(source.text.as_bytes()) != began.program().digest() {
        let message = format!("{} is not the program that the run began with", program.program.display());
        return Err(not_same(
            Denial::OTHER_PROGRAM,
            json!({ "program": Digest::of(source.text.as_bytes()) }),
            Diagnostic::error("program_mismatch", message)
                .help("restore it, or name where the run's own program lies with --program FILE"),
        ));
    }
    let changed = |what: String, value: Value| {
        let help = "restore what the run began with, or cancel it and begin anew";
        not_same(Denial::OTHER_TABLE, value, Diagnostic::error("authority_changed", what).help(help))
    };
    if let (Some(path), None) = (&launch.policy, &args.policy) {
        // Naming a policy was trust in what it said then.
        let policy = project::read_source(path, "the policy")?;
        let digest = Digest::of(policy.text.as_bytes());
        if !began.policies().iter().any(|began| began.digest() == digest) {
            let finding = Diagnostic::error(
                "policy_changed",
                format!("{} has changed since the run began", path.display()),
            );
            return Err(Again::Failed(Failure::usage(finding.help(format!(
                "read it; if you agree with it, name it again: --policy {}",
                path.display()
            )))));
        }
    }
    executable::begin(places);
    let prepared = Prepared::read(program, places, engine, progress)?;
    if prepared.program.digest() != began.program().digest() {
        let message = format!("{} changed while it was being read", program.program.display());
        return Err(Again::Failed(Failure::host(Diagnostic::error("program_mismatch", message))));
    }
    if prepared.domain(program) != launch.domain {
        let finding = other_domain(&prepared.policy);
        return Err(not_same(Denial::OTHER_TABLE, json!({ "domain": true }), finding));
    }
    let admission = prepared.admission(ledger::now().max(run.now()));
    let record = serde_json::to_value(AdmissionRecord::of(&admission)).map_err(anyhow::Error::from)?;
    let plan = match admit(admission) {
        Ok(plan) => plan,
        Err(Refusal::Invalid(findings)) => return Err(Again::Failed(Failure::usage(findings))),
        Err(Refusal::Denied(denied)) => {
            let gaps: Vec<&str> = denied.gaps().iter().map(|gap| gap.value.as_str()).collect();
            let what = format!("admitted again, the run is refused {}", gaps.join(", "));
            return Err(changed(what, json!({ "gaps": gaps })));
        }
    };
    if plan.digest() != began.digest() {
        let rows = differing(began, &plan);
        let each: Vec<String> =
            rows.iter().map(|(name, parts)| format!("{name} ({})", parts.join(", "))).collect();
        let what = match each.is_empty() {
            true => "admitted again, the run's bounds or models are others".to_owned(),
            false => format!("admitted again, the capability table is another one: {}", each.join(", ")),
        };
        let rows: Vec<&str> = rows.keys().map(ToolName::as_str).collect();
        return Err(changed(what, json!({ "rows": rows })));
    }
    Ok((prepared, plan, record))
}

/// The run's tools would see other key-value spaces than those they saw.
fn other_domain(policy: &FoundPolicy) -> Diagnostic {
    match &policy.path {
        Some(path) if !policy.trusted => {
            let project = path.parent().and_then(Path::parent).unwrap_or(path);
            let message = format!(
                "{} is not trusted, as the policy was when the run began: the run's tools would see other key-value spaces",
                path.display()
            );
            Diagnostic::error("authority_changed", message).help(format!(
                "read it; if you agree with it, trust it as it is now: {} trust {}",
                program_name(),
                quoted(project)
            ))
        }
        _ => Diagnostic::error(
            "authority_changed",
            "another policy is in force than when the run began, or the project lies elsewhere: the run's tools would \
             see other key-value spaces",
        )
        .help("restore what the run began with, or cancel it and begin anew"),
    }
}

/// The rows of which one table says something else than the other, each with what of it.
fn differing(began: &Plan, now: &Plan) -> BTreeMap<ToolName, Vec<String>> {
    let rows = |plan: &Plan| -> BTreeMap<ToolName, Value> {
        plan.rows().iter().map(|row| (row.local.clone(), row.to_json())).collect()
    };
    let (before, after) = (rows(began), rows(now));
    let names: BTreeSet<&ToolName> = before.keys().chain(after.keys()).collect();
    let differs = |name: &ToolName| {
        let (before, after) = (before.get(name), after.get(name));
        (before != after).then(|| match (before, after) {
            (Some(before), Some(after)) => parts("", before, after),
            (None, _) => vec!["it is new".to_owned()],
            (_, None) => vec!["it is gone".to_owned()],
        })
    };
    names.into_iter().filter_map(|name| Some((name.clone(), differs(name)?))).collect()
}

/// The members that differ, two levels deep: `component`, `grants.kv`.
fn parts(above: &str, before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return vec![above.to_owned()];
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let named = |name: &String| match above {
        "" => name.clone(),
        above => format!("{above}.{name}"),
    };
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let of_each = differing.flat_map(|name| match (before.get(name), after.get(name)) {
        (Some(before), Some(after)) if above.is_empty() => parts(name, before, after),
        _ => vec![named(name)],
    });
    of_each.collect()
}

/// Records that an event from outside was refused; the run waits on.
pub fn refuse(
    run: &mut Run,
    ledger: &mut Ledger,
    rule: &'static str,
    value: Value,
    resolver: ResolverRef,
) -> anyhow::Result<()> {
    let event = Event::Refused { denial: Denial::of_event(rule, Slot::known(value)), check: None };
    let observed = Observed { resolver: Some((resolver, None)), ..Observed::default() };
    ledger.record(run, event, observed)?;
    ledger.commit()
}

impl Ready {
    /// The entry of the step's `by` that lets `principal` answer; otherwise the refusal is recorded.
    pub fn entitle(&mut self, principal: &Principal) -> anyhow::Result<String> {
        let policies = [self.run.plan().policies(), self.plan.policies()];
        match entitled(self.run.resume_rules(), &self.starter, principal.as_str(), policies) {
            Ok(entry) => Ok(entry),
            Err(why) => {
                let resolver =
                    ResolverRef { authenticated: OPERATOR.to_owned(), entitled: None, shown: None };
                let value = json!({ "principal": principal, "why": why.to_string() });
                refuse(&mut self.run, &mut self.ledger, Denial::NOT_ENTITLED, value, resolver)?;
                Err(refused(
                    &why.to_string(),
                    "say who answers with --as NAME; [roles] of the policy say who has which role",
                ))
            }
        }
    }

    /// Whether `principal`, who opened an earlier run that the answer is about too, may answer it by
    /// that run's `by`; otherwise the refusal is recorded.
    pub fn entitle_beside(&mut self, principal: &Principal, by: &[String]) -> anyhow::Result<()> {
        if by.is_empty() || by.iter().any(|entry| entry == STARTER) {
            return Ok(());
        }
        let why =
            format!("{principal} opened the run that made the call: somebody else has to answer for it");
        let resolver = ResolverRef { authenticated: OPERATOR.to_owned(), entitled: None, shown: None };
        let value = json!({ "principal": principal, "why": why });
        refuse(&mut self.run, &mut self.ledger, Denial::NOT_ENTITLED, value, resolver)?;
        Err(refused(&why, "say who answers with --as NAME; [roles] of the policy say who has which role"))
    }

    /// What somebody who is to answer is shown: without personal data, which stays in the record for
    /// them to look at, unless they ask for it.
    pub fn question(&self, sight: Sight) -> Value {
        let pending = self.run.pending_call();
        let seen = |held: Held<'_>, value: &Value| match sight {
            Sight::Revealed => value.clone(),
            Sight::Projected => self.run.projection(Target::Log).value(held, value).into_owned(),
        };
        let args = pending.as_ref().and_then(|call| Some(seen(Held::Args(&call.tool), call.args.as_ref()?)));
        let step = self.run.suspension().map(|at| self.run.plan().program().step(at.step).id.to_string());
        let deadline = match self.run.suspension().map(|at| at.cause) {
            Some(nanohost_core::run::SuspensionCause::Tool { deadline }) => deadline,
            _ => None,
        };
        json!({
            "program": self.run.plan().program().name(),
            "step": step,
            "tool": pending.as_ref().map(|call| &call.tool),
            "args": args,
            "reason": self.reason.as_ref().map(|reason| seen(Held::Words, reason)),
            "deadline": deadline,
            "inDoubt": self.run.suspension().is_some_and(|at| at.cause == nanohost_core::run::SuspensionCause::InDoubt),
        })
    }

    /// The linked tool of a local name.
    pub fn tool(&self, name: &ToolName) -> Option<&Arc<Tool>> {
        self.tools.linked.get(name)
    }

    /// Drives the run on and tells what it did.
    pub fn go_on(
        self,
        manner: Manner,
        places: &Places,
        console: &crate::console::Console,
        store: &SqliteStore,
        progress: &Progress,
    ) -> anyhow::Result<(Exit, Run)> {
        let Self { run, ledger, prepared, tools, model, .. } = self;
        let id = ledger.run().clone();
        let (run, ledger, observed) = driving::perform(run, ledger, tools, manner, progress)?;
        let driven = driving::Driven {
            run: &run,
            id: &id,
            head: ledger.head(),
            observed: &observed,
            policy: &prepared.policy,
            warnings: &prepared.warnings,
            model: model.as_deref(),
        };
        let exit = driving::report(&driven, manner, places, console, store)?;
        Ok((exit, run))
    }
}

/// An event, or who sent it, was refused.
pub fn refused(why: &str, help: &str) -> anyhow::Error {
    Failure::denied(Diagnostic::error("resume_refused", why.to_owned()).help(help.to_owned()))
}

/// The idempotency keys that the run's calls were signed with.
fn signed_keys(trace: &Trace) -> HashMap<(StepIndex, u32), String> {
    let Some(program) = trace.machine().map(|run| run.plan().program()) else { return HashMap::new() };
    let calls = trace.predicates().filter(|predicate| predicate.kind == Kind::Intent);
    let keys = calls.filter_map(|predicate| {
        let (step, call) = (predicate.step.as_ref()?, predicate.call.as_ref()?);
        Some(((program.index_of(step.id.as_str())?, step.visit), call.idempotency_key.clone()?))
    });
    keys.collect()
}

pub fn launch_of(trace: &Trace) -> anyhow::Result<Launch> {
    let launch =
        trace.value(0, &Role::LAUNCH).cloned().and_then(|launch| serde_json::from_value(launch).ok());
    launch.ok_or_else(|| {
        Failure::host(Diagnostic::error("launch_unknown", "the run does not say where its files lie").help(
            "it was begun by an earlier version: name them with --program and, where it had one, --policy",
        ))
    })
}

pub fn seed_of(trace: &Trace) -> anyhow::Result<[u8; 32]> {
    let text = trace.value(0, &Role::SEED).and_then(Value::as_str).unwrap_or_default();
    let mut seed = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    let whole = text.len() == 64;
    for (byte, pair) in seed.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = digits.filter(|_| whole).ok_or_else(|| {
            Failure::host(Diagnostic::error("seed_unknown", "the run's secret seed is not in the vault"))
        })?;
    }
    if whole {
        Ok(seed)
    } else {
        Err(Failure::host(Diagnostic::error("seed_unknown", "the run's secret seed is not in the vault")))
    }
}

/// The moment that stands for now beside a run's own clock.
pub fn now(run: &Run) -> Timestamp {
    ledger::now().max(run.now())
}
