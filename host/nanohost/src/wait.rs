//! Waiting: pauses, timeouts, and giving up with the run. All of it goes by the runtime's clock,
//! which tests stop and move, so that none of them sleeps. Knows nothing of what is waited for.

use std::time::Duration;

use nanohost_sandbox::Cancellation;
use tokio::time::Instant;

use crate::signals;

/// Longer than anything lasts; the runtime's timers overflow beyond.
const FOREVER: Duration = Duration::from_secs(86_400 * 365);

/// The pause before an attempt: the machine's back-off, of which up to half is left away at random
/// so that those who failed together do not come back together.
pub async fn pause(backoff: Option<Duration>) {
    let Some(backoff) = backoff else { return };
    let mut byte = [0_u8];
    // Without randomness the pause is whole.
    let share = if getrandom::fill(&mut byte).is_ok() { u32::from(byte[0]) } else { 0 };
    tokio::time::sleep(backoff - backoff * share / 512).await;
}

/// Ends at that moment; without one, at once.
pub async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment).await;
    }
}

/// Ends when the time is up; without one, never.
pub async fn timeout(after: Option<Duration>) {
    tokio::time::sleep(after.unwrap_or(FOREVER).min(FOREVER)).await;
}

/// What `work` comes to, or `None` where the run is to be stopped first: the work is dropped then.
pub async fn unless_cancelled<T>(cancellation: &Cancellation, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = signals::cancelled(cancellation) => None,
    }
}

#[cfg(test)]
mod tests;
