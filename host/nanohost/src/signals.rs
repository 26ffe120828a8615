//! SIGINT and SIGTERM end a run, not the process: the guest is stopped and the end is recorded.

use std::time::Duration;

use nanohost_sandbox::Cancellation;

/// How soon a cancellation is noticed by who waits for it.
const TICK: Duration = Duration::from_millis(20);

/// Ends when the run is to be stopped.
pub async fn cancelled(cancellation: &Cancellation) {
    while !cancellation.is_cancelled() {
        tokio::time::sleep(TICK).await;
    }
}

/// Turns the first signal into a cancellation; a second one ends the process as usual.
pub fn watch(cancellation: Cancellation) {
    tokio::spawn(async move {
        if first().await.is_ok() {
            cancellation.cancel();
            if first().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
}

/// Ends when the process is asked to end.
///
/// # Errors
/// Where the system does not let signals be heard.
#[cfg(unix)]
pub async fn first() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Ends when the process is asked to end.
///
/// # Errors
/// Where the system does not let signals be heard.
#[cfg(not(unix))]
pub async fn first() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
