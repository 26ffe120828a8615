//! A program of many calls, run with its evidence as `nanohost run` does.

use std::path::Path;
use std::time::Duration;

use nanohost::governed::{Governed, Took};
use nanohost_core::Signer;
use nanohost_sandbox::Engine;
use tokio::runtime::Runtime;

use crate::{Failure, echo};

/// [`echo::STEPS`] calls, one after the other.
pub(crate) struct Program(Governed);

impl Program {
    /// With its store in that folder.
    pub(crate) fn new(engine: &Engine, effect: &str, length: usize, store: &Path) -> Result<Self, Failure> {
        let (plan, linked) = echo::program(engine, effect, length)?;
        Ok(Self(Governed::new(plan, linked, store, Signer::from_seed([7; 32]))?))
    }

    /// How long one call takes of a run that does nothing else.
    pub(crate) fn run(&self, runtime: &Runtime) -> Result<Duration, Failure> {
        Ok(self.took(runtime)?.steps / u32::try_from(echo::STEPS)?)
    }

    /// The same without its share of the commits: what the next step waits for.
    pub(crate) fn run_uncommitted(&self, runtime: &Runtime) -> Result<Duration, Failure> {
        let took = self.took(runtime)?;
        Ok(took.steps.saturating_sub(took.commits) / u32::try_from(echo::STEPS)?)
    }

    fn took(&self, runtime: &Runtime) -> Result<Took, Failure> {
        Ok(runtime.block_on(self.0.run())?)
    }
}
