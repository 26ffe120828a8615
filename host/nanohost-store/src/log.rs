//! Reading the log over all runs: one moment of it, whatever is written meanwhile. Knows no rows;
//! what the tree means is [`nanohost_core::log`].

use std::ops::Range;

use nanohost_core::log::tree::Node;
use nanohost_core::log::{KeyName, Nodes, Note};
use nanohost_core::{Digest, RunId};

use crate::error::StoreError;

/// One entry of a log, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it stands.
    pub entry: u64,
    /// The run of its envelope.
    pub run: RunId,
    /// The number of its envelope in that run.
    pub seq: u64,
    /// The exact bytes; `None` where somebody removed them.
    pub envelope: Option<Vec<u8>>,
}

/// Which head of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogHead {
    /// The newest that the log signed.
    Signed,
    /// The newest that witnesses signed too.
    Witnessed,
}

impl LogHead {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Witnessed => "witnessed",
        }
    }
}

/// A store with a log.
pub trait Logged {
    /// The log's name, which stands in all its checkpoints.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn log_origin(&self) -> Result<KeyName, StoreError>;

    /// Whether that is another name than its first, which it went on under by an act.
    ///
    /// # Errors
    /// See [`Logged::log_origin`].
    fn is_log_renamed(&self) -> Result<bool, StoreError>;

    /// Reads one moment of the log.
    ///
    /// # Errors
    /// Those of `read`, and where the store cannot be read.
    fn read_log<R>(
        &self,
        read: impl FnOnce(&mut dyn LogView) -> Result<R, StoreError>,
    ) -> Result<R, StoreError>;
}

/// One moment of a log. All of it is as it lies there: nothing has been checked.
pub trait LogView {
    /// The number of entries.
    ///
    /// # Errors
    /// Where the store cannot be read; so for all of these.
    fn size(&mut self) -> Result<u64, StoreError>;

    /// A head that is kept, as it lies there.
    ///
    /// # Errors
    /// See [`LogView::size`].
    fn head_text(&mut self, which: LogHead) -> Result<Option<String>, StoreError>;

    /// A head that is kept. A text that is no note is no head: whoever needs one says that there is none.
    ///
    /// # Errors
    /// See [`LogView::size`].
    fn head(&mut self, which: LogHead) -> Result<Option<Note>, StoreError> {
        Ok(self.head_text(which)?.and_then(|text| text.parse().ok()))
    }

    /// The hash of a full subtree.
    ///
    /// # Errors
    /// See [`LogView::size`]; also where it is not there.
    fn node(&mut self, node: Node) -> Result<Digest, StoreError>;

    /// Where an envelope stands.
    ///
    /// # Errors
    /// See [`LogView::size`].
    fn find(&mut self, run: &RunId, seq: u64) -> Result<Option<u64>, StoreError>;

    /// Hands out the entries of a range that are there, in order.
    ///
    /// # Errors
    /// See [`LogView::size`]; and those of `each`, which end it.
    fn entries(
        &mut self,
        range: Range<u64>,
        each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// How many envelopes are in the store and not in its log.
    ///
    /// # Errors
    /// See [`LogView::size`].
    fn outside(&mut self) -> Result<u64, StoreError>;
}

/// The nodes of a log, for proofs.
impl Nodes for &mut dyn LogView {
    type Error = StoreError;

    fn get(&mut self, node: Node) -> Result<Digest, StoreError> {
        self.node(node)
    }
}
