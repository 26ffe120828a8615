//! Places between two writes at which a test ends the process, as a power cut would. Outside of
//! tests there is nothing here.

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
