//! One function per command: what it does, in the order it does it.

mod cache;
mod cancel;
mod driving;
mod evidence;
mod first;
mod health;
mod inspect;
mod log;
mod policy;
mod receipt;
mod recover;
mod reopen;
mod replay;
mod resume;
mod run;
mod secret;
mod setup;
mod update;
mod witness;

pub use cache::cache;
pub use cancel::cancel;
pub use evidence::{export, list, own_trust, trace, verify_evidence, verify_record};
pub use health::health;
pub use inspect::{check, graph, plan};
pub use log::log;
pub use policy::policy;
pub use receipt::receipt;
pub use recover::recover;
pub use replay::{Replay, replay};
pub use resume::{check_end, resume, settle, token};
pub use run::run;
pub use secret::secret;
pub use setup::{key, trust};
pub use update::update;
pub use witness::witness;
