//! A model behind a server that speaks OpenAI's `chat/completions`. One attempt is one request:
//! nothing here tries again, follows a redirect or asks the environment for a proxy.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nanohost_core::run::{Ask, Reply, Retry, Slot};
use nanohost_core::{Diagnostic, Diagnostics, ModelRow};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Answered, completion};
use crate::wait;

/// A server that does not take the connection by then is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a server can make the next attempt wait: a day would be a way to hang a run.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Of what a server says about an error no more bytes are read: an error is no way to fill a memory.
const MAX_COMPLAINT: u64 = 16 << 10;

/// Of its words no more characters are kept with the evidence, which would grow by what servers like.
const MAX_SAID: usize = 500;

/// A shorter key is a placeholder, and looking for it in answers would find it everywhere; a longer
/// one is a file somebody put into the variable. Bytes.
const KEY: std::ops::RangeInclusive<usize> = 8..=4096;

/// A key is looked for in texts that are escaped at most so many times over: a server that does more
/// to it could as well spell it backwards.
const MAX_ESCAPED: usize = 4;

/// What stands where a server repeated the key.
const HIDDEN: &str = "[KEY]";

/// One model of the table.
pub(super) struct OpenAi {
    row: ModelRow,
    client: Client,
    key: Option<Key>,
    /// The server asked to be left alone until then.
    not_before: Mutex<Option<Instant>>,
}

/// A key, in memory alone.
struct Key {
    text: Zeroizing<String>,
    header: HeaderValue,
}

impl OpenAi {
    /// The model of a row; `variable` looks up the environment.
    pub(super) fn open(
        row: &ModelRow,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Diagnostics> {
        let key = row.key_env.as_deref().map(|name| Key::read(name, variable(name), row)).transpose()?;
        let client = client(row).map_err(|error| {
            Diagnostic::error("model_client", format!("cannot speak to `{}`: {}", row.alias, chain(&error)))
                .help("https needs the certificates of this machine (ca-certificates), or SSL_CERT_FILE")
        })?;
        Ok(Self { row: row.clone(), client, key, not_before: Mutex::new(None) })
    }

    /// Asks once: after whatever pause the server wanted, within the step's time and the row's.
    pub(super) async fn ask(&self, ask: &Ask) -> Answered {
        wait::until(self.not_before()).await;
        let answered = tokio::select! {
            biased;
            answered = self.attempt(ask) => answered,
            () = wait::timeout(ask.timeout) => Answered::of(Reply::TimedOut),
            () = wait::timeout(Some(self.row.timeout)) => {
                let message = format!("no answer within the {:?} of [models.{}]", self.row.timeout, self.row.alias);
                Answered::failed("model_timeout", Retry::Maybe, message)
            }
        };
        self.without_key(answered)
    }

    async fn attempt(&self, ask: &Ask) -> Answered {
        let body = completion::request(&self.row, ask).to_string();
        let url = self.row.base_url.join("chat/completions");
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header.clone());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                let message = format!("cannot reach {}: {}", self.row.base_url.origin(), chain(&error));
                return Answered::failed("model_unreachable", Retry::Maybe, message);
            }
            Err(error) => return cut(&error),
        };
        let status = response.status();
        if status == StatusCode::OK {
            return match read(response, self.row.answer).await {
                Ok(Body::Whole(body)) => completion::answered(ask, &body),
                Ok(Body::Beyond) => {
                    let message = format!("the answer is larger than {} bytes", self.row.answer);
                    Answered::failed("model_answer_too_large", Retry::Never, message)
                }
                Err(error) => cut(&error),
            };
        }
        let (code, retry) = meaning(status);
        if retry == Retry::Maybe
            && let Some(pause) = pause_wanted(response.headers(), SystemTime::now())
        {
            self.leave_alone(pause);
        }
        let said = match status {
            // What a server says about a key, it may say with the key, or half of it.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => None,
            _ => match read(response, MAX_COMPLAINT).await {
                Ok(Body::Whole(body)) => completion::complaint(&body),
                Ok(Body::Beyond) | Err(_) => None,
            },
        };
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("{} answers {status}{said}", self.row.base_url.origin());
        Answered::failed(code, retry, message)
    }

    fn not_before(&self) -> Option<Instant> {
        *self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No attempt, of whatever step, before the pause is over.
    fn leave_alone(&self, pause: Duration) {
        let until = Instant::now() + pause.min(MAX_RETRY_AFTER);
        let mut held = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |before| before.max(until)));
    }

    /// Nothing that holds the key gets as far as the evidence, however it is escaped: a server that
    /// repeats it in an answer is not believed, and in a complaint it is taken out.
    fn without_key(&self, answered: Answered) -> Answered {
        match (answered.reply, &self.key) {
            (Reply::Text { text, .. }, Some(key)) if key.is_in(&text) => Answered::failed(
                "model_key_echo",
                Retry::Never,
                "the server's answer repeats the key it was asked with".to_owned(),
            ),
            (Reply::Failed { mut failure, tokens }, key) => {
                if let Some(said) = failure.message.value().and_then(|said| said.as_str()) {
                    // Cut when it holds no key any more: half a key would not be found.
                    let said = key.as_ref().map_or_else(|| said.to_owned(), |key| key.taken_out_of(said));
                    failure.message = Slot::known(said.chars().take(MAX_SAID).collect::<String>().into());
                }
                Answered { reply: Reply::Failed { failure, tokens }, cost: answered.cost }
            }
            (reply, _) => Answered { reply, cost: answered.cost },
        }
    }
}

