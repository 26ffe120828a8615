//! Answering runs that wait, for clients: only whoever a step names may, with the token of the suspension,
//! and never whoever started the run unless the step says so. A step that names nobody is the operator's
//! to answer, at the command line.

use nanohost_core::resume::entitled;
use nanohost_core::run::SuspensionCause;
use nanohost_core::trace::RunState;
use nanohost_core::{Diagnostic, RunId, Source, read_json};
use nanohost_store::Journal as _;
use serde_json::{Value, json};

use super::Gateway;
use super::caller::Caller;
use super::starting::Driving;
use super::told::Told;
use crate::cli::GoOnArgs;
use crate::commands::{Arrived, Ready, Reply, Took, answer, take};
use crate::console::{Progress, Sight};
use crate::failure::Failure;
use crate::store_failure;

/// No event is longer, bytes.
const MAX_EVENT: usize = 1 << 20;

/// What a run waits for, for somebody who may answer it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The run.
    pub run: RunId,
    /// What is asked, without personal data.
    pub question: Value,
    /// The schema of what answers it.
    pub schema: Option<Value>,
    /// The token to answer with, where it is handed out now: once.
    pub token: Option<String>,
}

impl Question {
    /// As a document.
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.run,
            "question": self.question,
            "schema": self.schema,
            "token": self.token,
        })
    }
}

/// What became of asking.
pub enum Resumed {
    /// Nothing was answered yet: this is what the run waits for.
    Asks(Box<Question>),
    /// The run goes on.
    Goes(Box<Driving>),
    /// It was refused.
    Refused(Told),
}

impl Gateway {
    /// Shows what a run waits for, to whoever may answer it; with an event, answers it. Blocks on the disk.
    ///
    /// # Errors
    /// Where the event or the token is refused, and where the host cannot go on.
    pub fn resume(
        &self,
        run: &str,
        event: Option<Value>,
        token: Option<&str>,
        signature: Option<&str>,
        caller: &Caller,
    ) -> anyhow::Result<Resumed> {
        let Some(id) = self.named(run)? else { return Ok(Resumed::Refused(Told::unknown_run(run))) };
        let starts = self.owner(&id)?.is_some_and(|owner| *owner == *caller.principal.as_str());
        // Whether it waits, and for whom, is read without taking it: who may not know of the run changes
        // nothing of it.
        let by = self.waits_for(&id)?;
        let may = by.as_ref().is_some_and(|waits| waits.lets(caller));
        if !may && !starts {
            return Ok(Resumed::Refused(Told::unknown_run(run)));
        }
        let Some(waits) = by else {
            return Ok(Resumed::Refused(Told::one(
                "not_suspended",
                "the run waits for nobody",
                "`get_trace` shows how it stands",
            )));
        };
        if waits.names_nobody {
            return Ok(Resumed::Refused(Told::one(
                "resume_refused",
                "only the operator answers this run, at the command line: its step names nobody in `resume.by`",
                "ask the operator",
            )));
        }
        let mut ready = match take(&self.store, &id, &self.places)? {
            Took::Owned(reopened) if reopened.state() == RunState::Suspended => reopened.ready(
                &GoOnArgs::default(),
                &caller.principal,
                &self.store,
                &self.places,
                &self.engine,
                &Progress::new(false),
            )?,
            _ => {
                return Ok(Resumed::Refused(Told::one(
                    "not_suspended",
                    "somebody is answering the run at this moment, or it waits no longer",
                    "`get_trace` shows how it stands",
                )));
            }
        };
        if ready.run.suspension().map(|at| at.cause) == Some(SuspensionCause::InDoubt) {
            return Ok(Resumed::Refused(Told::one(
                "not_suspended",
                "a call of the run is in doubt: nobody saw how it ended",
                "ask the operator to look outside and to settle it",
            )));
        }
        let Some(payload) = event else { return self.ask(ready, &id, caller) };
        let text = payload.to_string();
        if text.len() > MAX_EVENT {
            let finding =
                Diagnostic::error("invalid_argument", format!("the event is longer than {MAX_EVENT} bytes"));
            return Err(Failure::usage(finding));
        }
        // Read as any event is: no number that would lose digits.
        let payload = read_json(&Source::new("event", text.as_str())).map_err(Failure::usage)?;
        let shown = Some(ready.question(Sight::Projected));
        let reply = Reply { arrived: Arrived { text, payload }, signature, token, shown };
        answer(&mut ready, reply, &caller.principal, &self.store)?;
        Ok(Resumed::Goes(Box::new(Driving::again(ready.run, ready.ledger, ready.tools))))
    }

    /// What is asked, and the token where nobody had it yet.
    fn ask(&self, mut ready: Ready, id: &RunId, caller: &Caller) -> anyhow::Result<Resumed> {
        ready.entitle(&caller.principal)?;
        let late = ready.run.is_too_late(crate::ledger::now().max(ready.run.now()));
        let at = ready.suspended_at.unwrap_or_default();
        let token = match late {
            true => None,
            false => {
                self.store.hand_out_token(id, at, caller.principal.as_str(), false).map_err(store_failure)?
            }
        };
        let question = Question {
            run: id.clone(),
            question: ready.question(Sight::Projected),
            schema: ready.run.resume_rules().and_then(|rules| rules.schema.clone()),
            token: token.map(|token| token.as_str().to_owned()),
        };
        Ok(Resumed::Asks(Box::new(question)))
    }

    /// Whom a run waits for; `None` where it does not wait, or its evidence is not believed.
    fn waits_for(&self, run: &RunId) -> anyhow::Result<Option<Waits>> {
        let Some(trace) = self.believed(run)? else { return Ok(None) };
        let starter = trace.predicates().next().map(|open| open.principal.clone()).unwrap_or_default();
        let Some(machine) = trace.machine().filter(|machine| machine.suspension().is_some()) else {
            return Ok(None);
        };
        let rules = machine.resume_rules().cloned();
        let names_nobody = rules.as_ref().is_none_or(|rules| rules.by.is_empty());
        Ok(Some(Waits { rules, starter, names_nobody, plan: std::sync::Arc::clone(machine.plan()) }))
    }
}

/// Whom a run waits for.
struct Waits {
    rules: Option<nanohost_core::Resume>,
    starter: String,
    names_nobody: bool,
    plan: std::sync::Arc<nanohost_core::Plan>,
}

impl Waits {
    /// Whether the caller may answer, by the policies that the run began under. Those in force now are
    /// asked when they do.
    fn lets(&self, caller: &Caller) -> bool {
        let policies = [self.plan.policies(), self.plan.policies()];
        !self.names_nobody
            && entitled(self.rules.as_ref(), &self.starter, caller.principal.as_str(), policies).is_ok()
    }
}
