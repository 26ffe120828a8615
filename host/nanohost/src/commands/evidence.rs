//! Commands about runs that were: trace, verify, export. They read the store, or a file, and
//! believe neither; so do `receipt`, `report`, `list` and `health`, through what stands here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use nanohost_core::export::{self, Content, ExportedAct};
use nanohost_core::log::proof::InclusionProof;
use nanohost_core::log::{Checkpoint, NoteVerifier};
use nanohost_core::receipt::Receipt;
use nanohost_core::trace::{
    CheckName, Evidence, Fault, FaultKind, Keep, Reach, Report, SeenHeads, Standing, Trace, check_acts,
    check_log, check_signer, verify,
};
use nanohost_core::{AdmissionRecord, Diagnostic, KeyTrust, Role, RunId, Target, TrustRoot, Validity};
use nanohost_store::{
    Found, LogHead, Logged, OpenOptions, Records, RunRecord, SqliteReader, StoredAct, VaultError,
};
pub use nanohost_verify::exit_of;
use nanohost_verify::whole;
use nanohost_verify::{Judged, Remembered, trust_file};

use super::log;
use crate::cli::{Disclose, ExportArgs, TraceArgs, VerifyArgs};
use crate::console::{self, Console, Sight};
use crate::failure::{Exit, Failure};
use crate::project::{Places, quoted};
pub use crate::signing::own_trust;
use crate::{acts, signing, store_failure};

/// `nanohost trace`.
pub fn trace(args: &TraceArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let which = &args.evidence;
    let trace = verified(&which.evidence, which.trust.as_deref(), places, console)?;
    if args.reveal {
        console.note(console::REVEALS);
    }
    let sight = Sight::of(args.reveal);
    if which.json {
        console.json(&console::trace_json(&trace, sight))?;
    } else {
        console.print(&console::trace(&trace, sight))?;
    }
    Ok(Exit::Success)
}

/// `nanohost verify`.
pub fn verify_evidence(args: &VerifyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let asked = &args.asked;
    if let Some(path) = &asked.state {
        is_still_here(&args.evidence, path, places)?;
    }
    let mut seen = asked.remembered()?;
    let heads = seen.as_ref().map(|seen| &seen.heads);
    // The policy by which the end of each run asks the witnesses of this log.
    let configured = places.log_policy().filter(|_| !is_file(&args.evidence));
    let used = configured.as_deref().filter(|_| asked.log_policy.is_none() && !args.no_log_policy);
    let policy = asked.policy(used)?;
    let log = |head: &Checkpoint, trusted: &KeyTrust| asked.log_of(head, policy.as_ref(), trusted);
    let (mut judged, trusted, kept) =
        judge(&args.evidence, args.trust.as_deref(), &log, (Keep::Verdict, heads), places)?;
    let mut proven = None;
    match &kept {
        None => proven = asked.check_log(&mut judged, &trusted, policy.as_ref())?,
        Some(Kept { store, .. }) => {
            asked.check_witnesses(&mut judged, policy.as_ref(), |run, envelopes| {
                Ok((log::under_witnesses(store, run, envelopes)?, log::own_key(store, places)?))
            })?
        }
    }
    match (used, &configured) {
        (Some(path), _) => {
            let words = format!("; by {}, as configured here", path.display());
            judged.report.remark(CheckName::Witnesses, &words);
        }
        (None, Some(_)) if args.no_log_policy => {
            judged.report.left_out(CheckName::Witnesses, "NOT CHECKED, as you asked (--no-log-policy)");
        }
        _ => {}
    }
    if let Some(seen) = &mut seen {
        seen.compare(&mut judged);
        if let Some(head) = &proven {
            seen.compare_log(&mut judged, head, asked.growth()?.as_ref());
        }
        if let Some(Kept { store, head: Some(head) }) = &kept {
            match log::compare_name(&mut seen.heads, store, head, places)? {
                Ok(others) if others.is_empty() => {}
                Ok(others) => {
                    let words = format!("; {}", log::first_seen(&others));
                    judged.report.remark(CheckName::Rollback, &words);
                }
                Err(why) => judged.report.blame(CheckName::Rollback, FaultKind::RolledBack, why),
            }
            let before = seen.heads.log(head.origin.as_str()).map_or(0, |log| log.size);
            let growth = log::growth(store, before, head)?;
            seen.heads.compare_log_of(&mut judged.report, head, &growth);
        }
        // Nothing is learnt from a log that is another one.
        if judged.report.fault.is_none() {
            seen.keep()?;
        }
    }
    asked.say(&judged, *console)
}

