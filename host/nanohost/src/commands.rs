//! One function per command: what it does, in the order it does it.

mod evidence;
mod inspect;
mod run;
mod setup;

pub use evidence::{export, list, receipt, trace, verify_evidence, verify_record};
pub use inspect::{check, plan};
pub use run::run;
pub use setup::{key, trust};
