//! Starting runs for clients, and driving them: on a thread of their own each, so that what waits for the
//! disk keeps nobody else from being served. Knows no protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nanohost_core::RunId;
use nanohost_core::envelope::Chain;
use nanohost_core::receipt::Receipt;
use nanohost_core::run::Run;
use nanohost_core::trace::RunState;
use nanohost_sandbox::Cancellation;
use nanohost_store::Begun;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::answer::Answer;
use super::caller::{Caller, Scope};
use super::offer::Offered;
use super::saved::Saved;
use super::told::Told;
use super::{Gateway, lock, random};
use crate::cli::GoOnArgs;
use crate::commands::{First, look, redirected, taken_over, verify_record};
use crate::console::Progress;
use crate::drive::{Drive, Tools};
use crate::ledger::{self, Ledger};
use crate::opening::{self, Starter};
use crate::{acts, store_failure};

/// What a client asks to be run.
#[derive(Debug, Clone)]
pub enum Asked {
    /// What the operator published, or the client saved, under a name.
    Named(String),
    /// A program's text.
    Text(String),
}

/// A run that was opened and goes on, or what there is to say without one.
pub enum Going {
    /// It is to be driven.
    Run(Box<Driving>),
    /// It is over, waits, or is driven by somebody else.
    Told(Box<Answer>),
}

/// A run to be driven by [`Gateway::drive`].
pub struct Driving {
    run: Run,
    ledger: Ledger,
    tools: Tools,
    repeated: bool,
}

impl Driving {
    /// The run.
    pub fn id(&self) -> &RunId {
        self.ledger.run()
    }

    /// One that was begun before and goes on.
    pub(super) fn again(run: Run, ledger: Ledger, tools: Tools) -> Self {
        Self { run, ledger, tools, repeated: false }
    }
}

impl Gateway {
    /// What a caller may run under a name, or by its text.
    ///
    /// # Errors
    /// `unknown_program`, `out_of_scope`, and what is wrong with the program.
    pub fn find(&self, asked: &Asked, caller: &Caller) -> Result<Arc<Offered>, Told> {
        let scoped = |scope| if caller.scopes.has(scope) { Ok(()) } else { Err(Told::out_of_scope(scope)) };
        let handed = match asked {
            Asked::Named(name) => match self.offer(name) {
                Some(offered) => {
                    scoped(if offered.is_single() { Scope::Tools } else { Scope::Programs })?;
                    return Ok(Arc::clone(offered));
                }
                None => {
                    scoped(Scope::Programs)?;
                    let found = self.saved.find(name, &caller.principal).map_err(|error| Told::of(&error))?;
                    let (handed, _) = found.ok_or_else(|| {
                        let shown: String = name.chars().take(64).collect();
                        Told::one(
                            "unknown_program",
                            format!("there is no program {shown:?}"),
                            "`list_programs` shows those there are",
                        )
                    })?;
                    handed
                }
            },
            Asked::Text(text) => {
                scoped(Scope::Programs)?;
                self.saved.hand_over(text, &caller.principal).map_err(|error| Told::of(&error))?
            }
        };
        self.handed(caller, &handed).map_err(|error| Told::of(&error))
    }

    /// Opens a run, or finds the one that the same key started before. Blocks on the disk.
    ///
    /// # Errors
    /// What is wrong with the inputs, the program or the key, and where the host cannot go on.
    pub fn start(
        &self,
        offered: &Offered,
        inputs: Map<String, Value>,
        key: Option<&str>,
        caller: &Caller,
    ) -> anyhow::Result<Going> {
        let inputs = offered.inputs(inputs)?;
        let prepared = offered.prepared();
        opening::subject(prepared, &inputs)?;
        self.refuse_retired()?;
        let opened = ledger::now();
        let decided = offered.decide(&self.engine, opened)?;
        let models = match &decided.outcome {
            Ok(admitted) => offered.models(&admitted.plan)?,
            Err(_) => crate::model::Models::none(),
        };
        let starter = Starter { principal: &caller.principal, key };
        let fence = match opening::begin(&self.store, starter, prepared, &inputs, opened)? {
            Begun::Owned(fence) => fence,
            Begun::Held { run, same: false } => return Err(opening::reused(&run)),
            Begun::Held { run, same: true } => match look(&self.store, &run, &self.places)? {
                First::NotBegun(fence) => fence,
                First::Live(run) => {
                    let status = "running";
                    let head = self.head(&run)?;
                    let name = prepared.program.name();
                    let answer = Answer { repeated: true, ..Answer::standing(name, &run, status, head) };
                    return Ok(Going::Told(Box::new(answer)));
                }
                First::Known(reopened) => {
                    if !reopened.was_started(prepared, &inputs, &caller.principal) {
                        return Err(redirected(&run));
                    }
                    return self.again(*reopened, prepared.program.name(), caller);
                }
            },
        };
        let id = fence.run().clone();
        self.owns(&id, caller.principal.as_str());
        let seed: [u8; 32] = random()?;
        let digest = prepared.program.digest();
        let chain = Chain::open(id.clone(), digest, caller.principal.as_str(), Arc::clone(&self.signer));
        let mut ledger = Ledger::new(Arc::clone(&self.store), fence, chain, opened);
        let record = decided.record(opened);
        let (host, launch) = (self.host.clone(), offered.launch());
        opening::seal_open(
            &mut ledger,
            prepared,
            host,
            opened,
            &record,
            &inputs,
            &seed,
            launch,
            self.development,
        )?;
        match &decided.outcome {
            Err(denied) => {
                opening::seal_refusal(&mut ledger, denied)?;
                self.ended.fetch_add(1, Ordering::Relaxed);
                let told = Told::denied(denied);
                let head = ledger.head();
                let mut answer = Answer::refused(prepared.program.name(), &id, head, told);
                answer.receipt = self.receipt(&id)?.as_ref().and_then(super::answer::digest);
                Ok(Going::Told(Box::new(answer)))
            }
            Ok(admitted) => {
                opening::seal_plan(&mut ledger, &admitted.plan)?;
                let run = Run::start(Arc::clone(&admitted.plan), inputs, opened);
                let tools = Tools {
                    linked: admitted.linked.clone(),
                    models,
                    seed,
                    domain: launch.domain.clone(),
                    trust: self.trust.clone(),
                    signed_keys: std::collections::HashMap::new(),
                };
                Ok(Going::Run(Box::new(Driving { run, ledger, tools, repeated: false })))
            }
        }
    }

