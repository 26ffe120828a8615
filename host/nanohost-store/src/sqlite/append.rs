//! Commits: everything is encrypted first, then checked and written in one transaction. Those of several
//! runs share it, and each stands or falls by itself. Who goes together is said in `group`.

use nanohost_core::log::{Frontier, NoteSigner};
use nanohost_core::{Content, Digest, RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use zeroize::Zeroizing;

use super::group::{Outcome, Wanted};
use super::read::{FORGED, Key, content_place, count, head, kept_reservation, kv_place, seal_of};
use super::stop::end_request;
use super::token::end_tokens;
use super::{Files, erase, log};
use crate::batch::{Batch, KvCommit, KvKey, KvWrite, Phase};
use crate::error::StoreError;
use crate::idempotency::{Claim, Reservation, ReservationState, claimed, settle};
use crate::journal::{Appended, Conflict, Head};
use crate::keyring::{KeyedHash, Keyring, Need, Sealed};
use crate::record::Place;

/// A batch as it goes to disk.
struct Prepared<'a> {
    wanted: Wanted<'a>,
    /// One for each content, in order.
    contents: Vec<Sealed>,
    /// One for each key-value write, in order; `None` deletes.
    values: Vec<Option<Sealed>>,
    claim: Option<Claimed<'a>>,
    head: Head,
}

/// A claim, where it lies, and the seal of what it makes.
struct Claimed<'a> {
    claim: &'a Claim,
    key: Key,
    seal: Option<KeyedHash>,
}

/// Why nothing of a batch is written.
enum Refused {
    Fenced,
    Conflict(Conflict),
    Forged,
    Failed(StoreError),
}

