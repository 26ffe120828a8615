//! What is asked of a verification beside the evidence: whom to trust, where the run stands in a
//! log, what was seen before. Knows nothing of where the evidence comes from.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};
use nanohost_core::log::policy::{LogPolicyError, MAX_POLICY};
use nanohost_core::log::proof::{GrowthProof, InclusionError, InclusionProof};
use nanohost_core::log::{Checkpoint, LogPolicy, NoteVerifier};
use nanohost_core::trace::{
    CheckName, FaultKind, MaxAge, Standing, check_log, check_signer, check_witnesses,
};
use nanohost_core::{Diagnostic, KeyId, KeyTrust, MAX_PEM, RunId, TrustRoot, Validity, source_from_bytes};

use crate::Judged;
use crate::called::program_name;
use crate::failure::Failure;
use crate::read::read_bounded;
use crate::remembered::Remembered;

/// No proof is longer: it is read whole.
const MAX_PROOF_FILE: u64 = 256 << 10;

/// What `verify` is asked, wherever the evidence lies.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("log_keys").multiple(true)))]
pub struct Asked {
    /// A file that remembers how far the evidence of each run reached: what was seen once and is
    /// gone now is rolled back. Made where it is not there
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// A proof that the run stands in the log of its store, as `nanohost log prove` writes it: for an
    /// exported file. Of a run that another key ended, also one of the last envelope before that
    #[arg(long, value_name = "FILE")]
    pub log_proof: Vec<PathBuf>,
    /// A proof that the log only grew between the head that `--state` remembers and the one of `--log-proof`,
    /// as `nanohost log prove --since SIZE` writes it: for an exported file
    #[arg(long, value_name = "FILE", requires_all = ["log_proof", "state"])]
    pub log_growth: Option<PathBuf>,
    /// The key that signs the heads of the log, as `nanohost log key` prints it [default for a run of
    /// the store: this machine's own]
    #[arg(long, value_name = "KEY", group = "log_keys")]
    pub log_key: Option<NoteVerifier>,
    /// Whose word on the log's head counts (c2sp.org/tlog-policy): its witnesses, of whom a quorum has
    /// to have signed the head that the run stands under, and the keys of logs
    #[arg(long, value_name = "FILE", group = "log_keys")]
    pub log_policy: Option<PathBuf>,
    /// How old the signatures of witnesses may be, by the clock of this machine, such as `2h` or `7 days`:
    /// a quorum of them has to have signed since then
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub max_age: Option<Duration>,
    /// Count what could not be checked, such as values that are not disclosed, as missing
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl Asked {
    /// Whose word on the log's head counts, where a file says so: the one that was named, or `else_by`.
    ///
    /// # Errors
    /// Those of [`log_policy`]; `log_policy_missing` where an age is asked for, and there is none.
    pub fn policy(&self, else_by: Option<&Path>) -> anyhow::Result<Option<LogPolicy>> {
        let policy = self.log_policy.as_deref().or(else_by).map(log_policy).transpose()?;
        if policy.is_none() && self.max_age.is_some() {
            let finding = Diagnostic::error(
                "log_policy_missing",
                "nobody says which witnesses there are, of whose signatures --max-age bounds the age",
            );
            let help = "name a policy with --log-policy; `host/docs/log.md` shows one";
            return Err(Failure::usage(finding.help(help)));
        }
        Ok(policy)
    }

    /// How old signatures may be, by the clock of this machine.
    fn oldest(&self) -> Option<MaxAge> {
        // A clock before 1970 makes none of them old enough to count: all lie ahead of it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        self.max_age.map(|age| MaxAge { seconds: age.as_secs(), now })
    }

    /// The key of the log whose head that is: the one that was named for any, else that of the policy or of the
    /// trust file.
    pub fn log_of(
        &self,
        head: &Checkpoint,
        policy: Option<&LogPolicy>,
        trusted: &KeyTrust,
    ) -> Option<NoteVerifier> {
        // A log that the policy does not name is said to be none by the check of witnesses.
        let by_policy = || policy.and_then(|policy| policy.log(&head.origin).ok().flatten());
        self.log_key.as_ref().or_else(by_policy).or_else(|| trusted.log_at(head)).cloned()
    }

    /// Checks the proof that was named, of an exported file, and who signed the head it leads to, which is
    /// returned. Where another key ended the run, a second proof shows where what its own key signed stands.
    ///
    /// # Errors
    /// `proof_unreadable`, `proof_invalid`, `log_key_unknown`.
    pub fn check_log(
        &self,
        judged: &mut Judged,
        trusted: &KeyTrust,
        policy: Option<&LogPolicy>,
    ) -> anyhow::Result<Option<Checkpoint>> {
        let Judged { report, reach, .. } = judged;
        let proofs = self.log_proof.iter().map(|path| log_proof(path)).collect::<Result<Vec<_>, _>>()?;
        let of = |bytes: &[u8]| proofs.iter().find(|proof| proof.leads_from(bytes));
        let own = reach.own.as_ref().and_then(|(_, own)| of(own));
        // One that fits nothing is told as what it is.
        let proof = of(&reach.last).or_else(|| proofs.iter().find(|proof| Some(*proof) != own));
        let stray = proofs.iter().find(|one| Some(*one) != proof && Some(*one) != own);
        let key_of = |proof: &InclusionProof| {
            let head = proof.checkpoint.text().parse::<Checkpoint>().ok();
            head.and_then(|head| self.log_of(&head, policy, trusted)).or_else(|| self.log_key.clone())
        };
        let key = proof.and_then(key_of).or_else(|| self.log_key.clone());
        if proof.is_some() && key.is_none() && policy.is_none() {
            let message = "nobody says which key signs the heads of the log that the proof is about";
            let help = "give it with --log-key, with --log-policy, or in the trust file";
            return Err(Failure::usage(Diagnostic::error("log_key_unknown", message).help(help)));
        }
        let mut head = None;
        if let Some(proof) = proof {
            head = check_log(report, reach, &Standing::Proven(Box::new(proof.clone())), key.as_ref());
        }
        let index = head.as_ref().and(proof).map(|proof| proof.index);
        let validity = |key: &KeyId| trusted.validity(key).unwrap_or(Validity::ALL);
        check_signer(report, reach, index, validity);
        if let Some(before) = reach.before_the_end() {
            // Under a head that the log's key signed, or not at all.
            let index = own
                .and_then(|proof| proof.check(&before.last, &key_of(proof)?).is_ok().then_some(proof.index));
            check_signer(report, &before, index, validity);
        }
        if let Some(stray) = stray {
            check_log(report, reach, &Standing::Proven(Box::new(stray.clone())), key.as_ref());
        }
        if let Some(policy) = policy {
            check_witnesses(report, reach, proof, policy, key.as_ref(), self.oldest());
        }
        Ok(head.filter(|_| report.fault.is_none()))
    }

    /// Checks who signed the head that a run of a store stands under. `find` gives where it stands under
    /// the newest head that witnesses signed, by its number of envelopes, and the log's own key.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn check_witnesses(
        &self,
        judged: &mut Judged,
        policy: Option<&LogPolicy>,
        find: impl FnOnce(&RunId, u64) -> anyhow::Result<(Option<InclusionProof>, Option<NoteVerifier>)>,
    ) -> anyhow::Result<()> {
        let Some(policy) = policy else { return Ok(()) };
        let Judged { report, reach, .. } = judged;
        let (proof, own) = find(&report.run, reach.envelopes)?;
        let key = self.log_key.as_ref().or(own.as_ref());
        if let (None, Some(own), true) = (&proof, &own, report.fault.is_none())
            && policy.quorum().is_some()
            && policy.log(own.name()).is_err()
        {
            let message = format!(
                "the policy names no log {}, as the log of this store is called now: add a `log` line with what \
                 `{1} log key` prints, below the others; then `{1} log witness` has all of it witnessed again",
                own.name(),
                program_name()
            );
            report.blame(CheckName::Witnesses, FaultKind::Unwitnessed, message);
            return Ok(());
        }
        check_witnesses(report, reach, proof.as_ref(), policy, key, self.oldest());
        if proof.is_none() {
            report.remark(CheckName::Witnesses, &format!(" (`{} log witness` asks them)", program_name()));
        }
        Ok(())
    }

