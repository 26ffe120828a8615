//! Rows back into values. A row that somebody changed is a finding where verification can report
//! it, and an error only where nothing can be made of it.

use nanohost_core::{Content, Digest, Encoding, Role, RunId, Salt, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::erase::{self, NOT_GIVEN_UP};
use super::{Files, HasShelf, Shelf};
use crate::batch::{KvEntry, KvKey, KvScope, Phase};
use crate::error::StoreError;
use crate::idempotency::{CallPlace, IdempotencyScope, Reservation, ReservationState};
use crate::journal::{Head, Records};
use crate::keyring::{KeyedHash, Keyring, Sealed, Unopened};
use crate::record::{
    Found, MAX_CANDIDATES, Place, RunRecord, RunState, RunSummary, StoredContent, VaultError,
};
use crate::seal::{OVERHEAD, associated};

/// The columns that [`run_row`] reads.
const RUN_COLUMNS: &str = "id, program, opened, len, last, phase, status, deadline";

/// The chain of acts lies beside the chains of runs, and is no run.
const NO_ACTS: &str = "id <> (SELECT CAST(value AS TEXT) FROM meta WHERE name = 'acts')";

struct RunRow {
    run: RunId,
    program: String,
    opened: Timestamp,
    head: Head,
    phase: Phase,
}

struct ContentRow {
    seq: u64,
    role: String,
    encoding: String,
    sealed: Sealed,
}

impl<T: HasShelf> Records for T {
    fn load(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let files = self.shelf().files();
        let rows = files.database.snapshot(|conn| {
            let select = format!("SELECT {RUN_COLUMNS} FROM run WHERE id = ?1");
            let Some(row) = conn.prepare_cached(&select)?.query_row([run.as_str()], run_row).optional()?
            else {
                return Ok(None);
            };
            let erased = (erase::tombstones(conn, run)?, erase::acts_on(conn, run)?);
            Ok(Some((row, envelopes(conn, run)?, content_rows(conn, run)?, erased)))
        })?;
        let Some((row, envelopes, contents, (tombstones, acts))) = rows else { return Ok(None) };
        // What an act has given up is gone, whether or not it is still there.
        let kept = contents.into_iter().filter(|row| !tombstones.contains(&(row.seq, row.role.clone())));
        let mut contents = kept.map(|row| files.open_content(run, row)).collect::<Result<Vec<_>, _>>()?;
        if !tombstones.is_empty() {
            contents.extend(tombstones.into_iter().map(|(seq, role)| {
                let place = Place { run: run.clone(), seq, role };
                StoredContent { content: Err(VaultError::Erased { place: place.clone() }), place }
            }));
            contents.sort_by(|a, b| a.place.cmp(&b.place));
        }
        let recorded = row.head;
        Ok(Some(RunRecord { summary: self.shelf().summary(row)?, recorded, envelopes, contents, acts }))
    }

    fn head(&self, run: &RunId) -> Result<Option<Head>, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM run WHERE id = ?1"))?
                .query_row([run.as_str()], run_row)
                .optional()
                .map(|row| row.map(|row| row.head))
        })
    }

    fn opening(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.prepare_cached("SELECT bytes FROM envelope WHERE run = ?1 AND seq = 0")?
                .query_row([run.as_str()], |row| row.get(0))
                .optional()
        })
    }

    fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let rows = self.shelf().files().database.read(|conn| {
            let select =
                format!("SELECT {RUN_COLUMNS} FROM run WHERE {NO_ACTS} ORDER BY opened DESC, id DESC");
            conn.prepare_cached(&select)?.query_map([], run_row)?.collect::<Result<Vec<_>, _>>()
        })?;
        rows.into_iter().map(|row| self.shelf().summary(row)).collect()
    }

    fn find(&self, prefix: &str) -> Result<Found, StoreError> {
        // `g` comes after every digit of an id.
        let end = format!("{prefix}g");
        let matches = self.shelf().files().database.read(|conn| {
            let select =
                format!("SELECT id FROM run WHERE id >= ?1 AND id < ?2 AND {NO_ACTS} ORDER BY id LIMIT ?3");
            conn.prepare_cached(&select)?
                .query_map((prefix, end, MAX_CANDIDATES as i64), |row| ident(row, 0))?
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Found::from_matches(matches))
    }

    fn acts(&self) -> Result<RunId, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.query_row("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'acts'", [], |row| {
                ident(row, 0)
            })
        })
    }

    fn is_live(&self, run: &RunId) -> Result<bool, StoreError> {
        self.shelf().locks.is_live(run)
    }

    fn kv_get(&self, scope: &KvScope, at: &KvKey) -> Result<Option<KvEntry>, StoreError> {
        let files = self.shelf().files();
        let row = files.database.read(|conn| {
            conn.prepare_cached(&format!(
                "SELECT version, data_key, sealed FROM kv \
                 WHERE program = ?1 AND tool = ?2 AND namespace = ?3 AND key = ?4 AND {NOT_GIVEN_UP}",
            ))?
            .query_row((&scope.program, scope.tool.as_str(), &at.namespace, &at.key), |row| {
                Ok((count(row, 0)?, Sealed { key: row.get(1)?, bytes: row.get(2)? }))
            })
            .optional()
        })?;
        let Some((version, sealed)) = row else { return Ok(None) };
        match files.keyring()?.open_sealed(&kv_place(scope, at), &sealed)? {
            Ok(value) => Ok(Some(KvEntry { value: value.to_vec(), version })),
            Err(Unopened::NoKey | Unopened::Damaged) => {
                Err(StoreError::KvDamaged { tool: scope.tool.to_string(), key: at.key.clone() })
            }
        }
    }

    fn kv_list(&self, scope: &KvScope, namespace: &str) -> Result<Vec<(String, u64)>, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.prepare_cached(&format!(
                "SELECT key, version FROM kv \
                 WHERE program = ?1 AND tool = ?2 AND namespace = ?3 AND {NOT_GIVEN_UP} ORDER BY key",
            ))?
            .query_map((&scope.program, scope.tool.as_str(), namespace), |row| {
                Ok((row.get(0)?, count(row, 1)?))
            })?
            .collect()
        })
    }

    fn kv_held(&self, scope: &KvScope) -> Result<u64, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.prepare_cached(
                "SELECT COALESCE(SUM(LENGTH(CAST(key AS BLOB)) + MAX(LENGTH(sealed) - ?3, 0)), 0) FROM kv \
                 WHERE program = ?1 AND tool = ?2",
            )?
            .query_row((&scope.program, scope.tool.as_str(), OVERHEAD), |row| count(row, 0))
        })
    }

    fn recorded(&self, scope: &IdempotencyScope) -> Result<Option<Reservation>, StoreError> {
        let files = self.shelf().files();
        let key = Key::of(files.keyring()?, scope)?;
        let kept = files.database.read(|conn| kept_reservation(conn, &key))?;
        let Some(kept) = kept else { return Ok(None) };
        match kept.opened(files.keyring()?, &key)? {
            Some(reservation) => Ok(Some(reservation)),
            None => Err(files.database.corrupt(FORGED)),
        }
    }

    fn token_fits(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        token: &str,
    ) -> Result<bool, StoreError> {
        self.shelf().files().token_fits(run, suspension, holder, token)
    }

    fn asked_to_stop(&self, run: &RunId) -> Result<Option<String>, StoreError> {
        self.shelf().files().asked_to_stop(run)
    }
}

