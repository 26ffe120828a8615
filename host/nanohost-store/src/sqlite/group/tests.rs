use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

fn run(number: usize) -> RunId {
    RunId::from_random((number as u128).to_be_bytes())
}

const HEAD: Head = Head { len: 0, last: None };

/// What says which of them it is about.
fn committed(wanted: &Wanted<'_>) -> Outcome {
    Ok(Appended::Committed(Head { len: wanted.epoch, last: None }))
}

fn all(wanted: &[Wanted<'_>]) -> Vec<Outcome> {
    wanted.iter().map(committed).collect()
}

/// So many come while a commit is under way; how many commits are made for them.
fn while_one_is_under_way(runs: usize) -> usize {
    let group = Group::default();
    let commits = AtomicUsize::new(0);
    let batch = Batch::default();
    lock(&group.state).committing = true;
    thread::scope(|scope| {
        let come = |number| {
            let (group, commits, batch) = (&group, &commits, &batch);
            move || {
                let run = run(number);
                let own = Wanted { run: &run, epoch: number as u64, expected: HEAD, batch };
                group.commit(own, |wanted| {
                    commits.fetch_add(1, Ordering::SeqCst);
                    assert!(wanted.len() <= TOGETHER);
                    all(wanted)
                })
            }
        };
        let threads: Vec<_> = (0..runs).map(|number| scope.spawn(come(number))).collect();
        while lock(&group.state).waiting.len() < runs {
            thread::yield_now();
        }
        lock(&group.state).committing = false;
        group.over.notify_all();
        for (number, thread) in threads.into_iter().enumerate() {
            let outcome = thread.join().expect("no panic").expect("it was committed");
            assert_eq!(outcome, Appended::Committed(Head { len: number as u64, last: None }));
        }
    });
    commits.load(Ordering::SeqCst)
}

#[test]
fn those_that_wait_go_together() {
    assert_eq!(while_one_is_under_way(1), 1);
    assert_eq!(while_one_is_under_way(16), 1);
    assert_eq!(while_one_is_under_way(TOGETHER + 1), 2);
}

#[test]
fn whoever_is_alone_waits_for_nobody() {
    let group = Group::default();
    let (batch, run) = (Batch::default(), run(1));
    for epoch in 0..3 {
        let own = Wanted { run: &run, epoch, expected: HEAD, batch: &batch };
        let outcome = group.commit(own, |wanted| {
            // Its own, and no copy of it.
            assert!(std::ptr::eq(wanted[0].batch, &batch));
            all(wanted)
        });
        assert_eq!(outcome.expect("it was committed"), Appended::Committed(Head { len: epoch, last: None }));
    }
}

/// Whoever was served together last is waited for, and not for long.
#[test]
fn those_that_do_not_come_are_not_waited_for() {
    let group = Group::default();
    let (batch, run) = (Batch::default(), run(1));
    *lock(&group.state) = State { last: 8, took: Duration::from_millis(1), ..State::default() };
    let own = Wanted { run: &run, epoch: 1, expected: HEAD, batch: &batch };
    group.commit(own, all).expect("it was committed");
    assert_eq!(lock(&group.state).last, 1);
}

/// Whoever commits for others and panics loses them their commit, and nobody waits for ever.
#[test]
fn a_panic_is_nobodys_commit() {
    let group = Group::default();
    let (batch, first, second) = (Batch::default(), run(1), run(2));
    let wanted = |run| Wanted { run, epoch: 1, expected: HEAD, batch: &batch };
    let other = Arc::new(wanted(&second).kept());
    lock(&group.state).waiting.push_back(Arc::clone(&other));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = group.commit(wanted(&first), |_| panic!("half way"));
    }));
    assert!(panicked.is_err());
    let told = lock(&other.outcome).take().expect("it was told");
    assert_eq!(told.expect_err("it was not committed").code(), "store_misuse");
    assert_eq!(
        group.commit(wanted(&first), all).expect("it works again"),
        Appended::Committed(Head { len: 1, last: None })
    );
}
