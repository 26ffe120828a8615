//! The log's side of a witness: sending it a head, with the proof that the log only grew since the
//! head it signed last. Bounded in time and size; believes no answer that its key did not sign.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nanohost_core::Digest;
use nanohost_core::log::checkpoint::number;
use nanohost_core::log::policy::PolicyWitness;
use nanohost_core::log::proof::GrowthProof;
use nanohost_core::log::{Checkpoint, LogPolicy, Note};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::task::JoinSet;

/// All that one witness is waited for: a run's end waits no longer for all of them, which are asked at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// No answer is longer, bytes.
const MAX_ANSWER: usize = 64 << 10;

/// How often a head is sent: once with the size that the witness is thought to have, once with the
/// one that it says.
const ATTEMPTS: usize = 2;

/// What became of asking a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It signed.
    Signed {
        /// When, Unix seconds.
        time: u64,
    },
    /// It signed a head of more entries before.
    Ahead {
        /// Of how many.
        size: u64,
    },
    /// It signed a head that this log does not begin with.
    Forked,
    /// The policy does not say where it is.
    NoAddress,
    /// It did not answer in time, or not so that the answer can be believed.
    Failed(String),
}

impl Outcome {
    /// Whether it shows that this log is not the one that was seen before.
    pub const fn is_rolled_back(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Forked)
    }
}

/// One witness, and what became of asking it.
#[derive(Debug)]
pub struct Asked {
    /// Its name in the policy.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Gives the proof that the log only grew since it had so many entries.
pub type Growth = Arc<dyn Fn(u64) -> Result<Vec<Digest>, String> + Send + Sync>;

/// What is sent to witnesses.
#[derive(Clone)]
pub struct Sent {
    /// The head, signed by the log.
    pub note: Note,
    /// The same, read.
    pub head: Checkpoint,
    /// The size that they are thought to have signed last.
    pub guess: u64,
    /// How it grew.
    pub growth: Growth,
}

/// Asks all witnesses of a policy at once. Returns what became of it, in the policy's order, and the
/// head with the signatures of those that signed.
pub async fn ask(policy: &LogPolicy, sent: &Sent) -> (Vec<Asked>, Note) {
    let mut asking = JoinSet::new();
    for (at, witness) in policy.witnesses().iter().cloned().enumerate() {
        let sent = sent.clone();
        asking.spawn(async move {
            let outcome = match tokio::time::timeout(PATIENCE, attempt(&witness, &sent)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Outcome::Failed(format!("no answer within {} s", PATIENCE.as_secs()))),
            };
            (at, witness.name, outcome)
        });
    }
    let mut all = Vec::new();
    while let Some(asked) = asking.join_next().await {
        // A task that was lost is a witness that did not answer: it is missing from what is told.
        all.extend(asked);
    }
    all.sort_by_key(|(at, ..)| *at);
    let mut note = sent.note.clone();
    let mut told = Vec::with_capacity(all.len());
    for (_, name, outcome) in all {
        let outcome = match outcome {
            Ok((signed, time)) => {
                note.join(&signed);
                Outcome::Signed { time }
            }
            Err(outcome) => outcome,
        };
        told.push(Asked { name, outcome });
    }
    (told, note)
}

/// The note with the witness' signature alone, and when it signed.
async fn attempt(witness: &PolicyWitness, sent: &Sent) -> Result<(Note, u64), Outcome> {
    let url = witness.url.as_deref().ok_or(Outcome::NoAddress)?;
    let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let url: Url = url.parse().map_err(|error| Outcome::Failed(format!("its address is none: {error}")))?;
    let client = client(&url).map_err(|error| Outcome::Failed(chain(&error)))?;
    let mut old = sent.guess.min(sent.head.size);
    for _ in 0..ATTEMPTS {
        let hashes = (sent.growth)(old).map_err(Outcome::Failed)?;
        let body = GrowthProof { old, hashes, checkpoint: sent.note.clone() }.to_string();
        let response = client.post(url.clone()).body(body).send().await;
        let response = response.map_err(|error| Outcome::Failed(chain(&error)))?;
        let status = response.status();
        let answer = read(response).await.map_err(Outcome::Failed)?;
        match status {
            StatusCode::OK => return signed(witness, sent, &answer),
            StatusCode::UNPROCESSABLE_ENTITY => return Err(Outcome::Forked),
            StatusCode::CONFLICT => {
                let size = answer.strip_suffix('\n').and_then(number);
                let size =
                    size.ok_or_else(|| Outcome::Failed("it says no size that can be read".to_owned()))?;
                match size {
                    size if size > sent.head.size => return Err(Outcome::Ahead { size }),
                    // It refuses the very size that it says it has: with another root.
                    size if size == old => return Err(Outcome::Forked),
                    size => old = size,
                }
            }
            status => {
                let said: String = answer.chars().filter(|c| !c.is_control()).take(200).collect();
                return Err(Outcome::Failed(format!("it answers {}: {said}", status.as_u16())));
            }
        }
    }
    Err(Outcome::Failed("others send it heads of this log at the same time".to_owned()))
}

fn signed(witness: &PolicyWitness, sent: &Sent, answer: &str) -> Result<(Note, u64), Outcome> {
    let failed = |error: String| Outcome::Failed(format!("its answer is no signature: {error}"));
    let mut note = sent.note.only(&[]);
    note.add_signatures(answer).map_err(|error| failed(error.to_string()))?;
    let note = note.only(std::slice::from_ref(&witness.key));
    match note.by(&witness.key) {
        Ok(Some(signed)) => Ok((note, signed.time.unwrap_or_default())),
        Ok(None) => Err(failed("it is by another key than the policy's".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn client(url: &Url) -> reqwest::Result<Client> {
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
        // `localhost` is this machine, whatever a name server says.
        .resolve_to_addrs("localhost", &own);
    // Where nothing is encrypted, no certificates are needed, and a machine may have none.
    if url.scheme() == "https" { client.build() } else { client.tls_certs_only([]).build() }
}

async fn read(mut response: Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("its answer is longer than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "its answer is not text".to_owned())
}

/// What went wrong, down to the cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
