//! The models that a run's steps ask, by alias. What any of them says is untrusted; what a step
//! makes of it is the machine's. Knows no step, no journal and no policy file.

mod completion;
mod openai;
mod scripted;

use std::collections::HashMap;

use nanohost_core::run::{Ask, Code, ErrorKind, Failure as StepFailure, Reply, Retry, Slot};
use nanohost_core::{Diagnostics, Plan};

use crate::failure::Failure;
use openai::OpenAi;
pub use scripted::Scripted;

/// The alias of the model that answers from a file.
pub const SCRIPTED: &str = "scripted";

/// The models of one run.
#[derive(Debug)]
pub struct Models {
    scripted: Option<Scripted>,
    served: HashMap<String, OpenAi>,
}

/// What came of asking.
#[derive(Debug)]
pub struct Answered {
    /// For the machine.
    pub reply: Reply,
    /// What the server says the attempt cost, a decimal.
    pub cost: Option<String>,
}

impl Models {
    /// The models of a plan, and the scripted one where a step asks it. Keys are read from the
    /// environment here and kept nowhere else.
    ///
    /// # Errors
    /// `model_key_missing`, `model_key_invalid`, `model_client`: all that are wrong at once.
    pub fn open(plan: &Plan, scripted: Option<Scripted>) -> anyhow::Result<Self> {
        let mut findings = Diagnostics::new();
        let mut served = HashMap::new();
        for row in plan.models() {
            match OpenAi::open(row, |name| std::env::var_os(name)) {
                Ok(model) => {
                    served.insert(row.alias.clone(), model);
                }
                Err(found) => findings.extend(found),
            }
        }
        if findings.is_empty() { Ok(Self { scripted, served }) } else { Err(Failure::usage(findings)) }
    }

    /// No models, for a run that never begins.
    pub fn none() -> Self {
        Self { scripted: None, served: HashMap::new() }
    }

    /// Asks the model of an attempt, once. Dropping the future abandons the request.
    pub async fn ask(&self, step: &str, ask: &Ask) -> Answered {
        match (&self.scripted, self.served.get(&ask.model)) {
            (Some(model), _) if ask.model == SCRIPTED => model.ask(step, ask),
            (_, Some(model)) => model.ask(ask).await,
            _ => {
                let message = format!("nobody answers for the model `{}`", ask.model);
                Answered::failed("no_model", Retry::Never, message)
            }
        }
    }
}

impl Answered {
    fn of(reply: Reply) -> Self {
        Self { reply, cost: None }
    }

    /// No answer, in the words of whoever knows why.
    fn failed(code: &'static str, retry: Retry, message: String) -> Self {
        let failure = StepFailure::new(ErrorKind::StepFailed, Code::known(code), retry);
        let failure = failure.with_message(Slot::known(message.into()));
        Self::of(Reply::Failed { failure, tokens: 0 })
    }
}

/// How many tokens texts are where nobody counted: about four bytes are one.
fn estimate(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum::<u64>().div_ceil(4)
}
