//! What a caller is shown of runs: each their own, who audits all of them; of others it is said that they
//! are not there. Everything is answered from evidence that verifies.

use std::sync::Arc;

use nanohost_core::envelope::Opened;
use nanohost_core::receipt::Receipt;
use nanohost_core::trace::{Reach, Report, RunState, Trace};
use nanohost_core::{KeyTrust, RunId};
use nanohost_store::{Found, Head, Records as _};
use serde_json::{Value, json};

use super::answer::Answer;
use super::caller::Caller;
use super::told::Told;
use super::{Gateway, MAX_OWNERS, lock};
use crate::commands::{check_standing, exit_of, verify_record};
use crate::console::{self, Sight};
use crate::{acts, store_failure};

/// No page is longer.
pub const MAX_PAGE: usize = 100;

/// One run of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The run.
    pub run: RunId,
    /// Its program.
    pub program: String,
    /// How it is listed.
    pub state: String,
    /// When it was opened.
    pub opened: String,
    /// Who opened it.
    pub principal: String,
    /// How many envelopes it has.
    pub envelopes: u64,
}

impl Listed {
    /// As a document.
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.run,
            "program": self.program,
            "state": self.state,
            "opened": self.opened,
            "principal": self.principal,
            "envelopes": self.envelopes,
        })
    }
}

/// Some of a longer list, and where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// These.
    pub items: Vec<T>,
    /// What to ask for the next ones with.
    pub next: Option<String>,
}

impl Gateway {
    /// The caller's runs, the newest first.
    ///
    /// # Errors
    /// `invalid_cursor`, and where the store cannot be read.
    pub fn runs(&self, cursor: Option<&str>, caller: &Caller) -> anyhow::Result<Result<Page<Listed>, Told>> {
        let all = self.store.runs().map_err(store_failure)?;
        let mut rest = all.into_iter().peekable();
        if let Some(cursor) = cursor {
            // Runs that began since stand before it.
            let after = |run: &RunId| run.as_str() == cursor;
            if !rest.by_ref().any(|run| after(&run.run)) {
                return Ok(Err(Told::one(
                    "invalid_cursor",
                    "there is no such place in this list",
                    "ask without a cursor, then with the `nextCursor` of each page",
                )));
            }
        }
        let mut items = Vec::new();
        let mut next = None;
        for run in rest {
            let Some(owner) = self.owner(&run.run)?.filter(|owner| caller.sees(owner)) else { continue };
            if items.len() == MAX_PAGE {
                next = items.last().map(|last: &Listed| last.run.to_string());
                break;
            }
            items.push(Listed {
                run: run.run,
                program: run.program,
                state: run.state.as_str().to_owned(),
                opened: run.opened.to_string(),
                principal: owner.to_string(),
                envelopes: run.len,
            });
        }
        Ok(Ok(Page { items, next }))
    }

