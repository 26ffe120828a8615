//! `nanohost:tool/secrets`: texts that stand for secrets, where they may be replaced, and the search
//! for secrets in what comes back. A guest is given the texts and never a secret. Knows no
//! connection and no place where secrets are kept.

mod echo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue};
use nanohost_core::{Class, HttpTarget, SecretRule};
use wasmtime::Result;
use wasmtime::component::Linker;
use zeroize::Zeroizing;

use super::random::prf;
use crate::bindings::nanohost::tool::secrets::{self, Error};
use crate::record::Recorder;
use crate::state::{Field, State};

pub(super) use echo::{Echo, Echoed, Released};

/// What begins every text that stands for a secret. The rest follows from the run's secret seed.
const PREFIX: &str = "nanohost-secret-";

/// The secrets of one tool by name. They are overwritten in memory when the last holder goes.
#[derive(Clone, Default)]
pub struct SecretValues(BTreeMap<String, Zeroizing<String>>);

impl SecretValues {
    /// With a secret under a name; visible ASCII, or it can stand in no header.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn with(mut self, name: &str, value: Zeroizing<String>) -> std::result::Result<Self, BadSecret> {
        if !SECRET_LENGTH.contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadSecret);
        }
        self.0.insert(name.to_owned(), value);
        Ok(self)
    }
}

/// A shorter secret is found everywhere by the search for it; a longer one is a file. Bytes.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 8..=4096;

/// A value that cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is 8 to 4096 visible ASCII characters, without spaces")]
pub struct BadSecret;

/// Without the values.
impl std::fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Adds the interface, where any secret is granted.
pub(crate) fn link(linker: &mut Linker<State>, granted: &BTreeSet<SecretRule>) -> Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    secrets::add_to_linker::<State, Field<Secrets>>(linker, |state| &mut state.secrets)
}

/// The secrets of one call.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<Held>);

struct Held {
    rules: BTreeSet<SecretRule>,
    /// By name: the text that stands for it, and it.
    values: BTreeMap<String, (String, Zeroizing<String>)>,
    echo: Option<Echo>,
    recorder: Recorder,
}

/// A text that stands for a secret where no secret may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// The secret's name.
    pub(super) name: String,
}

impl Secrets {
    pub(crate) fn new(
        granted: &BTreeSet<SecretRule>,
        values: &SecretValues,
        seed: &[u8; 32],
        call: &str,
        recorder: Recorder,
    ) -> Self {
        let names: BTreeSet<&str> = granted.iter().map(|rule| rule.name.as_str()).collect();
        let values: BTreeMap<_, _> = names
            .into_iter()
            .filter_map(|name| {
                let key = prf(seed, &[b"nanohost/secret/v1\0", call.as_bytes(), b"\0", name.as_bytes()]);
                let stand_in =
                    key[..16].iter().fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"));
                Some((name.to_owned(), (stand_in, values.0.get(name)?.clone())))
            })
            .collect();
        let echo = Echo::new(values.values().map(|(_, value)| value.as_str()));
        Self(Arc::new(Held { rules: granted.clone(), values, echo, recorder }))
    }

    /// The search for these secrets in an answer; `None` where there are none.
    pub(super) fn echo(&self) -> Option<&Echo> {
        self.0.echo.as_ref()
    }

    /// The longest text that stands for a secret, bytes; `None` where there is none.
    pub(super) fn longest(&self) -> Option<usize> {
        self.0.values.values().map(|(stand_in, _)| stand_in.len()).max()
    }

    /// The secret, if any, whose text stands in `bytes`, where none may be.
    pub(super) fn within(&self, bytes: &[u8]) -> std::result::Result<(), Misplaced> {
        let found = self.0.values.iter().find(|(_, (stand_in, _))| contains(bytes, stand_in.as_bytes()));
        match found {
            Some((name, _)) => Err(Misplaced { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Whether each text that stands for a secret is in the header, and goes to the target, that a
    /// rule names for it.
    pub(super) fn judge(
        &self,
        headers: &HeaderMap,
        target: &HttpTarget,
    ) -> std::result::Result<(), Misplaced> {
        for (header, value) in headers {
            self.within(header.as_str().as_bytes())?;
            for (name, (stand_in, _)) in &self.0.values {
                let granted = |rule: &SecretRule| {
                    rule.name == *name && rule.header == header.as_str() && rule.allows(target)
                };
                if contains(value.as_bytes(), stand_in.as_bytes()) && !self.0.rules.iter().any(granted) {
                    return Err(Misplaced { name: name.clone() });
                }
            }
        }
        Ok(())
    }

    /// Puts the secrets where their texts stand. What came through [`Secrets::judge`] has them only
    /// where they may be.
    pub(super) fn fill(&self, headers: &mut HeaderMap, target: &HttpTarget) {
        for rule in self.0.rules.iter().filter(|rule| rule.allows(target)) {
            let Some((stand_in, secret)) = self.0.values.get(&rule.name) else { continue };
            let values = headers.iter_mut().filter(|(header, _)| header.as_str() == rule.header);
            for (_, value) in values {
                let Ok(text) = value.to_str() else { continue };
                if !text.contains(stand_in.as_str()) {
                    continue;
                }
                let filled = Zeroizing::new(text.replace(stand_in.as_str(), secret));
                if let Ok(mut filled) = HeaderValue::from_str(&filled) {
                    filled.set_sensitive(true);
                    *value = filled;
                    self.0.recorder.operation(Class::Secrets, &rule.to_string());
                }
            }
        }
    }
}

impl secrets::Host for Secrets {
    fn placeholder(&mut self, name: String) -> Result<std::result::Result<String, Error>> {
        match self.0.values.get(&name) {
            Some((stand_in, _)) => Ok(Ok(stand_in.clone())),
            None => {
                self.0.recorder.denied(Class::Secrets, "placeholder", &name);
                Ok(Err(Error::NotGranted))
            }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
