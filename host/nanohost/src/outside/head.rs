//! The head of a store's acts, signed, beside the keys: with it a list that is gone can be made again, and
//! without both nobody takes an older copy for the store. Knows no act.

use nanohost_core::act::{ActsHead, BadActsHead};
use nanohost_core::log::note::Kind;
use nanohost_core::log::{Note, NoteVerifier};
use nanohost_core::{Diagnostic, PublicKey};
use nanohost_store::{
    ActsHeads, Head, LogHead, Logged, Records, SqliteStore, StoreError, log_key, log_public_key,
};

use crate::console::{self, program_name};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// What is known of a store's acts apart from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// So many, and the last of them.
    Head(Head),
    /// Nothing, and nothing was logged: the store is new.
    New,
    /// Nothing, and there was something to know.
    Missing,
    /// Something that no key of this user's logs signed.
    Bad(BadActsHead),
    /// The log is another user's.
    Foreign,
}

fn heads(places: &Places) -> ActsHeads {
    ActsHeads::at(&places.keys())
}

/// What is known of the acts of a store. To be asked before how many the store has: they are in there first.
pub fn known<S: Records + Logged>(store: &S, places: &Places) -> anyhow::Result<Known> {
    let is_new = store.read_log(|log| log.size()).map_err(store_failure)? == 0;
    let chain = store.acts().map_err(store_failure)?;
    let note = heads(places).get(&chain).map_err(store_failure)?;
    Ok(match note {
        Some(note) => match ActsHead::open(&note, &log_keys(places).map_err(store_failure)?)
            .and_then(|head| head.of(&chain))
        {
            Ok(ActsHead { acts, last, .. }) => Known::Head(Head { len: acts, last }),
            Err(bad) => Known::Bad(bad),
        },
        None if is_new => Known::New,
        None if is_own(store, places)? => Known::Missing,
        None => Known::Foreign,
    })
}

/// The keys of all logs of this user: the head may have been kept before the log got another name.
fn log_keys(places: &Places) -> Result<Vec<PublicKey>, StoreError> {
    let renamed = std::fs::read_dir(places.keys().join("logs")).into_iter().flatten().flatten();
    // What is no folder has no key of a log in it.
    let renamed = renamed.map(|entry| entry.path()).filter(|path| path.is_dir());
    let folders = std::iter::once(places.keys()).chain(renamed);
    folders.filter_map(|folder| log_public_key(&folder).transpose()).collect()
}

/// Whether this user has the key of the log. Who looks into another's store keeps no heads of it.
fn is_own(store: &impl Logged, places: &Places) -> anyhow::Result<bool> {
    let origin = store.log_origin().map_err(store_failure)?;
    let folder = crate::log_keys(&origin, store.is_log_renamed().map_err(store_failure)?, places);
    let Some(key) = log_public_key(&folder).map_err(store_failure)? else { return Ok(false) };
    let head = store.read_log(|log| log.head(LogHead::Signed)).map_err(store_failure)?;
    let verifier = NoteVerifier::new(origin, Kind::Ed25519, key);
    // A head that was taken away says nothing of whose it was.
    Ok(head.is_none_or(|head| matches!(head.by(&verifier), Ok(Some(_)))))
}

/// Keeps the head of a store's acts: durable when this returns. No head of fewer acts takes the place of
/// one of more, but where somebody goes on after a loss.
pub fn keep(store: &SqliteStore, head: Head, after_loss: bool, places: &Places) -> anyhow::Result<()> {
    let (chain, keys) = (store.acts().map_err(store_failure)?, log_keys(places).map_err(store_failure)?);
    let origin = store.log_origin().map_err(store_failure)?;
    let folder = crate::log_keys(&origin, store.is_log_renamed().map_err(store_failure)?, places);
    let next = ActsHead { chain: chain.clone(), acts: head.len, last: head.last };
    let kept = heads(places).keep(&chain, |there| {
        let there = there.and_then(|note| ActsHead::open(&note, &keys).and_then(|head| head.of(&chain)).ok());
        if there.is_some_and(|there| if after_loss { there == next } else { there.acts >= next.acts }) {
            return Ok(None);
        }
        let unsigned = |_| StoreError::Misuse { what: "a head of acts that cannot be signed" };
        let note = next.signed(log_key(&folder)?).map_err(unsigned)?;
        Ok(Some(Note::to_string(&note)))
    });
    kept.map_err(|error| {
        let message = format!("the head of the acts could not be kept: {error}");
        let help = "make the folder of the keys writable; the next command that writes to the store keeps it";
        Failure::host(Diagnostic::error("acts_head_unwritable", message).help(help))
    })
}

/// What a refusal says where nobody can tell whether the store lacks acts.
pub fn refused(known: &Known, own: Head, places: &Places, chain: &nanohost_core::RunId) -> anyhow::Error {
    let path = console::path(&heads(places).path(chain));
    let go_on = format!(
        "`{} store catch-up --acts-lost --reason TEXT` goes on without, and an act says so for ever: erase again \
         what was erased since, and retire keys again",
        program_name()
    );
    let (code, exit, message, help) = match known {
        Known::Head(head) => (
            "acts_lost",
            Exit::RolledBack,
            format!(
                "the store has {} acts, and {path} knows of {}: it is an older copy, and acts.log does not have the \
                 others either",
                own.len, head.len
            ),
            format!(
                "put the newest copy of acts.log back, then `{} store catch-up`; {go_on}",
                program_name()
            ),
        ),
        Known::Bad(bad) => (
            "acts_head_bad",
            Exit::Host,
            format!("{path}: {bad}: whether the store is an older copy cannot be told"),
            format!("restore the file, and the keys beside it, from their newest copy; {go_on}"),
        ),
        Known::New | Known::Missing | Known::Foreign => (
            "acts_head_missing",
            Exit::Host,
            format!("{path} is gone: whether the store is an older copy cannot be told"),
            format!(
                "restore the file from its newest copy; {go_on}. A store of before there were such files needs that \
                 once"
            ),
        ),
    };
    let findings = Diagnostic::error(code, message).help(help).into();
    Failure { exit, findings }.into()
}