impl Shelf {
    fn summary(&self, row: RunRow) -> Result<RunSummary, StoreError> {
        let state = RunState::of(row.phase, || self.locks.is_live(&row.run))?;
        Ok(RunSummary { run: row.run, program: row.program, opened: row.opened, len: row.head.len, state })
    }
}

impl Files {
    fn open_content(&self, run: &RunId, row: ContentRow) -> Result<StoredContent, StoreError> {
        let place = Place { run: run.clone(), seq: row.seq, role: row.role };
        let opened = match &self.keyring {
            Some(keyring) => keyring.open_sealed(&content_place(&place, &row.encoding), &row.sealed)?,
            None => Err(Unopened::NoKey),
        };
        let content = match opened {
            Ok(plain) => content(&place, &row.encoding, &plain)
                .ok_or_else(|| VaultError::Damaged { place: place.clone() }),
            Err(Unopened::NoKey) => Err(VaultError::Missing { place: place.clone() }),
            Err(Unopened::Damaged) => Err(VaultError::Damaged { place: place.clone() }),
        };
        Ok(StoredContent { place, content })
    }
}

/// What a piece of content is sealed to: moved or relabelled, it does not open.
pub(super) fn content_place(place: &Place, encoding: &str) -> Vec<u8> {
    associated(
        "nanohost/content/v1",
        &[
            place.run.as_str().as_bytes(),
            &place.seq.to_be_bytes(),
            place.role.as_bytes(),
            encoding.as_bytes(),
        ],
    )
}

