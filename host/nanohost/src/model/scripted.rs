//! The scripted model: answers from a file beside the program, for tests and offline use. It asks
//! nobody; what it says is as untrusted as what any model says.

use std::path::{Path, PathBuf};

use nanohost_core::run::{Ask, Reply, Retry};
use nanohost_core::{Diagnostic, Source};
use serde::Deserialize;

use super::{Answered, estimate};
use crate::failure::Failure;
use crate::project::read_bounded;

/// No file of answers is larger: it is read whole.
const MAX_SCRIPT: u64 = 16 << 20;

/// Answers by step and prompt.
#[derive(Debug)]
pub struct Scripted {
    path: PathBuf,
    answers: Vec<Scene>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    answer: Vec<Scene>,
}

/// One `[[answer]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scene {
    /// The step that asks.
    step: String,
    /// Text that the prompt has to contain.
    contains: Option<String>,
    /// What the model says.
    text: String,
}

impl Scripted {
    /// Reads the file, TOML or, by its extension, JSON.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let io = |error: std::io::Error| {
            Failure::io("script_unreadable", "read the model's answers", path, &error)
        };
        let bytes = read_bounded(path, MAX_SCRIPT).map_err(io)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
        let json = path.extension().is_some_and(|extension| extension == "json");
        let script: Result<Script, Diagnostic> = if json {
            serde_json::from_str(&text)
                .map_err(|error| Diagnostic::error("script_invalid", error.to_string()))
        } else {
            toml::from_str(&text).map_err(|error: toml::de::Error| {
                let finding = Diagnostic::error("script_invalid", error.message().to_owned());
                match error.span() {
                    Some(span) => finding.at(&Source::new(path.display().to_string(), text.as_str()), span),
                    None => finding,
                }
            })
        };
        let script = script.map_err(|finding| {
            Failure::usage(finding.help(
                "a file of answers is a list of `[[answer]]` with `step`, `text` and, if you like, `contains`",
            ))
        })?;
        Ok(Self { path: path.to_owned(), answers: script.answer })
    }

    /// A model that says nothing.
    pub fn silent() -> Self {
        Self { path: PathBuf::new(), answers: Vec::new() }
    }

    /// With these texts, by step, whatever is asked.
    #[must_use]
    pub fn saying(mut self, texts: &[(String, String)]) -> Self {
        let own =
            texts.iter().map(|(step, text)| Scene { step: step.clone(), contains: None, text: text.clone() });
        self.answers.splice(0..0, own);
        self
    }

    /// What the model says to a prompt: the first answer for the step whose `contains` stands in
    /// the prompt.
    pub fn answer(&self, step: &str, prompt: &str) -> Option<&str> {
        let fits = |scene: &&Scene| {
            scene.step == step && scene.contains.as_ref().is_none_or(|text| prompt.contains(text))
        };
        self.answers.iter().find(fits).map(|scene| scene.text.as_str())
    }

    /// What comes of asking it.
    pub fn ask(&self, step: &str, ask: &Ask) -> Answered {
        match self.answer(step, &ask.prompt) {
            Some(text) => Answered::of(Reply::Text {
                text: text.to_owned(),
                tokens: 0,
                estimated_tokens: estimate(&[&ask.prompt, text]),
            }),
            None => {
                let path = self.path.display();
                let message = format!("{path} has no answer for step `{step}` and this prompt");
                Answered::failed("no_scripted_answer", Retry::Never, message)
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
