//! What `run`, `resume`, `settle` and `recover` share: the host's description, driving a run with
//! its signals, the report at its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nanohost_core::envelope::{HostRef, PolicyRef};
use nanohost_core::receipt::{Receipt, UnknownCall};
use nanohost_core::run::{Run, Status, StepStatus};
use nanohost_core::{Diagnostics, ProgramClass, RunId, Trust};
use nanohost_sandbox::{Cancellation, Engine};
use nanohost_store::{Head, Records as _, RunState, SqliteStore};
use serde::{Deserialize, Serialize};

use super::{evidence, log};
use crate::cli::ProgramArgs;
use crate::console::{self, Console, Progress, Sight, Summary};
use crate::drive::{CallObserved, Drive, Tools};
use crate::executable;
use crate::failure::Exit;
use crate::ledger::Ledger;
use crate::prepare::Prepared;
use crate::project::{FoundPolicy, Places};
use crate::{acts, signals, store_failure};

/// How soon a driven run notices that somebody asked for its end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// One JSON document.
    pub json: bool,
    /// Nothing but how it ended.
    pub quiet: bool,
    /// What of the run's values is shown.
    pub sight: Sight,
}

impl Manner {
    /// Whether a person watches.
    pub fn is_shown(self) -> bool {
        !self.json && !self.quiet
    }
}

/// Where the files of a run lie: what another process needs to go on. It stays on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// The policy, where its user named it.
    pub policy: Option<PathBuf>,
    /// The folder of tools, where it was named.
    pub tools: Option<PathBuf>,
    /// Whose key-value spaces and idempotency keys the run shares.
    pub domain: String,
    /// Whose word the program is.
    #[serde(default, skip_serializing_if = "ProgramClass::is_vetted")]
    pub class: ProgramClass,
}

impl Launch {
    /// Where the files of a run that is about to begin lie.
    pub fn of(args: &ProgramArgs, prepared: &Prepared) -> Self {
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self {
            program: whole(&args.program),
            policy: prepared.policy.named().map(Path::to_owned),
            tools: args.tools.as_deref().map(whole),
            domain: prepared.domain(args),
            class: args.class,
        }
    }
}

/// This host.
pub fn host(engine: &Engine, places: &Places) -> anyhow::Result<HostRef> {
    Ok(HostRef {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: executable::digest(places)?,
        engine: engine.name().to_owned(),
        config: engine.config_digest(),
    })
}

/// The policies in force, as envelopes name them.
pub fn policies(policy: &FoundPolicy) -> Vec<PolicyRef> {
    let policies = policy.policies.iter().map(|policy| PolicyRef {
        digest: policy.digest(),
        trusted: matches!(policy.trust(), Trust::Trusted),
    });
    policies.collect()
}

/// Drives a run until it ends or waits, with the signals of this process and the requests of
/// others to end it.
pub fn perform(
    run: Run,
    ledger: Ledger,
    tools: Tools,
    manner: Manner,
    progress: &Progress,
) -> anyhow::Result<(Run, Ledger, Vec<CallObserved>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Somebody may have asked before this process took the run: nothing of it is done then.
    let already = matches!(ledger.store().asked_to_stop(ledger.run()), Ok(Some(_)));
    let finished = runtime.block_on(async {
        let cancellation = Cancellation::default();
        if already {
            cancellation.cancel();
        }
        signals::watch(cancellation.clone());
        let on_step = |step: &str| {
            if manner.is_shown() {
                progress.detail(&format!("running {step}"));
            }
        };
        watch_requests(&ledger, &cancellation);
        Drive::new(run, ledger, tools, cancellation, &on_step).drive().await
    });
    progress.clear();
    // A guest that does not hear is not waited for: everything of the run is on disk.
    runtime.shutdown_background();
    finished
}

/// Looks every now and then whether somebody asked for the end of a run that is being driven.
pub fn watch_requests(ledger: &Ledger, cancellation: &Cancellation) -> tokio::task::JoinHandle<()> {
    let (store, id) = (Arc::clone(ledger.store()), ledger.run().clone());
    let asked = cancellation.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            // What cannot be read now is looked at again: the run itself meets a broken store.
            if let Ok(Some(_)) = store.asked_to_stop(&id) {
                asked.cancel();
                break;
            }
        }
    })
}

/// A run that was driven, and what surrounded it.
pub struct Driven<'a> {
    /// The machine.
    pub run: &'a Run,
    /// The run's id.
    pub id: &'a RunId,
    /// How far its chain has come.
    pub head: Head,
    /// What its calls did.
    pub observed: &'a [CallObserved],
    /// The policy in force.
    pub policy: &'a FoundPolicy,
    /// What was found on the way.
    pub warnings: &'a Diagnostics,
    /// The file of the scripted model's answers, where one is asked.
    pub model: Option<&'a Path>,
}

/// Tells what a run did.
pub fn report(
    driven: &Driven<'_>,
    manner: Manner,
    places: &Places,
    console: &Console,
    store: &SqliteStore,
) -> anyhow::Result<Exit> {
    let Driven { run, id, head, observed, policy, model, .. } = *driven;
    let mut warnings = driven.warnings.clone();
    warnings.extend(run.plan().warnings().clone());
    let interrupted = store
        .runs()
        .map_err(store_failure)?
        .iter()
        .filter(|other| matches!(other.state, RunState::Interrupted))
        .count();
    let unknown = unknown_calls(run, id, places, store)?;
    if let Some(why) = log::witnessed::at_end(places) {
        console.note(&why);
    }
    let summary = Summary {
        run,
        unknown: &unknown,
        id,
        head,
        observed,
        policy,
        model,
        store: &places.store,
        interrupted,
        exit: exit_of(run),
        sight: manner.sight,
    };
    if manner.sight == Sight::Revealed {
        console.note(console::REVEALS);
    }
    if manner.json {
        console.json(&console::summary_json(&summary, &warnings))?;
    } else {
        if manner.quiet {
            console.print(&console::outcome(&summary))?;
        } else {
            console.note(&console::render(&warnings, console.look_err()));
            console.print(&console::summary(&summary))?;
        }
    }
    Ok(summary.exit)
}

/// The calls of which nobody knows the end, where a run was ended with them; read from its evidence,
/// since a machine that was cancelled holds no calls any more.
fn unknown_calls(
    run: &Run,
    id: &RunId,
    places: &Places,
    store: &SqliteStore,
) -> anyhow::Result<Vec<UnknownCall>> {
    if run.end().map(|end| end.status) != Some(Status::Cancelled) {
        return Ok(Vec::new());
    }
    let Some(record) = acts::load(store, id).map_err(store_failure)? else { return Ok(Vec::new()) };
    let (_, trace) = evidence::verify_record(&record, &evidence::own_trust(places)?);
    Ok(trace.map_or_else(Vec::new, |trace| Receipt::from(&trace).unknown_calls))
}

/// The exit code of a run that is over or waits.
pub fn exit_of(run: &Run) -> Exit {
    let Some(end) = run.end() else { return Exit::Suspended };
    match (end.status, end.error) {
        (Status::Success, _) => Exit::Success,
        (Status::NotAdmitted, _) => Exit::Denied,
        (_, Some(kind)) if kind.is_authority() => Exit::Denied,
        // A step that failed, the one that ended the run or one of its block, had tried what the
        // table does not hold.
        (Status::Failed, _)
            if run
                .records()
                .iter()
                .any(|record| record.status == StepStatus::Failed && record.denied > 0) =>
        {
            Exit::Denied
        }
        _ => Exit::RunFailed,
    }
}
