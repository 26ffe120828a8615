//! The log under another name and key: after its key was changed, and after an older copy of the store was
//! restored, of which witnesses saw more. One act says so, in the log itself, and the old key signs it too.

use nanohost_core::act::{Act, LogAct, LogBefore, LogKnown};
use nanohost_core::log::note::Kind;
use nanohost_core::log::{Checkpoint, KeyName, NoteSigner, NoteVerifier};
use nanohost_core::{Principal, Role, TrustRoot, Validity};
use nanohost_store::{Effect, Logged, Records, SqliteStore, log_key};

use crate::acts::{self, Acts};
use crate::project::Places;
use crate::{outside, store_failure};

/// Lets the log of a store go on under a new name and key; that key, for whoever verifies.
pub fn renamed(
    store: &SqliteStore,
    principal: &Principal,
    reason: &str,
    places: &Places,
) -> anyhow::Result<NoteVerifier> {
    let mut acts = Acts::take(store, places)?;
    let note = store.sign_log_head().map_err(store_failure)?.ok_or_else(super::no_key)?;
    let Checkpoint { origin: before, size, root } = note.text().parse()?;
    let folder = crate::log_keys(&before, store.is_log_renamed().map_err(store_failure)?, places);
    let old = NoteSigner::new(before.clone(), Kind::Ed25519, log_key(&folder).map_err(store_failure)?);
    let known = outside::known_size(&store.acts().map_err(store_failure)?, places)?;
    let known = (known > size).then_some(LogKnown { size: known, root: None });
    let origin = fresh_name()?;
    let key = log_key(&crate::log_keys(&origin, true, places)).map_err(store_failure)?;
    let to = NoteVerifier::new(origin.clone(), Kind::Ed25519, key.public().clone());
    let from = LogBefore { origin: before, key: Some(old.verifier().clone()), size, root };
    let mut said = Ok(());
    acts.seal(principal, (Role::REASON, reason), |reason| {
        let mut act = LogAct { from, known, to: to.clone(), note: None, reason };
        said = act.sign(&old);
        Act::Log(Box::new(act))
    })?;
    said?;
    // The commit of the act is the first under the new key.
    let before = store.sign_log_as(NoteSigner::new(origin.clone(), Kind::Ed25519, key));
    acts.effect(Effect::Log { origin });
    if let Err(error) = acts.append() {
        // It has the old name still, and nobody signs under the new one.
        before.map(|before| store.sign_log_as(before));
        return Err(error);
    }
    outside::list(store, places)?;
    Ok(to)
}

fn fresh_name() -> anyhow::Result<KeyName> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::Error::new(error).context("the operating system gives no randomness"))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("nanohost-log/{digits}").parse()?)
}

/// The keys of the log under all names that it had, with the entries of each, the present one last.
pub fn names<S: Records + Logged>(
    store: &S,
    now: Option<NoteVerifier>,
    trust: &TrustRoot,
) -> anyhow::Result<Vec<(NoteVerifier, Validity)>> {
    let (done, _) = acts::verified(store, trust).map_err(store_failure)?.map_err(|bad| bad.failure())?;
    let (mut names, mut from) = (Vec::new(), 0);
    for act in &done {
        let Act::Log(log) = &act.predicate.act else { continue };
        // The act is the first entry under the new name.
        let until = log.from.size;
        if let Some(key) = log.from.key.clone().filter(|_| until > from) {
            names.push((key, Validity { from, until: Some(until) }));
        }
        from = until;
    }
    names.extend(now.map(|key| (key, Validity { from, until: None })));
    Ok(names)
}
