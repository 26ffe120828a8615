//! Acts: what is done to a store and not by a run, such as an erasure. A store has one chain of them,
//! sealed like a run's envelopes and logged beside them; the runs that an act bears on stay as they
//! are. Knows no store, no content and no machine.

mod chain;
mod ending;
mod erasure;
mod head;
mod hold;
mod key;
mod log;
mod loss;
mod read;
mod reference;

#[cfg(test)]
mod tests;

pub use chain::{ActChain, ActError};
pub use ending::Ending;
pub use erasure::{Basis, Erasure};
pub use head::{ActsHead, BadActsHead};
pub use hold::{HeldOn, HoldAct, HoldChange};
pub(crate) use key::Succession;
pub use key::{KeyAct, KeyChange, KeyChanges};
pub use log::{LogAct, LogBefore, LogKnown};
pub use loss::{KnownActs, Loss};
pub use read::{ActFault, OpenedAct, is_about_keys, verify};
pub use reference::{BadReference, ValueRef};

use serde::{Deserialize, Serialize};

use crate::{Commitment, Digest, Principal, RunId, Timestamp};

/// `predicateType` of every act. Another one than a run's: neither can be taken for the other.
pub const ACT_TYPE: &str = "https://nanohost.dev/act/v1";

/// What an act's envelope says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ActPredicate {
    /// What was done.
    pub act: Act,
    /// Where it stands.
    pub chain: ActPlace,
    /// When.
    pub time: Timestamp,
    /// Who did it, as they say.
    pub principal: Principal,
}

/// The place of an act in its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ActPlace {
    /// The chain: one for each store.
    pub id: RunId,
    /// The position, from 0.
    pub seq: u64,
    /// SHA-256 of the exact bytes of the act before; absent in act 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Act {
    /// Values of a run were erased.
    Erasure(Erasure),
    /// The keys that sign were changed.
    Key(KeyAct),
    /// A legal hold was laid or ended.
    Hold(HoldAct),
    /// A run whose key was retired is ended by another one.
    Ending(Ending),
    /// The log goes on under another name and key.
    Log(Box<LogAct>),
    /// Acts are gone, or may be, and somebody goes on all the same.
    Loss(Loss),
}

impl Act {
    /// The word for it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Erasure(_) => "erasure",
            Self::Key(_) => "key",
            Self::Hold(_) => "hold",
            Self::Ending(_) => "ending",
            Self::Log(_) => "log",
            Self::Loss(_) => "loss",
        }
    }

    /// The run that it bears on, where it bears on one.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Erasure(erasure) => erasure.run(),
            Self::Hold(HoldAct { on: HeldOn::Run(run), .. }) => Some(run),
            Self::Ending(ending) => Some(&ending.run),
            Self::Key(_) | Self::Hold(_) | Self::Log(_) | Self::Loss(_) => None,
        }
    }

    /// Why it was done, in words that are content.
    pub const fn reason(&self) -> &Commitment {
        match self {
            Self::Erasure(Erasure { reason, .. })
            | Self::Key(KeyAct { reason, .. })
            | Self::Hold(HoldAct { reason, .. })
            | Self::Ending(Ending { reason, .. })
            | Self::Loss(Loss { reason, .. }) => reason,
            Self::Log(log) => &log.reason,
        }
    }

    /// What is wrong with it, beyond its form.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Erasure(erasure) => erasure.check(),
            Self::Key(key) => key.check(),
            Self::Hold(_) => Ok(()),
            Self::Ending(ending) => ending.check(),
            Self::Log(log) => log.check(),
            Self::Loss(loss) => loss.check(),
        }
    }
}

/// The name of a chain, as the subjects of its acts begin.
fn name(chain: &RunId) -> String {
    format!("acts/{chain}")
}

/// What the first act of a chain names as its beginning.
pub(crate) fn beginning(chain: &RunId) -> Digest {
    Digest::of(name(chain).as_bytes())
}
