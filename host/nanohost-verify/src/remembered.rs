//! The file that remembers how far evidence reached when it was last seen (`--state`). Knows nothing
//! of what is compared with it: that is [`SeenHeads`]'s.

use std::io::Write as _;
use std::path::Path;

use nanohost_core::Diagnostic;
use nanohost_core::log::Checkpoint;
use nanohost_core::log::proof::GrowthProof;
use nanohost_core::trace::SeenHeads;

use crate::Judged;
use crate::failure::Failure;
use crate::read::read_bounded;
use crate::whole;

/// No state file is larger: it is read whole.
const MAX_STATE: u64 = 256 << 20;

/// What a state file remembers.
#[derive(Debug)]
pub struct Remembered<'a> {
    path: &'a Path,
    before: SeenHeads,
    /// The heads that were seen.
    pub heads: SeenHeads,
}

impl<'a> Remembered<'a> {
    /// Reads a state file; one that is not there remembers nothing.
    ///
    /// # Errors
    /// `state_unwritable` where it cannot be read, `state_invalid` where it is none.
    pub fn read(path: &'a Path) -> anyhow::Result<Self> {
        let invalid = |why: String| {
            let help = "a damaged state file is no state: restore it, or give another name to begin anew";
            Failure::usage(
                Diagnostic::error("state_invalid", format!("{}: {why}", path.display())).help(help),
            )
        };
        let heads = match read_bounded(path, MAX_STATE) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => SeenHeads::default(),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(invalid("it is too large".to_owned()));
            }
            Err(error) => return Err(unremembered(path, &error)),
            Ok(text) => serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?,
        };
        Ok(Self { path, before: heads.clone(), heads })
    }

    /// Compares evidence with what was seen of it, and remembers that.
    pub fn compare(&mut self, judged: &mut Judged) {
        self.heads.compare(&mut judged.report, &judged.reach);
    }

    /// Compares the head that a proof of an exported file is under with the one of that log that was seen
    /// last, and remembers it where nothing speaks against that.
    pub fn compare_log(&mut self, judged: &mut Judged, head: &Checkpoint, growth: Option<&GrowthProof>) {
        self.heads.compare_alone(&mut judged.report, head, growth);
    }

    /// Writes it, where something was seen that it did not hold.
    ///
    /// # Errors
    /// `state_unwritable`.
    pub fn keep(&self) -> anyhow::Result<()> {
        if self.heads == self.before {
            return Ok(());
        }
        let io = |error: std::io::Error| unremembered(self.path, &error);
        let text = serde_json::to_string_pretty(&self.heads)?;
        whole::replace(self.path, |draft| writeln!(draft, "{text}")).map_err(io)
    }
}

fn unremembered(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::io("state_unwritable", "keep the seen heads in", path, error)
}