/// What a value of a key-value space is sealed to.
pub(super) fn kv_place(scope: &KvScope, at: &KvKey) -> Vec<u8> {
    associated(
        "nanohost/kv/v1",
        &[
            scope.program.as_bytes(),
            scope.tool.as_str().as_bytes(),
            at.namespace.as_bytes(),
            at.key.as_bytes(),
        ],
    )
}

/// Under which keyed hash an idempotency key lies, and under which earlier versions put it.
pub(super) struct Key {
    pub(super) mac: KeyedHash,
    pub(super) earlier: KeyedHash,
}

impl Key {
    pub(super) fn of(keyring: &Keyring, scope: &IdempotencyScope) -> Result<Self, StoreError> {
        let mac = keyring.idempotency_mac(scope)?;
        Ok(Self { mac, earlier: keyring.earlier_idempotency_mac(scope)? })
    }
}

/// What an error says of a reservation whose seal is not good.
pub(super) const FORGED: &str = "an idempotency key was given to another run or result by another hand";

/// A reservation as it lies there, before anybody looked whether its seal is good.
pub(super) struct KeptReservation {
    reservation: Reservation,
    seal: Option<Vec<u8>>,
    /// It lies where earlier versions put them, which sealed none.
    is_earlier: bool,
}

impl KeptReservation {
    /// The reservation, where its seal is good; `None` where it is not.
    pub(super) fn opened(self, keyring: &Keyring, key: &Key) -> Result<Option<Reservation>, StoreError> {
        let good = match &self.seal {
            None => self.is_earlier,
            Some(seal) => match <&KeyedHash>::try_from(seal.as_slice()) {
                Ok(seal) => is_sealed(keyring, &key.mac, &self.reservation, seal)?,
                Err(_) => false,
            },
        };
        Ok(good.then_some(self.reservation))
    }
}

/// The seal of a reservation.
pub(super) fn seal_of(
    keyring: &Keyring,
    mac: &KeyedHash,
    reservation: &Reservation,
) -> Result<KeyedHash, StoreError> {
    with_parts(mac, reservation, |parts| keyring.keyed_hash(SEAL, parts))
}

fn is_sealed(
    keyring: &Keyring,
    mac: &KeyedHash,
    reservation: &Reservation,
    seal: &KeyedHash,
) -> Result<bool, StoreError> {
    with_parts(mac, reservation, |parts| keyring.is_keyed_hash(seal, SEAL, parts))
}

const SEAL: &str = "nanohost/reservation/v1";

fn with_parts<T>(mac: &KeyedHash, reservation: &Reservation, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    let Reservation { run, place, state } = reservation;
    let (step, visit) = place.as_ref().map_or(("", 0), |place| (place.step.as_str(), place.visit));
    let seq = match state {
        ReservationState::Reserved => String::new(),
        ReservationState::Fulfilled { seq } => seq.to_string(),
    };
    then(&[mac, run.as_str().as_bytes(), step.as_bytes(), &visit.to_be_bytes(), seq.as_bytes()])
}

