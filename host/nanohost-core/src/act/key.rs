//! What an act about a key says: that another key signs from now on, that this one does, that one
//! does no more. Believed only in its place in the chain: [`Succession`] follows it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Act;
use super::read::OpenedAct;
use crate::log::KeyName;
use crate::{Commitment, KeyId, PublicKey, TrustRoot};

/// That the keys which sign were changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeyAct {
    /// How.
    pub change: KeyChange,
    /// The key it is about.
    pub key: KeyId,
    /// That key itself, where it is introduced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Box<PublicKey>>,
    /// Why, in the words of who did it.
    pub reason: Commitment,
}

/// How the keys which sign were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChange {
    /// The key that signs this act introduces another one.
    Introduced,
    /// The key that signs this act was introduced by the act before it, and takes over from the key
    /// that it names.
    Accepted,
    /// The key that it names signs nothing any more.
    Retired,
}

impl KeyAct {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let named = self.public.as_ref().map(|public| public.key_id());
        match (self.change, named) {
            (KeyChange::Introduced, Some(id)) if id == self.key => Ok(()),
            (KeyChange::Introduced, _) => Err("it introduces a key, and does not hold that key"),
            (KeyChange::Accepted | KeyChange::Retired, None) => Ok(()),
            (KeyChange::Accepted | KeyChange::Retired, Some(_)) => Err("it holds a key and introduces none"),
        }
    }
}

/// Who may sign the next act, as those before it say.
#[derive(Debug, Clone)]
pub(crate) struct Succession {
    trust: TrustRoot,
    /// The keys that each took over from, whether directly or not.
    before: BTreeMap<KeyId, BTreeSet<KeyId>>,
    /// The key that has to accept, and the one that introduced it.
    introduced: Option<(KeyId, KeyId)>,
    retired: Vec<KeyId>,
    /// The log that the acts so far lead to, where one of them says so.
    log: Option<KeyName>,
}

impl Succession {
    pub(crate) fn new(trust: &TrustRoot) -> Self {
        let (before, retired) = (BTreeMap::new(), Vec::new());
        Self { trust: trust.clone(), before, introduced: None, retired, log: None }
    }

    /// The keys that may sign.
    pub(crate) const fn trust(&self) -> &TrustRoot {
        &self.trust
    }

    /// Takes an act whose signature is good.
    pub(crate) fn follow(&mut self, act: &OpenedAct) -> Result<(), &'static str> {
        let key = match &act.predicate.act {
            Act::Key(key) => Some(key),
            Act::Log(log) => {
                let (before, after) = (log.from.origin.clone(), log.to.name().clone());
                if self.log.replace(after).is_some_and(|led| led != before) {
                    return Err(
                        "the log that it goes on from is not the one that the acts before it lead to",
                    );
                }
                None
            }
            // A key that still counts ends its runs itself.
            Act::Ending(ending) if !self.retired.contains(&ending.key) => {
                return Err("it ends a run whose key was not retired before it");
            }
            Act::Erasure(_) | Act::Hold(_) | Act::Ending(_) | Act::Loss(_) => None,
        };
        match (self.introduced.take(), key) {
            (Some((new, old)), Some(KeyAct { change: KeyChange::Accepted, key, .. }))
                if act.key == new && *key == old =>
            {
                let earlier = self.before.get(&old).cloned().unwrap_or_default();
                let before = self.before.entry(new).or_default();
                before.extend(earlier);
                before.insert(old);
                Ok(())
            }
            (Some(_), _) => Err("a key was introduced before it, and did not accept"),
            (None, None) => Ok(()),
            (None, Some(KeyAct { change: KeyChange::Accepted, .. })) => {
                Err("it accepts, and was not introduced")
            }
            (None, Some(KeyAct { change: KeyChange::Introduced, public, key, .. })) => {
                if self.retired.contains(key) {
                    return Err("it introduces a key that was retired");
                }
                if *key == act.key {
                    return Err("it introduces the key that signs it");
                }
                self.trust =
                    std::mem::take(&mut self.trust).with(public.iter().map(|public| (**public).clone()));
                self.introduced = Some((*key, act.key));
                Ok(())
            }
            (None, Some(KeyAct { change: KeyChange::Retired, key, .. })) => {
                if *key == act.key {
                    return Err("it retires the key that signs it");
                }
                if !self.speaks_for(&act.key, key) {
                    return Err("it retires a key that the one which signs it did not take over from");
                }
                self.trust = std::mem::take(&mut self.trust).without(key);
                self.retired.push(*key);
                Ok(())
            }
        }
    }

    /// Whether a key may sign acts about what another one signed: it is the same, took over from it, or
    /// has the role.
    pub(crate) fn speaks_for(&self, key: &KeyId, of: &KeyId) -> bool {
        key == of
            || self.trust.signs_any_act(key)
            || self.before.get(key).is_some_and(|before| before.contains(of))
    }

    /// All whose acts a key may sign; `None`: anybody's.
    pub(crate) fn spoken_for(&self, key: &KeyId) -> Option<BTreeSet<KeyId>> {
        if self.trust.signs_any_act(key) {
            return None;
        }
        let mut all = self.before.get(key).cloned().unwrap_or_default();
        all.insert(*key);
        Some(all)
    }

    /// Whether the chain may end here.
    pub(crate) fn end(&self) -> Result<(), &'static str> {
        match self.introduced {
            None => Ok(()),
            Some(_) => Err("it introduces a key, and the act by which that key accepts is missing"),
        }
    }
}

/// What acts that verified say of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// The keys that were introduced, and by which acts.
    pub introduced: BTreeMap<KeyId, (PublicKey, u64)>,
    /// Those that were retired, and by which acts.
    pub retired: BTreeMap<KeyId, u64>,
}

impl KeyChanges {
    /// Of acts that verified, in order.
    pub fn of(acts: &[OpenedAct]) -> Self {
        let mut changes = Self::default();
        for act in acts {
            let seq = act.predicate.chain.seq;
            match &act.predicate.act {
                Act::Key(KeyAct { change: KeyChange::Introduced, key, public: Some(public), .. }) => {
                    changes.introduced.entry(*key).or_insert(((**public).clone(), seq));
                }
                Act::Key(KeyAct { change: KeyChange::Retired, key, .. }) => {
                    changes.retired.entry(*key).or_insert(seq);
                }
                Act::Key(_)
                | Act::Erasure(_)
                | Act::Hold(_)
                | Act::Ending(_)
                | Act::Log(_)
                | Act::Loss(_) => {}
            }
        }
        changes
    }
}