    /// How the first run with a key stands; one that was interrupted goes on.
    fn again(
        &self,
        reopened: crate::commands::Reopened,
        name: &str,
        caller: &Caller,
    ) -> anyhow::Result<Going> {
        if reopened.state() == RunState::Open && reopened.trace.machine().is_some() {
            let ready = taken_over(
                reopened,
                &GoOnArgs::default(),
                &caller.principal,
                &self.store,
                &self.places,
                &self.engine,
                &Progress::new(false),
            )?;
            let driving =
                Driving { run: ready.run, ledger: ready.ledger, tools: ready.tools, repeated: true };
            return Ok(Going::Run(Box::new(driving)));
        }
        let receipt = Receipt::from(&reopened.trace);
        let (id, head, run) = reopened.into_told();
        let answer = match run {
            Some(run) => Answer::of(&run, &id, head, Some(&receipt)),
            None => {
                let told = Told::one("authority", "the run was not admitted", "ask the operator");
                let receipt = super::answer::digest(&receipt);
                Answer { receipt, ..Answer::refused(name, &id, head, told) }
            }
        };
        Ok(Going::Told(Box::new(Answer { repeated: true, ..answer })))
    }

    /// Drives a run until it is over or waits. Blocks; `on_step` hears of each step that begins.
    ///
    /// # Errors
    /// Where the host cannot go on.
    pub fn drive(
        &self,
        driving: Driving,
        cancellation: Cancellation,
        on_step: &dyn Fn(&str),
        runtime: &Handle,
    ) -> anyhow::Result<Answer> {
        let Driving { run, ledger, tools, repeated } = driving;
        let id = ledger.run().clone();
        let live = Live::of(self, &id, &cancellation);
        let finished = runtime.block_on(async {
            let watched = crate::commands::watch_requests(&ledger, &cancellation);
            let finished = Drive::new(run, ledger, tools, cancellation.clone(), on_step).drive().await;
            watched.abort();
            finished
        });
        drop(live);
        self.ended.fetch_add(1, Ordering::Relaxed);
        let (run, ledger, _) = finished?;
        let receipt = self.receipt(&id)?;
        let answer = Answer::of(&run, &id, ledger.head(), receipt.as_ref());
        Ok(Answer { repeated, ..answer })
    }

    /// Asks a run that this gateway drives to stop; `false` where it drives no such run.
    pub fn cancel(&self, run: &RunId) -> bool {
        let live = lock(&self.live);
        live.get(run).map(Cancellation::cancel).is_some()
    }

    /// The receipt of a run, from evidence that verifies; `None` where there is none yet.
    pub(super) fn receipt(&self, run: &RunId) -> anyhow::Result<Option<Receipt>> {
        let Some(record) = acts::load(&*self.store, run).map_err(store_failure)? else { return Ok(None) };
        let (report, trace) = verify_record(&record, &self.trust);
        Ok(trace.filter(|_| report.fault.is_none()).map(|trace| Receipt::from(&trace)))
    }

    /// The programs of clients.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }
}

/// That a run is driven by this process, for as long as it is held.
struct Live<'g> {
    gateway: &'g Gateway,
    run: RunId,
}

impl<'g> Live<'g> {
    fn of(gateway: &'g Gateway, run: &RunId, cancellation: &Cancellation) -> Self {
        lock(&gateway.live).insert(run.clone(), cancellation.clone());
        Self { gateway, run: run.clone() }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        lock(&self.gateway.live).remove(&self.run);
    }
}