/// `nanohost export`.
pub fn export(args: &ExportArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (store, record) = load(&args.run, places)?;
    let own = own_trust(places)?;
    let (mut report, trace) = verify_record(&record, &own);
    check_standing(
        &mut report,
        &Reach::of(&record.envelopes, None),
        &store,
        None,
        &KeyTrust::keys(&own),
        places,
    )?;
    let trace = good(&args.run, None, &report, trace, console)?;
    let mut withheld: BTreeMap<Withheld, Vec<String>> = BTreeMap::new();
    let mut contents: Vec<Content> = Vec::new();
    for content in record.contents.iter().filter_map(|stored| stored.content.as_ref().ok()) {
        match Withheld::from(content, args.disclose, &trace) {
            None => contents.push(content.clone()),
            Some(why) => {
                withheld.entry(why).or_default().push(format!("{}/{}", content.seq, content.role));
            }
        }
    }
    let path = &args.output;
    let io = |error: std::io::Error| Failure::io("export_unwritable", "write", path, &error);
    let proofs = proofs_of(&record.acts, &store)?.into_iter();
    let acts = record.acts.iter().zip(proofs);
    let acts: Vec<ExportedAct> =
        acts.map(|(act, proof)| ExportedAct { envelope: act.envelope.clone(), proof }).collect();
    let fill = |draft: &mut whole::Draft<'_>| {
        export::write_with_acts(draft, trace.run(), &acts, &record.envelopes, contents.iter())
    };
    whole::create(path, fill).map_err(io)?;
    let key = signing::public_file(&trace.key(), places).map_err(store_failure)?;
    let verify = format!("{} verify {} --trust {}", console::program_name(), quoted(path), quoted(&key));
    let holds_env = contents.iter().any(|content| content.role.is_document() && holds_env(content));
    if args.json {
        console.json(&serde_json::json!({
            "run": trace.run(),
            "file": path,
            "envelopes": record.envelopes.len(),
            "values": contents.len(),
            "withheld": withheld.iter().map(|(why, values)| (why.as_str(), values)).collect::<BTreeMap<_, _>>(),
            "erased": trace.erased(),
            "holdsEnv": holds_env,
            "key": key,
            "verify": verify,
        }))?;
        return Ok(Exit::Success);
    }
    console.note(&format!(
        "{}: {} envelopes, {} of {} values\nverify it anywhere with the public key {}:\n  {verify}",
        console::path(path),
        record.envelopes.len(),
        contents.len(),
        record.contents.len(),
        console::path(&key),
    ));
    for (why, values) in &withheld {
        const SHOWN: usize = 20;
        let more = values.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let some = values.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        console.note(&format!("{}: {some}{more}", why.words()));
    }
    if trace.erased() > 0 {
        console.note(&format!("{} values were erased: the file holds the acts that say so", trace.erased()));
    }
    if holds_env {
        console.note("the file holds the policy, and so the values of its [env]: give it to nobody who may not know them");
    }
    Ok(Exit::Success)
}

/// Why a value does not go along with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Withheld {
    Env,
    Personal,
    Answers,
    Asked,
    Kept,
}

impl Withheld {
    fn from(content: &Content, disclose: Disclose, trace: &Trace) -> Option<Self> {
        match disclose {
            Disclose::All => None,
            _ if content.role.is_secret() => Some(Self::Kept),
            Disclose::None => Some(Self::Asked),
            // Whole files and answers of other hosts with their headers: more than the program took from them.
            Disclose::Public if content.role == Role::ANSWERS => Some(Self::Answers),
            // The values of variables stand in the policy, and the policy in the documents.
            Disclose::Public if content.role.is_document() => holds_env(content).then_some(Self::Env),
            Disclose::Public => holds_personal(trace, content).then_some(Self::Personal),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Personal => "personal",
            Self::Answers => "answers",
            Self::Asked => "asked",
            Self::Kept => "kept",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Env => {
                "withheld, since the policy holds values of [env]: program, manifests and policy, so that whoever \
                 verifies cannot repeat the admission (--disclose all gives them)"
            }
            Self::Personal => "withheld, since they hold personal data",
            Self::Answers => {
                "withheld, since they hold all that files, keys and other hosts answered to tools: without them these \
                 calls cannot be replayed (--disclose all gives them)"
            }
            Self::Asked => "withheld, as you asked",
            Self::Kept => "kept on this machine, since they serve only to go on with the run",
        }
    }
}

/// Whether an admission holds the values of variables; so it counts where it is none.
fn holds_env(content: &Content) -> bool {
    serde_json::from_slice::<AdmissionRecord>(&content.bytes).map_or(true, |record| record.holds_env())
}

