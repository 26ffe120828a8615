//! One function per command: what it does, in the order it does it.

mod cancel;
mod driving;
mod evidence;
mod first;
mod inspect;
mod recover;
mod reopen;
mod resume;
mod run;
mod setup;

pub use cancel::cancel;
#[cfg(all(test, unix))]
pub use evidence::own_trust;
pub use evidence::{export, list, receipt, trace, verify_evidence, verify_record};
pub use inspect::{check, plan};
pub use recover::recover;
pub use resume::{resume, settle, token};
pub use run::run;
pub use setup::{key, trust};
