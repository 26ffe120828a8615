//! `nanohost log witness` and `nanohost log heartbeat`, and the end of each run where there are witnesses:
//! the log's head, signed by others. A witness that cannot be had loses no run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nanohost_core::log::policy::Uncounted;
use nanohost_core::log::{Checkpoint, LogPolicy, Note};
use nanohost_core::{Diagnostic, Timestamp};
use nanohost_store::{LogHead, Logged as _, SqliteReader};
use nanohost_verify::log_policy;
use serde_json::{Value, json};

use super::{growth, own_key, signed_head};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::witness::ask::{Asked, Outcome, Sent, ask};
use crate::{open_store, store_failure};

/// What became of asking the witnesses of a policy.
struct Told {
    head: Checkpoint,
    note: Note,
    asked: Vec<Asked>,
    quorum: bool,
    wanted: Option<String>,
}

impl Told {
    fn exit(&self) -> Exit {
        match (self.asked.iter().any(|asked| asked.outcome.is_rolled_back()), self.quorum) {
            (true, _) => Exit::RolledBack,
            (false, false) => Exit::Unwitnessed,
            (false, true) => Exit::Success,
        }
    }
}

/// `nanohost log witness`.
pub(super) fn witness(
    policy: Option<&Path>,
    json: bool,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let policy = named(policy, places)?.ok_or_else(|| {
        let finding = Diagnostic::error("log_policy_missing", "nobody says which witnesses there are");
        let help = "name a policy with --log-policy or NANOHOST_LOG_POLICY, or keep one as log.policy in the \
                    configuration folder; `host/docs/log.md` shows one";
        Failure::usage(finding.help(help))
    })?;
    let (reader, note) = signed_head(places)?;
    told(&asked(&policy, &reader, note, places)?, json, console)
}

/// `nanohost log heartbeat`.
pub(super) fn heartbeat(
    policy: Option<&Path>,
    json: bool,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let policy = named(policy, places)?;
    // Looking makes no store.
    let (reader, _) = signed_head(places)?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let note = open_store(places)?.sign_log_time(time).map_err(store_failure)?;
    let note = note.ok_or_else(super::no_key)?;
    if let Some(policy) = policy {
        return told(&asked(&policy, &reader, note, places)?, json, console);
    }
    let head: Checkpoint = note.text().parse()?;
    if json {
        console.json(&json!({
            "origin": head.origin.as_str(),
            "size": head.size,
            "root": head.root,
            "time": time,
            "checkpoint": note.to_string(),
            "exitCode": Exit::Success as u8,
        }))?;
    } else {
        console.print(&format!("{} entries at {}\n", head.size, moment(time)))?;
    }
    Ok(Exit::Success)
}

/// Asks the witnesses where a policy is configured; what the end of a run, or an act, says of them, where
/// they are too few. No failure of this is one of the run or the act.
pub fn at_end(places: &Places) -> Option<String> {
    let path = places.log_policy()?;
    let asked = || -> anyhow::Result<Told> {
        let policy = log_policy(&path)?;
        let (reader, note) = signed_head(places)?;
        asked(&policy, &reader, note, places)
    };
    let help = format!("`{} log witness` asks again", console::program_name());
    match asked() {
        Ok(told) if told.exit() == Exit::Success => None,
        Ok(told) => {
            let missing: Vec<String> = told
                .asked
                .iter()
                .filter(|asked| !matches!(asked.outcome, Outcome::Signed { .. }))
                .map(|asked| format!("{}: {}", console::escaped(&asked.name), words(&asked.outcome)))
                .collect();
            let what = match told.exit() {
                Exit::RolledBack => "a witness saw another log than this one, or more of it",
                _ => "the log's head is not witnessed as its policy wants",
            };
            Some(format!("{what}: {}\n{help}", missing.join("; ")))
        }
        Err(error) => Some(format!("the witnesses of the log could not be asked: {error}\n{help}")),
    }
}

