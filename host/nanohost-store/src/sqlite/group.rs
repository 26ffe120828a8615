//! Commits of several runs that go to disk together. One of those that want to commit does it for all
//! that wait, in one transaction, and one flush of the disk serves them; nobody hears of a commit
//! before it is there. Who waits where is here; what a commit holds is in `append`.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nanohost_core::RunId;

use crate::batch::Batch;
use crate::error::StoreError;
use crate::journal::{Appended, Fence, Head};

/// Commits in one transaction, at most: bounds what one of them waits for the others, and the memory
/// of the write-ahead log's pages that SQLite holds back till the end.
const TOGETHER: usize = 64;

/// What a commit waits for others that are about to come, as a part of what the last one took, and at
/// most.
const WAIT_PART: u32 = 2;
const WAIT_MOST: Duration = Duration::from_millis(2);

/// What one run wants on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) run: &'a RunId,
    pub(super) epoch: u64,
    pub(super) expected: Head,
    pub(super) batch: &'a Batch,
}

/// What came of it.
pub(super) type Outcome = Result<Appended, StoreError>;

/// The same, kept for whoever commits it.
#[derive(Debug)]
struct Kept {
    run: RunId,
    epoch: u64,
    expected: Head,
    batch: Batch,
    outcome: Mutex<Option<Outcome>>,
}

/// Those that want to commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
    /// Somebody came, while others wait for that.
    came: Condvar,
    /// A commit is over.
    over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Kept>>,
    /// Somebody is at it.
    committing: bool,
    /// How many the last commit was for, and how many waited when it was over: so many may come again.
    last: usize,
    /// How long the last one took.
    took: Duration,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(fence: &'a Fence, expected: Head, batch: &'a Batch) -> Self {
        Self { run: fence.run(), epoch: fence.epoch(), expected, batch }
    }

    fn kept(&self) -> Kept {
        let Self { run, epoch, expected, batch } = *self;
        Kept { run: run.clone(), epoch, expected, batch: batch.clone(), outcome: Mutex::default() }
    }
}

impl Kept {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { run: &self.run, epoch: self.epoch, expected: self.expected, batch: &self.batch }
    }
}

impl Group {
    /// Commits `own`, alone or with others. Whoever's turn it is calls `commit` with all that go
    /// together, which gives one outcome for each, in order.
    pub(super) fn commit(
        &self,
        own: Wanted<'_>,
        mut commit: impl FnMut(&[Wanted<'_>]) -> Vec<Outcome>,
    ) -> Outcome {
        let mut state = lock(&self.state);
        if !state.committing && state.waiting.is_empty() && state.last <= 1 {
            // Nobody else: nothing has to be kept for anybody.
            state.committing = true;
            drop(state);
            let turn = Turn::new(self, Vec::new());
            let outcome = commit(&[own]).pop();
            turn.over(Vec::new(), 1);
            return outcome.unwrap_or_else(given_up);
        }
        let kept = Arc::new(own.kept());
        state.waiting.push_back(Arc::clone(&kept));
        self.came.notify_one();
        loop {
            if let Some(outcome) = lock(&kept.outcome).take() {
                return outcome;
            }
            if state.committing {
                state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.committing = true;
            state = self.gather(state);
            let together = state.waiting.len().min(TOGETHER);
            let turn = Turn::new(self, state.waiting.drain(..together).collect());
            drop(state);
            let wanted: Vec<Wanted<'_>> = turn.group.iter().map(|kept| kept.wanted()).collect();
            let outcomes = commit(&wanted);
            drop(wanted);
            turn.over(outcomes, together);
            state = lock(&self.state);
        }
    }

    /// Waits a little while for those that were served last: they come again, as a rule, and one
    /// commit for all costs what one for some does.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let most = state.last.min(TOGETHER);
        let until = Instant::now() + (state.took / WAIT_PART).min(WAIT_MOST);
        while state.waiting.len() < most {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

/// The turn of one thread to commit, and for whom it does. Whatever ends it, the next one has its turn.
struct Turn<'a> {
    of: &'a Group,
    group: Vec<Arc<Kept>>,
    began: Instant,
}

impl<'a> Turn<'a> {
    fn new(of: &'a Group, group: Vec<Arc<Kept>>) -> Self {
        Self { of, group, began: Instant::now() }
    }

    /// Says what came of each, and how many there were.
    fn over(self, outcomes: Vec<Outcome>, together: usize) {
        for (kept, outcome) in self.group.iter().zip(outcomes) {
            *lock(&kept.outcome) = Some(outcome);
        }
        let mut state = lock(&self.of.state);
        state.last = together + state.waiting.len();
        state.took = self.began.elapsed();
        // What is left is done by dropping it.
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for kept in &self.group {
            // Only a panic on the way leaves one without.
            let mut outcome = lock(&kept.outcome);
            if outcome.is_none() {
                *outcome = Some(given_up());
            }
        }
        lock(&self.of.state).committing = false;
        self.of.over.notify_all();
    }
}

fn given_up() -> Outcome {
    Err(StoreError::Misuse { what: "a commit whose thread ended in a panic" })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
