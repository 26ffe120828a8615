use std::time::Duration;

use nanohost_sandbox::Cancellation;
use tokio::time::Instant;

use super::{pause, timeout, unless_cancelled};

#[tokio::test(start_paused = true)]
async fn a_pause_is_the_back_off_less_at_most_half() {
    for _ in 0..50 {
        let begin = Instant::now();
        pause(Some(Duration::from_secs(8))).await;
        let paused = begin.elapsed();
        assert!(paused >= Duration::from_secs(4) && paused <= Duration::from_secs(9), "{paused:?}");
    }
    let begin = Instant::now();
    pause(None).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_century_does_not_overflow() {
    let century = timeout(Some(Duration::MAX));
    let soon = tokio::time::timeout(Duration::from_secs(60), century);
    assert!(soon.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_is_not_waited_for() {
    let cancellation = Cancellation::default();
    assert_eq!(unless_cancelled(&cancellation, async { 1 }).await, Some(1));
    let stop = cancellation.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    let begin = Instant::now();
    assert_eq!(unless_cancelled(&cancellation, timeout(None)).await, None);
    assert!(begin.elapsed() < Duration::from_secs(2));
}
