//! Looks for secrets in what comes back: as they are, and in base64, hexadecimal, percent-encoding
//! and JSON. A net, not a proof: compressed, split or otherwise written, they are not found.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::{Bytes, BytesMut};

/// Finds secrets. Cloning shares what is searched for.
#[derive(Clone)]
pub(in crate::capability) struct Echo {
    exact: Arc<AhoCorasick>,
    /// For forms in which upper and lower case mean the same.
    caseless: Arc<AhoCorasick>,
    /// The longest form, bytes.
    longest: usize,
}

/// A secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capability) struct Echoed;

impl Echo {
    /// `None` where there is nothing to look for, or too much of it to be looked for.
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Option<Self> {
        let (mut exact, mut caseless) = (Vec::new(), Vec::new());
        for secret in secrets {
            exact.extend(exact_forms(secret));
            caseless.extend(caseless_forms(secret));
        }
        let longest = exact.iter().chain(&caseless).map(Vec::len).max()?;
        let exact = AhoCorasick::new(exact).ok()?;
        let caseless = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(caseless).ok()?;
        Some(Self { exact: Arc::new(exact), caseless: Arc::new(caseless), longest })
    }

    /// Looks through something whole.
    pub(in crate::capability) fn search(&self, bytes: &[u8]) -> Result<(), Echoed> {
        if self.exact.is_match(bytes) || self.caseless.is_match(bytes) { Err(Echoed) } else { Ok(()) }
    }
}

fn exact_forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    // In JSON, and in the JSON of those who escape slashes.
    let json = secret.replace('\\', "\\\\").replace('"', "\\\"");
    forms.push(json.replace('/', "\\/").into_bytes());
    forms.push(json.into_bytes());
    for engine in [&STANDARD, &URL_SAFE] {
        // Base64 of a text that holds it has it in one of three ways, after 0, 1 or 2 other bytes.
        for before in 0..3_usize {
            let whole = [&[0; 2][..before], secret.as_bytes()].concat();
            let text = engine.encode(&whole);
            // What the bytes before and after it have a part in.
            let start = [0, 2, 3][before];
            let end = text.len() - [0, 3, 2][whole.len() % 3];
            forms.push(text.as_bytes()[start..end].to_vec());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

fn caseless_forms(secret: &str) -> Vec<Vec<u8>> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let all = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    // Escaped only where it has to be, as most do it.
    let some = secret.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    });
    vec![hex.into_bytes(), all.into_bytes(), some.collect::<String>().into_bytes()]
}

/// Lets a stream through that holds no secret, also none that is cut in two: what could be the
/// beginning of one waits for what follows.
pub(in crate::capability) struct Released {
    echo: Echo,
    held: BytesMut,
}

impl Released {
    pub(in crate::capability) fn of(echo: &Echo) -> Self {
        Self { echo: echo.clone(), held: BytesMut::new() }
    }

    /// What can go on, now that `data` has come.
    pub(in crate::capability) fn next(&mut self, data: &[u8]) -> Result<Bytes, Echoed> {
        self.held.extend_from_slice(data);
        self.echo.search(&self.held)?;
        let safe = self.held.len().saturating_sub(self.echo.longest - 1);
        Ok(self.held.split_to(safe).freeze())
    }

    /// What is left at the end; it was looked through.
    pub(in crate::capability) fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

#[cfg(test)]
mod tests;