/// Whether a value of the run holds something that is kept back from others.
fn holds_personal(trace: &Trace, content: &Content) -> bool {
    let seq = usize::try_from(content.seq).unwrap_or(usize::MAX);
    !content.role.is_document()
        && !content.role.is_secret()
        && trace.shown(seq, &content.role, Target::Trace).is_none_or(|shown| matches!(shown, Cow::Owned(_)))
}

/// The keys that may sign: those that were named, or this machine's own.
pub(super) fn trusted(file: Option<&Path>, places: &Places) -> anyhow::Result<KeyTrust> {
    match file {
        Some(path) => trust_file(path),
        None => own_trust(places).map(|own| KeyTrust::keys(&own)),
    }
}

/// A run that was seen, and that the store does not know any more, was not mistyped.
fn is_still_here(evidence: &str, state: &Path, places: &Places) -> anyhow::Result<()> {
    let is_prefix = !evidence.is_empty() && evidence.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_prefix || Path::new(evidence).is_file() {
        return Ok(());
    }
    let heads = Remembered::read(state)?.heads;
    let Some((run, seen)) = heads.run(evidence) else { return Ok(()) };
    let here = match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(store) => !matches!(store.find(evidence).map_err(store_failure)?, Found::None),
        Err(nanohost_store::StoreError::NoStore { .. }) => false,
        Err(error) => return Err(store_failure(error)),
    };
    if here {
        return Ok(());
    }
    let message =
        format!("run {} was seen before, with {} envelopes, and is gone", run.short(), seen.envelopes);
    let finding = Diagnostic::error("run_gone", message)
        .help("somebody removed it, or this is another or an older store: restore the newest copy");
    Err(Failure { exit: Exit::RolledBack, findings: finding.into() }.into())
}

/// Checks where a run of a store stands in its log, by this machine's own key or the one that was
/// named; without one nothing can be said. Returns the head that it stands under.
pub fn check_standing<S: Records + Logged>(
    report: &mut Report,
    reach: &Reach,
    store: &S,
    key: Option<&NoteVerifier>,
    trusted: &KeyTrust,
    places: &Places,
) -> anyhow::Result<Option<Checkpoint>> {
    let key = log_key(store, key, trusted, places)?;
    if reach.envelopes == 0 || report.fault.is_some() {
        return Ok(None);
    }
    let standing = log::standing(store, &report.run, reach.envelopes)?;
    if standing == Standing::Longer && went_on(store, &report.run, reach.envelopes)? {
        return Ok(None);
    }
    let head = check_log(report, reach, &standing, key.as_ref());
    if report.fault.is_none() {
        let index = match &standing {
            Standing::Proven(proof) => Some(proof.index),
            _ => None,
        };
        // The keys of this machine have signed its acts, whoever is trusted with its runs.
        let own = signing::public_keys(places).map_err(store_failure)?;
        match acts::keys(store, &trusted.root().with_acts(own)).map_err(store_failure)? {
            Ok(keys) => {
                let validity = |key: &nanohost_core::KeyId| keys.bounded(key, trusted.validity(key));
                check_signer(report, reach, index, validity);
                // What its own key signed has to stand where that counted, whoever ended it.
                if let Some(own) = reach.before_the_end() {
                    let at = own.envelopes - 1;
                    let index = store.read_log(|log| log.find(&report.run, at)).map_err(store_failure)?;
                    check_signer(report, &own, index, validity);
                }
            }
            Err(bad) => report.blame(CheckName::Signatures, bad.kind(), bad.to_string()),
        }
    }
    Ok(head)
}

/// Checks where the acts that bear on a run stand in the log of its store.
pub(super) fn check_standing_of_acts(
    report: &mut Report,
    acts: &[StoredAct],
    store: &(impl Records + Logged),
    key: Option<&NoteVerifier>,
    trusted: &KeyTrust,
    places: &Places,
) -> anyhow::Result<()> {
    if acts.is_empty() {
        return Ok(());
    }
    let key = log_key(store, key, trusted, places)?;
    let proofs = proofs_of(acts, store)?;
    let acts: Vec<_> =
        acts.iter().zip(&proofs).map(|(act, proof)| (&*act.envelope, proof.as_ref())).collect();
    // Which keys that nobody names may sign acts of this store, its own acts say.
    check_acts(report, &acts, |_| key.clone(), |key| trusted.act_validity(key).unwrap_or(Validity::ALL));
    Ok(())
}

