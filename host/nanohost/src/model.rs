//! The models that a run's steps ask, by alias. What any of them says is untrusted; what a step
//! makes of it is the machine's. Knows no step, no journal and no policy file.

mod scripted;

use nanohost_core::run::{Ask, Code, ErrorKind, Failure, Reply, Retry, Slot};

pub use scripted::Scripted;

/// The alias of the model that answers from a file.
pub const SCRIPTED: &str = "scripted";

/// The models of one run.
#[derive(Debug)]
pub struct Models {
    scripted: Option<Scripted>,
}

/// What came of asking.
#[derive(Debug)]
pub struct Answered {
    /// For the machine.
    pub reply: Reply,
}

impl Models {
    /// The models of a run.
    pub fn new(scripted: Option<Scripted>) -> Self {
        Self { scripted }
    }

    /// Asks the model of an attempt, once.
    pub async fn ask(&self, step: &str, ask: &Ask) -> Answered {
        match &self.scripted {
            Some(model) => model.ask(step, ask),
            None => {
                let message = format!("the program names no answers for the model `{}`", ask.model);
                Answered::of(failed("no_model", Retry::Never, message))
            }
        }
    }
}

impl Answered {
    fn of(reply: Reply) -> Self {
        Self { reply }
    }
}

/// A failure of a provider, in its own words.
fn failed(code: &'static str, retry: Retry, message: String) -> Reply {
    let failure = Failure::new(ErrorKind::StepFailed, Code::known(code), retry);
    Reply::Failed { failure: failure.with_message(Slot::known(message.into())), tokens: 0 }
}

/// How many tokens texts are where nobody counted: about four bytes are one.
fn estimate(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum::<u64>().div_ceil(4)
}