impl Files {
    /// Commits for several runs at once; one outcome for each, in order.
    pub(super) fn append(&mut self, group: &[Wanted<'_>]) -> Vec<Outcome> {
        match self.append_together(group) {
            Ok(outcomes) => outcomes,
            // Alone they would wait as long, each of them.
            Err(error @ StoreError::Busy { .. }) => group.iter().map(|_| Err(error.clone())).collect(),
            Err(error) if group.len() == 1 => vec![Err(error)],
            // What one of them asks for must not keep the others from what they ask for.
            Err(_) => {
                let alone = |one| match self.has(one) {
                    // The commit of all of them reached the disk, though it was said to have failed.
                    Some(head) => Ok(Some(Ok(Appended::Committed(head)))),
                    None => self.append_together(std::slice::from_ref(one)).map(|mut one| one.pop()),
                };
                let nothing = Err(StoreError::Misuse { what: "a commit without an outcome" });
                group.iter().map(alone).map(|one| one?.unwrap_or_else(|| nothing.clone())).collect()
            }
        }
    }

    /// The head of a run that has just what one wants on disk; `None` where it has not, or nobody can tell.
    fn has(&self, wanted: &Wanted<'_>) -> Option<Head> {
        let Wanted { run, expected, batch, .. } = *wanted;
        let last = Digest::of(batch.envelopes.last()?);
        let len = expected.len + batch.envelopes.len() as u64;
        let there = self.database.read(|conn| {
            conn.prepare_cached("SELECT len = ?2 AND last = ?3 FROM run WHERE id = ?1")?
                .query_row((run.as_str(), len as i64, last.as_bytes()), |row| row.get::<_, Option<bool>>(0))
                .optional()
        });
        (there.ok()?? == Some(true)).then_some(Head { len, last: Some(last) })
    }

    /// All that are not refused for a reason of their own are durable together, or none is.
    fn append_together(&mut self, group: &[Wanted<'_>]) -> Result<Vec<Outcome>, StoreError> {
        let missing = || StoreError::VaultKeyMissing { path: self.keys_path.clone() };
        let keyring = self.keyring.as_mut().ok_or_else(missing)?;
        let owners: Vec<Owners> =
            self.database.read(|conn| group.iter().map(|wanted| Owners::of(conn, wanted.run)).collect())?;
        keyring.prepare(owners.iter().zip(group).flat_map(|(owners, wanted)| owners.needs(wanted.batch)))?;
        let mut prepared = Vec::with_capacity(group.len());
        for (wanted, owners) in group.iter().zip(&owners) {
            prepared.push(prepare(keyring, owners, wanted)?);
        }

        let hashing = &*keyring;
        let log_key = self.log_key.as_ref();
        let written = self.database.write(|tx| commit(tx, hashing, log_key, &prepared))?;
        let outcomes = written.into_iter().zip(&prepared).zip(&owners);
        Ok(outcomes
            .map(|((written, prepared), owners)| match written {
                Ok(()) => {
                    let phase = &prepared.wanted.batch.phase;
                    if matches!(phase, Some(Phase::Closed(_) | Phase::Suspended { .. })) {
                        owners.forget(keyring);
                    }
                    Ok(Appended::Committed(prepared.head))
                }
                Err(Refused::Fenced) => {
                    owners.forget(keyring);
                    Ok(Appended::Fenced)
                }
                Err(Refused::Conflict(conflict)) => Ok(Appended::Conflict(conflict)),
                Err(Refused::Forged) => Err(self.database.corrupt(FORGED)),
                Err(Refused::Failed(error)) => Err(error),
            })
            .collect())
    }
}

/// Whose keys wrap what is written in a run.
pub(super) struct Owners {
    /// Of the documents, which hold nothing of a run's data: the run.
    documents: String,
    /// Of all else: the subject, where the run has one.
    pub(super) data: String,
}

impl Owners {
    pub(super) fn of(conn: &Connection, run: &RunId) -> rusqlite::Result<Self> {
        let subject: Option<Option<KeyedHash>> = conn
            .prepare_cached("SELECT subject FROM run WHERE id = ?1")?
            .query_row([run.as_str()], |row| row.get(0))
            .optional()?;
        let documents = format!("run/{run}");
        let data = match subject.flatten() {
            Some(hash) => format!("subject/{}", Digest::from_bytes(hash)),
            None => documents.clone(),
        };
        Ok(Self { documents, data })
    }

    fn of_content(&self, content: &Content) -> &str {
        if content.role.is_document() { &self.documents } else { &self.data }
    }

    /// How many data keys a batch takes, whose, and whether more of them will be wanted.
    fn needs(&self, batch: &Batch) -> [(&str, Need); 2] {
        let more = !matches!(batch.phase, Some(Phase::Closed(_)));
        let documents = batch.contents.iter().filter(|content| content.role.is_document()).count();
        let values = batch.kv.iter().flat_map(|kv| &kv.writes).filter(|write| write.value.is_some()).count();
        let need = |count| Need { count, more };
        [(&self.documents, need(documents)), (&self.data, need(batch.contents.len() - documents + values))]
    }

    fn forget(&self, keyring: &mut Keyring) {
        keyring.forget(&self.documents);
        keyring.forget(&self.data);
    }
}

fn prepare<'a>(
    keyring: &mut Keyring,
    owners: &Owners,
    wanted: &Wanted<'a>,
) -> Result<Prepared<'a>, StoreError> {
    let Wanted { run, expected, batch, .. } = *wanted;
    let mut contents = Vec::with_capacity(batch.contents.len());
    for content in &batch.contents {
        let place = Place { run: run.clone(), seq: content.seq, role: content.role.to_string() };
        let place = content_place(&place, content.encoding.as_str());
        let plain = Zeroizing::new([content.salt.as_bytes(), content.bytes.as_slice()].concat());
        contents.push(keyring.seal(owners.of_content(content), &place, &plain)?);
    }
    let mut values = Vec::new();
    if let Some(kv) = &batch.kv {
        for write in &kv.writes {
            let seal = |value| keyring.seal(&owners.data, &kv_place(&kv.scope, &write.at), value);
            values.push(write.value.as_deref().map(seal).transpose()?);
        }
    }
    let claim = match &batch.idempotency {
        Some(claim) => {
            let key = Key::of(keyring, &claim.scope)?;
            let next = claimed(claim, run);
            let seal = next.map(|next| seal_of(keyring, &key.mac, &next)).transpose()?;
            Some(Claimed { claim, key, seal })
        }
        None => None,
    };
    let head = batch.envelopes.iter().fold(expected, |head, envelope| head.after(envelope));
    Ok(Prepared { wanted: *wanted, contents, values, claim, head })
}