    /// The run that a caller names by its id or the start of it, where they may see it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn seen(&self, run: &str, caller: &Caller) -> anyhow::Result<Result<RunId, Told>> {
        let id = self.named(run)?;
        let Some(id) = id else { return Ok(Err(Told::unknown_run(run))) };
        let owner = self.owner(&id)?;
        Ok(if owner.is_some_and(|owner| caller.sees(&owner)) { Ok(id) } else { Err(Told::unknown_run(run)) })
    }

    /// A run by the whole of its id: where ids of others could be meant, the start of one says nothing.
    pub(super) fn named(&self, run: &str) -> anyhow::Result<Option<RunId>> {
        let Ok(id) = RunId::new(run) else { return Ok(None) };
        match self.store.find(id.as_str()).map_err(store_failure)? {
            Found::One(found) if found == id => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    /// Who opened a run, by its signed opening; `None` where it has none that this host believes.
    pub(super) fn owner(&self, run: &RunId) -> anyhow::Result<Option<Arc<str>>> {
        if let Some(owner) = lock(&self.owners).get(run) {
            return Ok(Some(Arc::clone(owner)));
        }
        let Some(opening) = self.store.opening(run).map_err(store_failure)? else { return Ok(None) };
        let Ok(opened) = Opened::open(&opening, &self.trust) else { return Ok(None) };
        if opened.predicate.run.id != *run || opened.predicate.run.seq != 0 {
            return Ok(None);
        }
        Ok(Some(self.owns(run, &opened.predicate.principal)))
    }

    /// Remembers who opened a run.
    pub(super) fn owns(&self, run: &RunId, owner: &str) -> Arc<str> {
        let owner: Arc<str> = owner.into();
        let mut owners = lock(&self.owners);
        if owners.len() >= MAX_OWNERS {
            owners.clear();
        }
        owners.insert(run.clone(), Arc::clone(&owner));
        owner
    }

    /// How far a run has come.
    pub(super) fn head(&self, run: &RunId) -> anyhow::Result<Head> {
        Ok(self.store.head(run).map_err(store_failure)?.unwrap_or(Head::EMPTY))
    }

    /// What the evidence of a run says, and how it was verified.
    fn judged(&self, run: &RunId) -> anyhow::Result<(Report, Option<Trace>)> {
        let record = acts::load(&*self.store, run).map_err(store_failure)?;
        let Some(record) = record else { return Ok((Report::of_begun(run.clone()), None)) };
        let (mut report, trace) = verify_record(&record, &self.trust);
        let reach = Reach::of(&record.envelopes, None);
        let own = KeyTrust::keys(&self.trust);
        check_standing(&mut report, &reach, &*self.store, None, &own, &self.places)?;
        Ok((report, trace))
    }

    /// A run's trace, where it verifies.
    pub(super) fn believed(&self, run: &RunId) -> anyhow::Result<Option<Trace>> {
        Ok(self.trace_of(run)?.ok())
    }

    /// A run's trace, verified.
    fn trace_of(&self, run: &RunId) -> anyhow::Result<Result<Trace, Told>> {
        let (report, trace) = self.judged(run)?;
        Ok(match trace {
            Some(trace) if report.fault.is_none() => Ok(trace),
            _ => Err(Told::one(
                "evidence_bad",
                "the evidence of this run does not verify, or it has none yet",
                "`verify_run` shows every check",
            )),
        })
    }

    /// A run's trace as a document, without personal data.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn trace(&self, run: &str, caller: &Caller) -> anyhow::Result<Result<Value, Told>> {
        let id = match self.seen(run, caller)? {
            Ok(id) => id,
            Err(told) => return Ok(Err(told)),
        };
        Ok(self.trace_of(&id)?.map(|trace| console::trace_json(&trace, Sight::Projected)))
    }

    /// A run's receipt as a document.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn receipt_of(&self, run: &str, caller: &Caller) -> anyhow::Result<Result<Value, Told>> {
        let id = match self.seen(run, caller)? {
            Ok(id) => id,
            Err(told) => return Ok(Err(told)),
        };
        match self.trace_of(&id)? {
            Ok(trace) => Ok(Ok(serde_json::to_value(Receipt::from(&trace))?)),
            Err(told) => Ok(Err(told)),
        }
    }

    /// What verifying a run comes to.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn verify(&self, run: &str, caller: &Caller) -> anyhow::Result<Result<Value, Told>> {
        let id = match self.seen(run, caller)? {
            Ok(id) => id,
            Err(told) => return Ok(Err(told)),
        };
        let (report, trace) = self.judged(&id)?;
        let checks: Vec<Value> = report
            .checks
            .iter()
            .map(|check| json!({ "name": check.name, "result": check.result, "detail": check.detail }))
            .collect();
        Ok(Ok(json!({
            "run": id,
            "good": report.is_good() && trace.is_some(),
            "status": trace.as_ref().map(|trace| Receipt::from(trace).status),
            "exitCode": exit_of(&report) as u8,
            "state": report.state,
            "fault": report.fault.as_ref().map(ToString::to_string),
            "checks": checks,
        })))
    }
}

impl Gateway {
    /// How a run of the caller's own stands, and when it was opened.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn standing(&self, run: &str, caller: &Caller) -> anyhow::Result<Result<(Answer, String), Told>> {
        let id = match self.seen(run, caller)? {
            Ok(id) => id,
            Err(told) => return Ok(Err(told)),
        };
        let Some(record) = acts::load(&*self.store, &id).map_err(store_failure)? else {
            return Ok(Err(Told::unknown_run(run)));
        };
        let (opened, program) = (record.summary.opened.to_string(), record.summary.program.clone());
        let head = record.recorded;
        let (report, trace) = verify_record(&record, &self.trust);
        let Some(trace) = trace.filter(|_| report.fault.is_none()) else {
            return Ok(Ok((Answer::standing(&program, &id, "running", head), opened)));
        };
        let receipt = Receipt::from(&trace);
        if trace.state() == RunState::Open {
            return Ok(Ok((Answer::standing(&program, &id, "running", head), opened)));
        }
        let answer = match trace.machine() {
            Some(machine) => Answer::of(machine, &id, head, Some(&receipt)),
            None => {
                let told = Told::one("authority", "the run was not admitted", "ask the operator");
                Answer::refused(&program, &id, head, told)
            }
        };
        Ok(Ok((answer, opened)))
    }

    /// Whether the caller opened a run.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_of(&self, run: &RunId, caller: &Caller) -> anyhow::Result<bool> {
        Ok(self.owner(run)?.is_some_and(|owner| *owner == *caller.principal.as_str()))
    }
}