    /// The proof that was named, that the log only grew.
    ///
    /// # Errors
    /// `proof_unreadable`, `proof_invalid`.
    pub fn growth(&self) -> anyhow::Result<Option<GrowthProof>> {
        self.log_growth.as_deref().map(proof_file).transpose()
    }

    /// What was seen before, where it is to be compared.
    ///
    /// # Errors
    /// Those of [`Remembered::read`].
    pub fn remembered(&self) -> anyhow::Result<Option<Remembered<'_>>> {
        self.state.as_deref().map(Remembered::read).transpose()
    }
}

/// Reads how old something may be.
fn age(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|_| "such as 90s, 2h, `7 days`".to_owned())?;
    let days_are_whole = jiff::SpanRelativeTo::days_are_24_hours();
    let age = span
        .to_duration(days_are_whole)
        .map_err(|_| "no longer unit than weeks has one length".to_owned())?;
    Duration::try_from(age).ok().filter(|age| age.as_secs() > 0).ok_or_else(|| "a second at least".to_owned())
}

/// Where a file says that a run stands in a log.
///
/// # Errors
/// `proof_unreadable`, `proof_invalid`.
pub fn log_proof(path: &Path) -> anyhow::Result<InclusionProof> {
    proof_file(path)
}

fn proof_file<P: FromStr<Err = InclusionError>>(path: &Path) -> anyhow::Result<P> {
    let io = |error: std::io::Error| Failure::io("proof_unreadable", "read", path, &error);
    let bytes = read_bounded(path, MAX_PROOF_FILE).map_err(io)?;
    String::from_utf8_lossy(&bytes).parse().map_err(|error| {
        let help = "`nanohost log prove RUN -o FILE` writes one";
        let message = format!("{}: {error}", path.display());
        Failure::usage(Diagnostic::error("proof_invalid", message).help(help))
    })
}

