//! What a gateway does for clients that are not trusted: runs programs that the operator published or that
//! clients saved, answers from evidence, and shows each principal its own. Goes the way of `nanohost run`,
//! with the same admission, evidence and limits. Knows no protocol and no transport; and nothing here
//! grants, loads a key, trusts, or reads a policy again.

mod answer;
mod caller;
mod evidence;
mod offer;
mod programs;
mod resuming;
mod saved;
mod schema;
mod starting;
mod told;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use nanohost_core::envelope::HostRef;
use nanohost_core::{Diagnostic, RunId, Signer, TrustRoot};
use nanohost_sandbox::{Cancellation, Engine};
use nanohost_store::{Head, Records as _, SqliteStore};

use crate::cli::PackageArgs;
use crate::commands::{host, own_trust};
use crate::console::Progress;
use crate::failure::Failure;
use crate::project::Places;
use crate::{acts, executable, signing, store_failure};

pub use answer::Answer;
pub use caller::{Caller, Detail, Scope, Scopes};
pub use evidence::MAX_PAGE;
pub use offer::Offered;
pub use resuming::Resumed;
pub use saved::{Handed, MAX_PROGRAM, Saved};
pub use schema::{Hints, answer_schema};
pub use starting::{Asked, Driving, Going};
pub use told::Told;

/// What an operator serves.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// The programs, and folders of programs, that clients call by their names.
    pub programs: Vec<PathBuf>,
    /// The tools that clients call as they are: `FOLDER` or `FOLDER:FUNCTION`.
    pub single: Vec<String>,
    /// The policy, where the operator names one.
    pub policy: Option<PathBuf>,
    /// The tools that programs of clients may name; without it no such program runs.
    pub tools: Option<PathBuf>,
    /// Where packages may come from.
    pub packages: PackageArgs,
}

/// The gateway: everything that was read when it began, and the store.
pub struct Gateway {
    places: Places,
    engine: Engine,
    store: Arc<SqliteStore>,
    signer: Arc<Signer>,
    development: bool,
    host: HostRef,
    trust: TrustRoot,
    offered: BTreeMap<String, Arc<Offered>>,
    saved: Saved,
    /// Programs of clients that were admitted before, by who saved them and their digest.
    known: Mutex<HashMap<(String, String), Arc<Offered>>>,
    live: Mutex<HashMap<RunId, Cancellation>>,
    owners: Mutex<HashMap<RunId, Arc<str>>>,
    /// The head of the acts under which the signing key was last found to count.
    counts: Mutex<Option<Head>>,
    /// How many runs came to an end, or to wait.
    ended: AtomicU64,
}

/// The names of what every gateway has.
pub const RESERVED: [&str; 11] = [
    "check_program",
    "delete_program",
    "get_program",
    "get_receipt",
    "get_trace",
    "list_programs",
    "list_runs",
    "resume_run",
    "run_program",
    "save_program",
    "verify_run",
];

/// No more programs of clients are kept ready; the others are read again.
const MAX_KNOWN: usize = 64;

/// No more runs are remembered by who opened them; of others the evidence is asked again.
const MAX_OWNERS: usize = 100_000;

impl Gateway {
    /// Reads, builds where that is due and allowed, loads and admits everything that is served. What is
    /// not admitted now is served all the same: each call of it is a refusal in the evidence.
    ///
    /// # Errors
    /// Where a program or tool that is to be served cannot be read, two have one name, or the store or
    /// a key cannot be used.
    pub fn open(serving: &Serving, places: &Places, progress: &Progress) -> anyhow::Result<Self> {
        executable::begin(places);
        let engine = Engine::new()?;
        let key = signing::current(places)?;
        let store = Arc::new(crate::open_store(places)?);
        let saved = Saved::at(places.store.join("programs"), serving.clone());
        let mut offered = BTreeMap::new();
        for one in offer::served(serving, &saved, places, &engine, progress)? {
            let name = one.name().to_owned();
            let reserved = RESERVED.contains(&name.as_str());
            if offered.insert(name.clone(), Arc::new(one)).is_some() || reserved {
                let message = format!(
                    "two programs or tools that are to be served are called `{name}`, or one is and that is a tool of every gateway"
                );
                let help = "give one of them another `name`, or leave one out";
                return Err(Failure::usage(Diagnostic::error("ambiguous_program", message).help(help)));
            }
        }
        Ok(Self {
            host: host(&engine, places)?,
            trust: own_trust(places)?,
            signer: Arc::new(key.signer),
            development: key.development,
            places: places.clone(),
            engine,
            store,
            offered,
            saved,
            known: Mutex::default(),
            live: Mutex::default(),
            owners: Mutex::default(),
            counts: Mutex::default(),
            ended: AtomicU64::new(0),
        })
    }

    /// What the operator published, sorted by name.
    pub fn offered(&self) -> impl Iterator<Item = &Arc<Offered>> {
        self.offered.values()
    }

    /// What the operator published under a name.
    pub fn offer(&self, name: &str) -> Option<&Arc<Offered>> {
        self.offered.get(name)
    }

    /// Runs that are being driven now.
    pub fn live(&self) -> usize {
        lock(&self.live).len()
    }

    /// Refuses to sign with a key that an act retired; the acts are read again where there are more.
    fn refuse_retired(&self) -> anyhow::Result<()> {
        let acts = self.store.acts().map_err(store_failure)?;
        let head = self.store.head(&acts).map_err(store_failure)?.unwrap_or(Head::EMPTY);
        if *lock(&self.counts) == Some(head) {
            return Ok(());
        }
        acts::refuse_retired(&*self.store, &self.signer.public().key_id(), &self.places)?;
        *lock(&self.counts) = Some(head);
        Ok(())
    }

    /// Whether the store can be read.
    pub fn is_readable(&self) -> bool {
        self.store.acts().is_ok()
    }

    /// How many runs came to an end, or to wait, since it began.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Stops every run that is being driven: each ends as cancelled, or in doubt, with evidence.
    pub fn stop(&self) {
        lock(&self.live).values().for_each(Cancellation::cancel);
    }

    /// A program of a client, ready to be started: read once, and again only where it is another one.
    fn handed(&self, caller: &Caller, handed: &Handed) -> anyhow::Result<Arc<Offered>> {
        let key = (caller.principal.to_string(), format!("{:?} {}", handed.class, handed.digest));
        if let Some(known) = lock(&self.known).get(&key) {
            return Ok(Arc::clone(known));
        }
        let args = self.saved.args(handed)?;
        let offered = Arc::new(Offered::read(&args, &self.places, &self.engine, &Progress::new(false))?);
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, Arc::clone(&offered));
        Ok(offered)
    }
}

/// A lock of this process. What panicked while it held one left nothing half done: each is taken for one
/// look or one change of a map.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Randomness of the operating system.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    Ok(bytes)
}
