//! Lines for whoever reads the run's log. They share one bound with stdout and stderr
//! (`limits.logs`); what is beyond it is dropped.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step of the way.
    Trace,
    /// For finding a fault.
    Debug,
    /// What happened.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

/// Writes one line.
pub fn log(level: Level, message: &str) {
    backend::log(level, message);
}

/// A line of what happened.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// A line about something to look at.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// A line about something that went wrong.
pub fn error(message: &str) {
    log(Level::Error, message);
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::log as backend;

#[cfg(target_family = "wasm")]
mod backend {
    use super::Level;
    use crate::bindings::nanohost::tool::log;

    pub(super) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::log(level, message);
    }
}