/// Whose word on the head of a log counts, as a file says.
///
/// # Errors
/// `log_policy_unreadable`, `log_policy_invalid`.
pub fn log_policy(path: &Path) -> anyhow::Result<LogPolicy> {
    let io = |error: std::io::Error| Failure::io("log_policy_unreadable", "read", path, &error);
    let bytes = read_bounded(path, MAX_POLICY as u64).map_err(io)?;
    let invalid = |why: String| {
        let help = "its form is that of c2sp.org/tlog-policy; `host/docs/log.md` shows one";
        let finding = Diagnostic::error("log_policy_invalid", format!("{}: {why}", path.display()));
        Failure::usage(finding.help(help))
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("it is not text".to_owned()))?;
    text.parse().map_err(|error: LogPolicyError| invalid(error.to_string()))
}

/// Whom a file says to trust: public keys in PEM, or a trust file that says for which part of the
/// log each counts.
///
/// # Errors
/// `trust_unreadable`, `trust_invalid`, and what is wrong in a trust file.
pub fn trust_file(path: &Path) -> anyhow::Result<KeyTrust> {
    let bytes = read_bounded(path, MAX_PEM as u64)
        .map_err(|error| Failure::io("trust_unreadable", "read the trusted keys", path, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.lines().any(|line| line.trim_start().starts_with("format")) {
        let source = source_from_bytes(&path.display().to_string(), &bytes).map_err(Failure::usage)?;
        return KeyTrust::parse(source).map_err(Failure::usage);
    }
    TrustRoot::from_pem(&text).map(|root| KeyTrust::keys(&root)).map_err(|error| {
        let help = "hand over the public key as `nanohost key show --public` prints it, or what `nanohost key export` \
                    writes";
        Failure::usage(Diagnostic::error("trust_invalid", format!("{}: {error}", path.display())).help(help))
    })
}