/// The key of a store's log: the one that was named, else that of the trust file, else this machine's own.
fn log_key(
    store: &impl Logged,
    named: Option<&NoteVerifier>,
    trusted: &KeyTrust,
    places: &Places,
) -> anyhow::Result<Option<NoteVerifier>> {
    match named.or(trusted.log(&store.log_origin().map_err(store_failure)?)) {
        Some(key) => Ok(Some(key.clone())),
        None => log::own_key(store, places),
    }
}

/// Where acts stand in the log of their store, as far as its signed head reaches.
fn proofs_of(
    acts: &[StoredAct],
    store: &(impl Records + Logged),
) -> anyhow::Result<Vec<Option<InclusionProof>>> {
    let chain = store.acts().map_err(store_failure)?;
    let proof = |act: &StoredAct| log::proof_of(store, &chain, act.seq);
    acts.iter().map(proof).collect()
}

/// Whether the run, which is under way then, has more envelopes by now.
fn went_on(store: &impl Records, run: &RunId, envelopes: u64) -> anyhow::Result<bool> {
    let now = store.load(run).map_err(store_failure)?;
    Ok(now.is_some_and(|record| record.envelopes.len() as u64 > envelopes))
}

/// Where in its store evidence lies.
struct Kept {
    store: SqliteReader,
    /// The head of the store's log that it stands under.
    head: Option<Checkpoint>,
}

/// Whether evidence is named by its file. A path is a path: what merely looks like the start of a run id and
/// is no file is looked up.
fn is_file(evidence: &str) -> bool {
    Path::new(evidence).is_file() || evidence.contains(['/', '.', '\\'])
}

/// Judges a run of the store, or an exported file, with the keys of [`trusted`].
fn judge(
    evidence: &str,
    trust: Option<&Path>,
    log: &dyn Fn(&Checkpoint, &KeyTrust) -> Option<NoteVerifier>,
    (keep, seen): (Keep, Option<&SeenHeads>),
    places: &Places,
) -> anyhow::Result<(Judged, KeyTrust, Option<Kept>)> {
    if is_file(evidence) {
        let trusted = trusted(trust, places)?;
        let log = |head: &Checkpoint| log(head, &trusted);
        return Ok((nanohost_verify::judge(Path::new(evidence), &trusted, keep, seen, log)?, trusted, None));
    }
    // Whether there is such a run is said before whether anybody is trusted with it.
    let (store, record) = load(evidence, places)?;
    let trusted = trusted(trust, places)?;
    let (mut report, trace) =
        verify_record(&record, &acts::followed(&store, &trusted).map_err(store_failure)?);
    let reach = Reach::of(&record.envelopes, seen.and_then(|seen| seen.last_of(&record.summary.run)));
    let signed = store.read_log(|log| log.head(LogHead::Signed)).map_err(store_failure)?;
    let now = signed.and_then(|note| note.text().parse::<Checkpoint>().ok());
    let key = now.and_then(|head| log(&head, &trusted));
    let head = check_standing(&mut report, &reach, &store, key.as_ref(), &trusted, places)?;
    check_standing_of_acts(&mut report, &record.acts, &store, key.as_ref(), &trusted, places)?;
    let status = trace.as_ref().map(|trace| Receipt::from(trace).status);
    Ok((Judged { report, trace, status, reach }, trusted, Some(Kept { store, head })))
}

/// Judges evidence to tell what happened; whether it lies in the store.
pub(super) fn judge_whole(
    evidence: &str,
    trust: Option<&Path>,
    places: &Places,
) -> anyhow::Result<(Judged, bool)> {
    let log = |head: &Checkpoint, trusted: &KeyTrust| trusted.log_at(head).cloned();
    let (mut judged, trusted, kept) = judge(evidence, trust, &log, (Keep::Trace, None), places)?;
    if kept.is_none() {
        // A file alone does not show where in the log it stands.
        let validity = |key: &nanohost_core::KeyId| trusted.validity(key).unwrap_or(Validity::ALL);
        check_signer(&mut judged.report, &judged.reach, None, validity);
    }
    Ok((judged, kept.is_some()))
}

