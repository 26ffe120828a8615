//! What an act about a key says: that another key signs from now on, that this one does, that one
//! does no more. Believed only in its place in the chain: [`Succession`] follows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Act;
use super::read::OpenedAct;
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
pub(super) struct Succession {
    trust: TrustRoot,
    /// The key that has to accept, and the one that introduced it.
    introduced: Option<(KeyId, KeyId)>,
    retired: Vec<KeyId>,
}

impl Succession {
    pub(super) fn new(trust: &TrustRoot) -> Self {
        Self { trust: trust.clone(), introduced: None, retired: Vec::new() }
    }

    /// The keys that may sign.
    pub(super) const fn trust(&self) -> &TrustRoot {
        &self.trust
    }

    /// Takes an act whose signature is good.
    pub(super) fn follow(&mut self, act: &OpenedAct) -> Result<(), &'static str> {
        let key = match &act.predicate.act {
            Act::Key(key) => Some(key),
            Act::Erasure(_) => None,
        };
        match (self.introduced.take(), key) {
            (Some((new, old)), Some(KeyAct { change: KeyChange::Accepted, key, .. }))
                if act.key == new && *key == old =>
            {
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
                self.trust = std::mem::take(&mut self.trust).without(key);
                self.retired.push(*key);
                Ok(())
            }
        }
    }

    /// Whether the chain may end here.
    pub(super) fn end(&self) -> Result<(), &'static str> {
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
                Act::Key(_) | Act::Erasure(_) => {}
            }
        }
        changes
    }
}