fn asked(policy: &LogPolicy, reader: &SqliteReader, note: Note, places: &Places) -> anyhow::Result<Told> {
    let head: Checkpoint = note.text().parse()?;
    let own = own_key(reader, places)?;
    policy.open(&note, own.as_ref()).map_err(|error| {
        let finding = Diagnostic::error("log_policy_foreign", format!("{}: {error}", head.origin));
        let help = match error {
            Uncounted::UnknownLog | Uncounted::NoLog => {
                "add a `log` line with what `nanohost log key` prints"
            }
            Uncounted::Checkpoint(_) => "compare its `log` line with what `nanohost log key` prints",
        };
        Failure::usage(finding.help(help))
    })?;
    let before = reader.read_log(|log| log.head(LogHead::Witnessed)).map_err(store_failure)?;
    let guess = before.as_ref().and_then(|note| Some(note.text().parse::<Checkpoint>().ok()?.size));
    let sent = Sent { note, head: head.clone(), guess: guess.unwrap_or(0), growth: grown(places, &head)? };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (asked, mut note) = runtime.block_on(ask(policy, &sent));
    // Nobody is waited for any more.
    runtime.shutdown_background();
    // Those that signed this head before and could not be had now signed it all the same.
    if let Some(before) = before.filter(|before| before.text() == note.text()) {
        let silent =
            policy.witnesses().iter().filter(|witness| !matches!(note.by(&witness.key), Ok(Some(_))));
        let silent: Vec<_> = silent.map(|witness| witness.key.clone()).collect();
        note.join(&before.only(&silent));
    }
    let quorum = policy.witnessed(&note)?.quorum;
    // A head that is newer and has fewer signatures does not take the place of one that counts.
    if quorum && policy.witnesses().iter().any(|witness| matches!(note.by(&witness.key), Ok(Some(_)))) {
        open_store(places)?.keep_witnessed(&note).map_err(store_failure)?;
    }
    Ok(Told { head, note, asked, quorum, wanted: policy.quorum().map(str::to_owned) })
}

/// How the log of these places grew, for as many threads as ask.
fn grown(places: &Places, head: &Checkpoint) -> anyhow::Result<crate::witness::ask::Growth> {
    let options = nanohost_store::OpenOptions::default();
    let reader = SqliteReader::open(&places.store, &options).map_err(store_failure)?;
    let head = head.clone();
    Ok(Arc::new(move |old| growth(&reader, old, &head).map_err(|error| error.to_string())))
}

fn told(told: &Told, json: bool, console: &Console) -> anyhow::Result<Exit> {
    let exit = told.exit();
    if json {
        let witnesses: Vec<Value> = told.asked.iter().map(asked_json).collect();
        console.json(&json!({
            "origin": told.head.origin.as_str(),
            "size": told.head.size,
            "root": told.head.root,
            "quorum": told.wanted,
            "witnessed": told.quorum,
            "witnesses": witnesses,
            "checkpoint": told.note.to_string(),
            "exitCode": exit as u8,
        }))?;
        return Ok(exit);
    }
    for asked in &told.asked {
        console.print(&format!("{}: {}\n", console::escaped(&asked.name), words(&asked.outcome)))?;
    }
    let wanted = told.wanted.as_deref().unwrap_or("none");
    let verdict = match exit {
        Exit::Success => "witnessed",
        Exit::RolledBack => "ROLLED BACK OR FORKED",
        _ => "NOT WITNESSED",
    };
    let holds = if told.quorum { "holds" } else { "is missing" };
    console.print(&format!(
        "{verdict}: {} entries, quorum `{}` {holds}\n",
        told.head.size,
        console::escaped(wanted)
    ))?;
    if exit == Exit::RolledBack {
        console.note(
            "the store is an older copy, or another one, than the witness saw: restore the newest copy, and run nothing \
             before",
        );
    }
    Ok(exit)
}

fn asked_json(asked: &Asked) -> Value {
    let (outcome, size, time, detail) = match &asked.outcome {
        Outcome::Signed { time } => ("signed", None, Some(*time), None),
        Outcome::Ahead { size } => ("ahead", Some(*size), None, None),
        Outcome::Forked => ("forked", None, None, None),
        Outcome::NoAddress => ("no-address", None, None, None),
        Outcome::Failed(why) => ("failed", None, None, Some(why.as_str())),
    };
    json!({ "name": asked.name, "outcome": outcome, "size": size, "time": time, "detail": detail })
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Signed { time } => format!("signed at {}", moment(*time)),
        Outcome::Ahead { size } => format!("saw this log with {size} entries, more than there are"),
        Outcome::Forked => "saw another log of this name".to_owned(),
        Outcome::NoAddress => "the policy does not say where it is".to_owned(),
        Outcome::Failed(why) => console::escaped(why),
    }
}

/// A moment, from Unix seconds.
fn moment(seconds: u64) -> String {
    let millis = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
    millis.map_or_else(|| seconds.to_string(), |millis| Timestamp::from_millis(millis).to_string())
}

/// The policy that is named, or configured; `None` where there is none.
fn named(policy: Option<&Path>, places: &Places) -> anyhow::Result<Option<LogPolicy>> {
    let path: Option<PathBuf> = policy.map(Path::to_owned).or_else(|| places.log_policy());
    path.as_deref().map(log_policy).transpose()
}
