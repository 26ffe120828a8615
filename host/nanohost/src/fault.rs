//! Places between two writes at which a test ends the process, as a power cut would, and a clock that a
//! test sets back. Outside of tests there is nothing here.

use nanohost_core::Timestamp;

/// A place between two writes.
#[cfg(not(test))]
#[inline]
pub fn point() {}

/// A place between two writes. The process ends by SIGKILL at the one that `NANOHOST_CRASH_AT`
/// counts.
#[cfg(test)]
pub fn point() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static REACHED: AtomicUsize = AtomicUsize::new(0);
    let Ok(at) = std::env::var("NANOHOST_CRASH_AT") else { return };
    if at == (REACHED.fetch_add(1, Ordering::SeqCst) + 1).to_string() {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // Nothing of the process goes on, whether or not it was heard.
        unreachable!("the process was killed: {killed:?}");
    }
}

/// What the clock says.
#[cfg(not(test))]
#[inline]
pub fn clock(says: Timestamp) -> Timestamp {
    says
}

/// What a clock says that is behind by as many days as `NANOHOST_CRASH_CLOCK` says, and goes back an hour
/// with each look at it.
#[cfg(test)]
pub fn clock(says: Timestamp) -> Timestamp {
    use std::sync::atomic::{AtomicI64, Ordering};

    const HOUR: i64 = 3_600_000;
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let behind = std::env::var("NANOHOST_CRASH_CLOCK").ok().and_then(|days| days.parse::<i64>().ok());
    let Some(days) = behind else { return says };
    let looks = LOOKS.fetch_add(1, Ordering::SeqCst);
    Timestamp::from_millis(says.as_millis() - (days * 24 + looks) * HOUR)
}
