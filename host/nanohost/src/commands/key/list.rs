//! `nanohost key list`: all keys of this user, each with what it is for and for which part of the log it
//! counts. Opens none.

use std::path::{Path, PathBuf};

use nanohost_core::{PublicKey, Signer, TrustRoot, Validity};
use nanohost_store::{
    DEVELOPMENT_KEY_FILE, LOG_KEY_FILE, MadeKeys, OpenOptions, PUBLIC_KEY_FILE, SqliteReader, StoreError,
    development_public_key, key_file, log_public_key,
};
use serde_json::{Value, json};

use crate::acts::{self, KeyPlaces};
use crate::commands::log;
use crate::console::{self, Console};
use crate::failure::Exit;
use crate::project::Places;
use crate::{signing, store_failure};

/// One key.
struct Row {
    id: String,
    what: &'static str,
    roles: &'static [&'static str],
    state: &'static str,
    /// The part of the log of this store for which it counts, where that has one.
    part: Option<Validity>,
    /// `None` where its private half is gone.
    encrypted: Option<bool>,
    private: PathBuf,
    public: PathBuf,
}

pub(super) fn list(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let reader = match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(reader) => {
            crate::outside::agrees(&reader, places)?;
            Some(reader)
        }
        Err(StoreError::NoStore { .. }) => None,
        Err(error) => return Err(store_failure(error)),
    };
    let mut rows = of_calls(reader.as_ref(), places)?;
    rows.extend(of_logs(reader.as_ref(), places)?);
    if json {
        let rows: Vec<Value> = rows.iter().map(as_json).collect();
        console.json(&json!({ "store": reader.map(|_| &places.store), "keys": rows }))?;
    } else {
        console.print(&console::keys(rows.iter().map(as_words)))?;
        if rows.is_empty() {
            console.note(&format!("the first run makes one, or `{} key new`", console::program_name()));
        }
    }
    Ok(Exit::Success)
}

fn of_calls(reader: Option<&SqliteReader>, places: &Places) -> anyhow::Result<Vec<Row>> {
    let folder = places.keys();
    let current = signing::current_public(places).map_err(store_failure)?.map(|key| key.key_id());
    let said = match (reader, &current) {
        (Some(reader), Some(_)) => Some(
            acts::keys(reader, &signing::own_trust(places)?)
                .map_err(store_failure)?
                .map_err(|bad| bad.failure())?,
        ),
        _ => None,
    };
    let row = |key: &PublicKey, what, private: PathBuf, public: PathBuf| -> anyhow::Result<Row> {
        let id = key.key_id();
        let retired = said.as_ref().is_some_and(|said| said.retired.contains_key(&id));
        Ok(Row {
            id: id.to_string(),
            what,
            roles: &["calls", "acts"],
            state: match (retired, current == Some(id)) {
                (true, _) => "retired",
                (_, true) => "signs",
                _ => "finishes what it began",
            },
            part: said.as_ref().map(|said| part(said, key)),
            encrypted: is_encrypted(&private)?,
            private,
            public,
        })
    };
    let mut rows = Vec::new();
    if let Some(key) = development_public_key(&folder).map_err(store_failure)? {
        rows.push(row(&key, "development", folder.join(DEVELOPMENT_KEY_FILE), folder.join(PUBLIC_KEY_FILE))?);
    }
    for key in MadeKeys::at(&folder).all().map_err(store_failure)? {
        rows.push(row(&key.public, "made", key.private_file, key.public_file)?);
    }
    Ok(rows)
}

/// For which part of the log a key of calls counts: what `key export` writes too.
fn part(said: &KeyPlaces, key: &PublicKey) -> Validity {
    let id = key.key_id();
    let from = said.introduced.get(&id).map_or(0, |(_, index)| *index);
    Validity { from, until: said.retired.get(&id).copied() }
}

/// The keys of the logs of this user's stores: the first of all of them, and those under other names.
fn of_logs(reader: Option<&SqliteReader>, places: &Places) -> anyhow::Result<Vec<Row>> {
    let now = reader.map(|reader| log::own_key(reader, places)).transpose()?.flatten();
    let trust = signing::own_trust(places).unwrap_or_else(|_| TrustRoot::new([]));
    let names = match reader {
        Some(reader) => log::names(reader, now.clone(), &trust)?,
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    let renamed = std::fs::read_dir(places.keys().join("logs")).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = renamed.map(|entry| entry.path()).collect();
    folders.sort();
    folders.insert(0, places.keys());
    for folder in folders {
        let Some(key) = log_public_key(&folder).map_err(store_failure)? else { continue };
        let named = names.iter().find(|(log, _)| *log.key() == key);
        let private = folder.join(LOG_KEY_FILE);
        rows.push(Row {
            id: named.map_or_else(|| key.key_id().to_string(), |(log, _)| log.to_string()),
            what: "log",
            roles: &["log"],
            state: match (named, &now) {
                (Some((log, _)), Some(now)) if log == now => "signs",
                (Some(_), _) => "signed under an earlier name",
                (None, _) => "of another store",
            },
            part: named.map(|(_, part)| *part),
            encrypted: is_encrypted(&private)?,
            public: private.with_file_name("log.pub.pem"),
            private,
        });
    }
    Ok(rows)
}

/// Whether a passphrase opens it; `None` where it is gone.
fn is_encrypted(private: &Path) -> anyhow::Result<Option<bool>> {
    let pem = key_file(private).map_err(store_failure)?;
    Ok(pem.map(|pem| Signer::is_encrypted(&pem)))
}

fn as_json(row: &Row) -> Value {
    json!({
        "key": row.id,
        "what": row.what,
        "roles": row.roles,
        "state": row.state,
        "from": row.part.map(|part| part.from),
        "until": row.part.and_then(|part| part.until),
        "encrypted": row.encrypted,
        "private": row.private,
        "public": row.public,
    })
}

fn as_words(row: &Row) -> Vec<String> {
    let part = match row.part {
        None => "—".to_owned(),
        Some(Validity { from, until: None }) => format!("from {from} on"),
        Some(Validity { from, until: Some(until) }) => format!("from {from} to before {until}"),
    };
    let kept = match row.encrypted {
        None => "its private half is gone",
        Some(true) => "under a passphrase",
        Some(false) => "not encrypted",
    };
    vec![
        row.id.clone(),
        row.what.to_owned(),
        row.roles.join(", "),
        row.state.to_owned(),
        part,
        kept.to_owned(),
        console::path(&row.public).to_string(),
    ]
}