/// Writes all of them, what is refused apart, and signs the head of the log that is then.
fn commit(
    tx: &Transaction<'_>,
    keyring: &Keyring,
    log_key: Option<&NoteSigner>,
    group: &[Prepared<'_>],
) -> rusqlite::Result<Vec<Result<(), Refused>>> {
    let mut log = None;
    let mut outcomes = Vec::with_capacity(group.len());
    for prepared in group {
        let before = log.clone();
        tx.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let outcome = write(tx, keyring, &mut log, prepared)?;
        if outcome.is_err() {
            tx.prepare_cached("ROLLBACK TO batch")?.execute([])?;
            log = before;
        }
        tx.prepare_cached("RELEASE batch")?.execute([])?;
        outcomes.push(outcome);
    }
    if let (Some(log), Some(signer)) = (&log, log_key) {
        log::sign(tx, signer, log)?;
    }
    Ok(outcomes)
}

/// Writes one batch; `log` is the right edge of the log, where it was read already.
fn write(
    tx: &Transaction<'_>,
    keyring: &Keyring,
    log: &mut Option<Frontier>,
    prepared: &Prepared<'_>,
) -> rusqlite::Result<Result<(), Refused>> {
    let Prepared { wanted, claim, .. } = prepared;
    let Wanted { run, expected, batch, .. } = *wanted;
    if !advance(tx, wanted, prepared.head)? {
        return Ok(Err(refusal(tx, wanted)?));
    }
    if let Some(kv) = &batch.kv
        && let Some(at) = changed_read(tx, kv)?
    {
        return Ok(Err(Refused::Conflict(Conflict::Kv { at: at.clone() })));
    }
    if let Some(Claimed { claim, key, seal }) = claim {
        let current = match kept_reservation(tx, key)?.map(|kept| kept.opened(keyring, key)) {
            None => None,
            Some(Ok(Some(current))) => Some(current),
            Some(Ok(None)) => return Ok(Err(Refused::Forged)),
            Some(Err(error)) => return Ok(Err(Refused::Failed(error))),
        };
        match settle(claim, run, current) {
            Ok(next) => write_reservation(tx, key, next.as_ref(), *seal)?,
            Err(holder) => return Ok(Err(Refused::Conflict(Conflict::Idempotency { holder }))),
        }
    }
    if !batch.again
        && let Some(held) = erase::held(tx, &batch.erases)?
    {
        return Ok(Err(Refused::Conflict(Conflict::Held { run: held })));
    }
    write_envelopes(tx, run, expected, &batch.envelopes)?;
    log::enter(tx, log, run, expected.len, &batch.envelopes)?;
    write_contents(tx, run, prepared)?;
    if let Some(kv) = &batch.kv {
        for (write, value) in kv.writes.iter().zip(&prepared.values) {
            write_value(tx, run, kv, write, value.as_ref())?;
        }
    }
    if let Some(phase) = &batch.phase {
        write_phase(tx, run, phase)?;
    }
    erase::take_effect(tx, batch)?;
    Ok(Ok(()))
}

/// Moves the head, where owner and head are the expected ones.
fn advance(conn: &Connection, wanted: &Wanted<'_>, next: Head) -> rusqlite::Result<bool> {
    let Wanted { run, epoch, expected, .. } = *wanted;
    let changed = conn
        .prepare_cached(
            "UPDATE run SET len = ?1, last = ?2 WHERE id = ?3 AND epoch = ?4 AND len = ?5 AND last IS ?6",
        )?
        .execute((
            next.len as i64,
            next.last.as_ref().map(nanohost_core::Digest::as_bytes),
            run.as_str(),
            epoch as i64,
            expected.len as i64,
            expected.last.as_ref().map(nanohost_core::Digest::as_bytes),
        ))?;
    Ok(changed == 1)
}

/// Why the head did not move.
fn refusal(conn: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<Refused> {
    let row = conn
        .prepare_cached("SELECT epoch, len, last FROM run WHERE id = ?1")?
        .query_row([wanted.run.as_str()], |row| Ok((count(row, 0)?, head(row, 1)?)))
        .optional()?;
    Ok(match row {
        Some((epoch, actual)) if epoch == wanted.epoch => Refused::Conflict(Conflict::Head { actual }),
        _ => Refused::Fenced,
    })
}

/// The first value that is no longer what the call saw.
fn changed_read<'kv>(conn: &Connection, kv: &'kv KvCommit) -> rusqlite::Result<Option<&'kv KvKey>> {
    let mut version = conn.prepare_cached(
        "SELECT version FROM kv WHERE program = ?1 AND tool = ?2 AND namespace = ?3 AND key = ?4",
    )?;
    for read in &kv.reads {
        let (program, tool) = (&kv.scope.program, kv.scope.tool.as_str());
        let found = version
            .query_row((program, tool, &read.at.namespace, &read.at.key), |row| count(row, 0))
            .optional()?;
        if found != read.version {
            return Ok(Some(&read.at));
        }
    }
    Ok(None)
}