/// A run whose evidence is good, its end apart; anything else is shown and refused.
pub(super) fn verified(
    evidence: &str,
    trust: Option<&Path>,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Trace> {
    let (Judged { report, trace, .. }, _) = judge_whole(evidence, trust, places)?;
    good(evidence, trust, &report, trace, console)
}

fn good(
    evidence: &str,
    trust: Option<&Path>,
    report: &Report,
    trace: Option<Trace>,
    console: &Console,
) -> anyhow::Result<Trace> {
    match trace {
        Some(trace) if report.fault.is_none() => Ok(trace),
        // Nothing is wrong with it: it only does not say what is asked.
        None if report.fault.is_none() && report.state.is_some() => {
            let finding = Diagnostic::error("values_withheld", why_bad(report)).help(format!(
                "have it exported with them: {} export {} -o FILE --disclose all; `verify` checks what is here",
                console::program_name(),
                report.run.short(),
            ));
            Err(Failure { exit: exit_of_bad(report), findings: finding.into() }.into())
        }
        _ => {
            console.note(&console::report(report, None, false));
            let message = why_bad(report);
            let trust = trust.map(|file| format!(" --trust {}", quoted(file))).unwrap_or_default();
            let findings = Diagnostic::error("evidence_bad", message)
                .help(format!(
                    "`{} verify {}{trust}` shows every check",
                    console::program_name(),
                    quoted(Path::new(evidence))
                ))
                .into();
            Err(Failure { exit: exit_of_bad(report), findings }.into())
        }
    }
}

/// Why evidence without a trace, or with a fault, is of no use.
pub(super) fn why_bad(report: &Report) -> String {
    report.fault.as_ref().map_or_else(
        || {
            "the evidence holds neither the program nor the policy, only commitments to them, so what the run did \
             cannot be told"
                .to_owned()
        },
        |fault| format!("the evidence of this run does not verify: {fault}"),
    )
}

/// The exit code for it.
pub(super) fn exit_of_bad(report: &Report) -> Exit {
    match exit_of(report) {
        Exit::Success => Exit::Truncated,
        exit => exit,
    }
}

/// The run that `prefix` begins.
pub fn find(prefix: &str, places: &Places) -> anyhow::Result<RunId> {
    find_in(&store_of(prefix, places)?, prefix, places)
}

/// The store, to look for a run in: a wrong id is wrong whether or not there is one.
fn store_of(run: &str, places: &Places) -> anyhow::Result<SqliteReader> {
    if run.is_empty() || !run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(unknown(format!("{run:?} is neither a file nor the start of a run's id")));
    }
    crate::read_store(places)
}

fn unknown(message: String) -> anyhow::Error {
    let help = format!("`{} list` shows the runs of this store", console::program_name());
    Failure::usage(Diagnostic::error("unknown_run", message).help(help))
}

fn find_in(store: &SqliteReader, run: &str, places: &Places) -> anyhow::Result<RunId> {
    match store.find(run).map_err(store_failure)? {
        Found::One(id) => Ok(id),
        Found::None => Err(unknown(format!("no run in {} begins with {run}", places.store.display()))),
        Found::Many(ids) => {
            let ids: Vec<&str> = ids.iter().map(RunId::as_str).collect();
            Err(unknown(format!("several runs begin with {run}: {}", ids.join(", "))))
        }
    }
}

fn load(run: &str, places: &Places) -> anyhow::Result<(SqliteReader, RunRecord)> {
    let store = store_of(run, places)?;
    let id = find_in(&store, run, places)?;
    let record = acts::load(&store, &id)
        .map_err(store_failure)?
        .ok_or_else(|| unknown(format!("run {id} was there a moment ago and is gone")))?;
    Ok((store, record))
}

/// Judges what the store holds.
pub fn verify_record(record: &RunRecord, trust: &TrustRoot) -> (Report, Option<Trace>) {
    let run = &record.summary.run;
    // Its process died between taking its id and its first commit: nothing is missing.
    if record.envelopes.is_empty() && record.contents.is_empty() && record.recorded.len == 0 {
        return (Report::of_begun(run.clone()), None);
    }
    let mut contents = Vec::with_capacity(record.contents.len());
    for stored in &record.contents {
        let kind = match &stored.content {
            Ok(content) => {
                contents.push(content.clone());
                continue;
            }
            // Whether it really was, the acts say.
            Err(VaultError::Erased { .. }) => continue,
            Err(VaultError::Damaged { .. }) => FaultKind::Tampered,
            Err(VaultError::Missing { .. }) => FaultKind::Truncated,
        };
        let message = stored.content.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let envelope = usize::try_from(stored.place.seq).ok();
        return (
            Report::of_fault(run.clone(), Fault { kind, check: CheckName::Commitments, envelope, message }),
            None,
        );
    }
    let acts: Vec<Vec<u8>> = record.acts.iter().map(|act| act.envelope.clone()).collect();
    let evidence = Evidence {
        run,
        envelopes: &record.envelopes,
        contents: &contents,
        expected: Some(record.recorded.len),
        complete: true,
        acts: &acts,
    };
    verify(evidence, trust)
}
