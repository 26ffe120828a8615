//! What nanohost keeps: the journal of runs, the vault with their content, the key-value spaces
//! of tools, idempotency records and keys.

mod batch;
mod error;
mod idempotency;
mod journal;
mod memory;
mod record;

pub use batch::{Batch, KvCommit, KvEntry, KvKey, KvRead, KvScope, KvWrite, Phase, VaultWrite};
pub use error::StoreError;
pub use idempotency::{Claim, IdempotencyScope, Reservation, ReservationState};
pub use journal::{Appended, Conflict, Fence, Head, Journal, OpenRun, Records, Taken};
pub use memory::MemoryStore;
pub use record::{Content, Found, Place, RunRecord, RunState, RunSummary, StoredContent, VaultError};