impl Key {
    fn read(name: &str, value: Option<OsString>, row: &ModelRow) -> Result<Self, Diagnostics> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Err(Diagnostic::error(
                "model_key_missing",
                format!("the model `{}` needs a key, and the variable {name} is not set", row.alias),
            )
            .help(format!(
                "set {name}, or leave `key_env` out of [models.{}] for a server that needs none",
                row.alias
            ))
            .into());
        };
        let invalid = || {
            Diagnostic::error("model_key_invalid", format!("what {name} holds is no key"))
                .help("a key is 8 to 4096 visible ASCII characters, without spaces")
        };
        let text = Zeroizing::new(value.into_string().map_err(|_| invalid())?);
        if !KEY.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid().into());
        }
        let bearer = Zeroizing::new(format!("Bearer {}", *text));
        let mut header = HeaderValue::from_str(&bearer).map_err(|_| invalid())?;
        header.set_sensitive(true);
        Ok(Self { text, header })
    }

    /// Whether `said` holds the key, as it is or as a JSON string in a JSON string writes it.
    fn is_in(&self, said: &str) -> bool {
        let mut said = Cow::Borrowed(said);
        for _ in 0..MAX_ESCAPED {
            if said.contains(self.text.as_str()) {
                return true;
            }
            if !said.contains('\\') {
                return false;
            }
            said = unescaped(&said).into();
        }
        said.contains(self.text.as_str())
    }

    fn taken_out_of(&self, said: &str) -> String {
        let said = said.replace(self.text.as_str(), HIDDEN);
        // Where it stands in another form, nothing says where it ends.
        if self.is_in(&said) { format!("what the server says repeats the key: {HIDDEN}") } else { said }
    }
}

/// `text` with the escapes of a JSON string resolved once. Of the numbered ones those of ASCII, which
/// keys are of; what is no escape stays.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let (c, length) = match *escape.as_bytes() {
            [c @ (b'"' | b'/' | b'\\'), ..] => (char::from(c), 1),
            [b'u', b'0', b'0', high @ b'0'..=b'7', low, ..] if low.is_ascii_hexdigit() => {
                let low = char::from(low).to_digit(16).unwrap_or_default();
                (char::from_u32(u32::from(high - b'0') * 16 + low).unwrap_or_default(), 5)
            }
            _ => ('\\', 0),
        };
        plain.push(c);
        rest = &escape[length..];
    }
    plain + rest
}

fn client(row: &ModelRow) -> reqwest::Result<Client> {
    // Whoever installed one before installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    let client = Client::builder()
        .user_agent(concat!("nanohost/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .connect_timeout(CONNECT)
        // `localhost` is this machine, whatever a name server says.
        .resolve_to_addrs("localhost", &own);
    // Where nothing is encrypted, no certificates are needed, and a machine may have none.
    if row.base_url.is_secure() { client.build() } else { client.tls_certs_only([]).build() }
}

/// What a status other than 200 means, and whether it may pass.
fn meaning(status: StatusCode) -> (&'static str, Retry) {
    let code = match status.as_u16() {
        429 => "model_rate_limited",
        401 | 403 => "model_unauthorized",
        408 | 500..=599 => "model_unavailable",
        300..=399 => "model_redirected",
        400..=499 => "model_refused",
        _ => "model_answer_invalid",
    };
    let passes = matches!(code, "model_rate_limited" | "model_unavailable");
    (code, if passes { Retry::Maybe } else { Retry::Never })
}

fn cut(error: &reqwest::Error) -> Answered {
    let message = format!("the connection broke before the answer was whole: {}", chain(error));
    Answered::failed("model_cut_off", Retry::Maybe, message)
}

enum Body {
    Whole(Vec<u8>),
    Beyond,
}

/// The body, if it is not longer than `bound`. What lies beyond is not read.
async fn read(mut response: Response, bound: u64) -> reqwest::Result<Body> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() as u64 + chunk.len() as u64 > bound {
            return Ok(Body::Beyond);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(body))
}

/// How long `Retry-After` (RFC 9110, 10.2.3) wants: seconds, or a moment by the server's clock,
/// which `Date` tells.
fn pause_wanted(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let wanted = text(RETRY_AFTER)?.trim();
    if !wanted.is_empty() && wanted.bytes().all(|b| b.is_ascii_digit()) {
        // What does not fit a number is longer than the greatest pause all the same.
        return Some(wanted.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs));
    }
    let moment = |text: &str| Some(SystemTime::from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()));
    let now = text(DATE).and_then(moment).unwrap_or(now);
    moment(wanted)?.duration_since(now).ok()
}

/// An error and what is behind it, in one line. Requests stand in no error, so no key does.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(&format!(": {error}"));
        source = error.source();
    }
    words
}

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi").field("row", &self.row).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