fn write_reservation(
    conn: &Connection,
    key: &Key,
    next: Option<&Reservation>,
    seal: Option<KeyedHash>,
) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM idempotency WHERE mac = ?1 AND seal IS NULL")?.execute([key.earlier])?;
    match next {
        None => conn.prepare_cached("DELETE FROM idempotency WHERE mac = ?1")?.execute([key.mac])?,
        Some(Reservation { run, place, state }) => {
            let result_seq = match state {
                ReservationState::Reserved => None,
                ReservationState::Fulfilled { seq } => Some(*seq as i64),
            };
            conn.prepare_cached(
                "INSERT OR REPLACE INTO idempotency (mac, run, result_seq, step, visit, seal) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                key.mac,
                run.as_str(),
                result_seq,
                place.as_ref().map(|place| &place.step),
                place.as_ref().map(|place| place.visit),
                seal,
            ))?
        }
    };
    Ok(())
}

fn write_envelopes(
    conn: &Connection,
    run: &RunId,
    expected: Head,
    envelopes: &[Vec<u8>],
) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached("INSERT INTO envelope (run, seq, bytes) VALUES (?1, ?2, ?3)")?;
    for (seq, envelope) in (expected.len..).zip(envelopes) {
        insert.execute((run.as_str(), seq as i64, envelope))?;
    }
    Ok(())
}

fn write_contents(conn: &Connection, run: &RunId, prepared: &Prepared<'_>) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO content (run, seq, role, encoding, data_key, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (content, sealed) in prepared.wanted.batch.contents.iter().zip(&prepared.contents) {
        insert.execute((
            run.as_str(),
            content.seq as i64,
            content.role.as_str(),
            content.encoding.as_str(),
            sealed.key,
            &sealed.bytes,
        ))?;
    }
    Ok(())
}

fn write_value(
    conn: &Connection,
    run: &RunId,
    kv: &KvCommit,
    write: &KvWrite,
    value: Option<&Sealed>,
) -> rusqlite::Result<()> {
    let (program, tool) = (&kv.scope.program, kv.scope.tool.as_str());
    let KvKey { namespace, key } = &write.at;
    let Some(sealed) = value else {
        conn.prepare_cached(
            "DELETE FROM kv WHERE program = ?1 AND tool = ?2 AND namespace = ?3 AND key = ?4",
        )?
        .execute((program, tool, namespace, key))?;
        return Ok(());
    };
    // One counter for the whole store: a version is never used again, not even for a key that
    // was deleted and made anew.
    let version: i64 = conn
        .prepare_cached("UPDATE counter SET value = value + 1 WHERE name = 'kv_version' RETURNING value")?
        .query_row([], |row| row.get(0))?;
    conn.prepare_cached(
        "INSERT INTO kv (program, tool, namespace, key, version, run, data_key, sealed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (program, tool, namespace, key) DO UPDATE SET version = excluded.version, \
         run = excluded.run, data_key = excluded.data_key, sealed = excluded.sealed",
    )?
    .execute((program, tool, namespace, key, version, run.as_str(), sealed.key, &sealed.bytes))?;
    Ok(())
}

fn write_phase(conn: &Connection, run: &RunId, phase: &Phase) -> rusqlite::Result<()> {
    let (name, status, deadline) = match phase {
        Phase::Open => ("open", None, None),
        Phase::Suspended { deadline } => ("suspended", None, deadline.map(Timestamp::as_millis)),
        Phase::Closed(status) => ("closed", Some(status), None),
    };
    conn.prepare_cached("UPDATE run SET phase = ?1, status = ?2, deadline = ?3 WHERE id = ?4")?.execute((
        name,
        status,
        deadline,
        run.as_str(),
    ))?;
    if matches!(phase, Phase::Open | Phase::Closed(_)) {
        end_tokens(conn, run)?;
    }
    if matches!(phase, Phase::Closed(_)) {
        end_request(conn, run)?;
    }
    Ok(())
}
