//! What all calls under way take together: how many they are and what memory they may grow to. A
//! call waits until its policies leave room for it. Knows nothing of what a call is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanohost_core::Together;
use tokio::sync::Notify;

/// The calls under way in one engine, of all its runs.
#[derive(Debug, Default)]
pub(crate) struct Room {
    used: Mutex<Used>,
    /// Whoever waits stands in a row: a large call is not passed by for ever by small ones.
    row: tokio::sync::Mutex<()>,
    left: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    calls: u64,
    memory: u64,
}

/// What one call takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<Room>,
    memory: u64,
}

impl Room {
    /// Waits until a call that may grow to `memory` bytes fits within `bounds`, with all that are under
    /// way. One that is alone always fits: admission refuses what never would.
    pub(crate) async fn enter(self: &Arc<Self>, memory: u64, bounds: Together) -> Taken {
        if bounds.is_none() {
            // It counts for those who are bounded.
            self.used().take(memory);
            return Taken { room: Arc::clone(self), memory };
        }
        let _turn = self.row.lock().await;
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Listening before looking: a call that ends in between is not missed.
            left.as_mut().enable();
            {
                let mut used = self.used();
                if used.leaves(memory, bounds) {
                    used.take(memory);
                    return Taken { room: Arc::clone(self), memory };
                }
            }
            left.await;
        }
    }

    /// Numbers are whole whatever happened to who held them.
    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn leaves(&self, memory: u64, bounds: Together) -> bool {
        let fits = |all: u64, bound: Option<u64>| bound.is_none_or(|bound| all <= bound);
        let calls = fits(self.calls.saturating_add(1), bounds.calls);
        self.calls == 0 || calls && fits(self.memory.saturating_add(memory), bounds.memory)
    }

    fn take(&mut self, memory: u64) {
        self.calls = self.calls.saturating_add(1);
        self.memory = self.memory.saturating_add(memory);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        {
            let mut used = self.room.used();
            used.calls = used.calls.saturating_sub(1);
            used.memory = used.memory.saturating_sub(self.memory);
        }
        self.room.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