/// Who holds an idempotency key, by the present keyed hash or by that of earlier versions.
pub(super) fn kept_reservation(conn: &Connection, key: &Key) -> rusqlite::Result<Option<KeptReservation>> {
    conn.prepare_cached(
        "SELECT run, result_seq, step, visit, seal, mac = ?2 FROM idempotency \
         WHERE mac = ?1 OR mac = ?2 AND seal IS NULL ORDER BY mac = ?1 DESC LIMIT 1",
    )?
    .query_row([key.mac, key.earlier], |row| {
        let state = match row.get::<_, Option<i64>>(1)? {
            None => ReservationState::Reserved,
            Some(_) => ReservationState::Fulfilled { seq: count(row, 1)? },
        };
        let place = match row.get::<_, Option<String>>(2)? {
            None => None,
            Some(step) => Some(CallPlace { step, visit: row.get(3)? }),
        };
        Ok(KeptReservation {
            reservation: Reservation { run: ident(row, 0)?, place, state },
            seal: row.get(4)?,
            is_earlier: row.get(5)?,
        })
    })
    .optional()
}

/// A head of two neighbouring columns, the length first.
pub(super) fn head(row: &Row<'_>, first: usize) -> rusqlite::Result<Head> {
    let last: Option<[u8; 32]> = row.get(first + 1)?;
    Ok(Head { len: count(row, first)?, last: last.map(Digest::from_bytes) })
}

/// A whole number that is never negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The id of a run.
pub(super) fn ident(row: &Row<'_>, column: usize) -> rusqlite::Result<RunId> {
    let text: String = row.get(column)?;
    RunId::new(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let phase: String = row.get(5)?;
    let status: Option<String> = row.get(6)?;
    let deadline: Option<i64> = row.get(7)?;
    let phase = match (phase.as_str(), status, deadline.map(Timestamp::from_millis)) {
        ("closed", Some(status), None) => Phase::Closed(status),
        ("suspended", None, deadline) => Phase::Suspended { deadline },
        ("open", None, None) => Phase::Open,
        _ => {
            let error = format!("a run has the phase {phase:?}").into();
            return Err(rusqlite::Error::FromSqlConversionFailure(5, Type::Text, error));
        }
    };
    let opened = Timestamp::from_millis(row.get(2)?);
    Ok(RunRow { run: ident(row, 0)?, program: row.get(1)?, opened, head: head(row, 3)?, phase })
}

fn envelopes(conn: &Connection, run: &RunId) -> rusqlite::Result<Vec<Vec<u8>>> {
    conn.prepare_cached("SELECT bytes FROM envelope WHERE run = ?1 ORDER BY seq")?
        .query_map([run.as_str()], |row| row.get(0))?
        .collect()
}

fn content_rows(conn: &Connection, run: &RunId) -> rusqlite::Result<Vec<ContentRow>> {
    conn.prepare_cached(
        "SELECT seq, role, encoding, data_key, sealed FROM content WHERE run = ?1 ORDER BY seq, role",
    )?
    .query_map([run.as_str()], |row| {
        let sealed = Sealed { key: row.get(3)?, bytes: row.get(4)? };
        Ok(ContentRow { seq: count(row, 0)?, role: row.get(1)?, encoding: row.get(2)?, sealed })
    })?
    .collect()
}

/// The salt stands before the bytes.
fn content(place: &Place, encoding: &str, plain: &[u8]) -> Option<Content> {
    let (salt, bytes) = plain.split_first_chunk::<32>()?;
    Some(Content {
        seq: place.seq,
        role: Role::new(&place.role).ok()?,
        encoding: encoding.parse::<Encoding>().ok()?,
        salt: Salt::from_bytes(*salt),
        bytes: bytes.to_vec(),
    })
}
