//! What ends a call from inside the host, whatever its guest does. Knows no reason of its own.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::report::FaultCode;

/// Ends a call with a fault, whatever its guest does. The first one counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Halt(Arc<(OnceLock<FaultCode>, Notify)>);

impl Halt {
    pub(crate) fn with(&self, code: FaultCode) {
        if self.0.0.set(code).is_ok() {
            self.0.1.notify_waiters();
        }
    }

    /// The fault, if there is one.
    pub(crate) fn code(&self) -> Option<FaultCode> {
        self.0.0.get().copied()
    }

    /// Waits for one.
    pub(crate) async fn halted(&self) -> FaultCode {
        loop {
            let notified = self.0.1.notified();
            tokio::pin!(notified);
            // Listening before looking: one in between is not missed.
            notified.as_mut().enable();
            if let Some(code) = self.code() {
                return code;
            }
            notified.await;
        }
    }
}
