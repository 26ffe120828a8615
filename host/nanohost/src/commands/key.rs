//! `nanohost key`: the keys that sign calls. Which one signs is said in the store's own evidence, where
//! there is some, so that whoever trusted the first key can follow.

mod list;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use nanohost_core::act::{Act, KeyAct, KeyChange};
use nanohost_core::log::NoteVerifier;
use nanohost_core::log::note::Kind;
use nanohost_core::{Diagnostic, KeyId, KeyTrust, Principal, PublicKey, Role, Signer, Validity};
use nanohost_store::{MadeKeys, OpenOptions, SqliteReader, StoreError};
use nanohost_verify::whole;
use serde_json::json;
use zeroize::Zeroizing;

use super::log;
use crate::acts::{self, Acts};
use crate::cli::{KeyArgs, KeyCommand, NewKeyArgs, PassphraseArgs};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::{self, Places};
use crate::signing::{self, Signing};
use crate::{open_store, store_failure};

/// `nanohost key`.
pub fn key(args: &KeyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        KeyCommand::List { json } => list::list(*json, places, console),
        KeyCommand::Show { public, json } => show(*public, *json, places, console),
        KeyCommand::New(new) => {
            if let Some(key) = MadeKeys::at(&places.keys()).current().map_err(store_failure)? {
                let message = format!("the key {} signs already", key.public.key_id());
                let help = format!("`{} key rotate` makes another one", console::program_name());
                return Err(Failure::usage(Diagnostic::error("key_there", message).help(help)));
            }
            make(new, places, console)
        }
        KeyCommand::Rotate { log: true, new } => rotate_log(new, places, console),
        KeyCommand::Rotate { new, .. } => make(new, places, console),
        KeyCommand::Passphrase(args) => passphrase(args, places, console),
        KeyCommand::Retire { key, reason, principal, json } => {
            retire(key, reason, principal, *json, places, console)
        }
        KeyCommand::Export { output, json } => export(output, *json, places, console),
    }
}

fn show(public: bool, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    // Looking at a key opens none; where there is none yet, the first is made.
    let made = MadeKeys::at(&places.keys()).current().map_err(store_failure)?;
    let (key, private, file, development) = match made {
        Some(key) => (key.public, key.private_file, key.public_file, false),
        None => {
            let Signing { signer, private, public, .. } = signing::current(places)?;
            (signer.public().clone(), private, public, true)
        }
    };
    let pem = key.to_spki_pem()?;
    let id = key.key_id();
    if json {
        console.json(&json!({
            "keyId": id.to_string(),
            "development": development,
            "private": private,
            "public": file,
            "pem": pem,
            "vkey": vkey(&key)?.to_string(),
        }))?;
    } else if public {
        console.print(&pem)?;
    } else {
        let what = if development { " (a development key: not encrypted, for this user alone)" } else { "" };
        console.print(&format!(
            "key id   {id}\nprivate  {}{what}\npublic   {}\n\n{pem}",
            console::path(&private),
            console::path(&file),
        ))?;
        if development {
            console.note(&format!("`{} key new` makes one under a passphrase", console::program_name()));
        }
    }
    Ok(Exit::Success)
}

/// The key as C2SP writes keys, under a name that says which it is.
fn vkey(key: &PublicKey) -> anyhow::Result<NoteVerifier> {
    let name = format!("nanohost-key/{}", key.key_id());
    Ok(NoteVerifier::new(name.parse()?, Kind::Ed25519, key.clone()))
}

fn make(args: &NewKeyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let old = signing::current_public(places).map_err(store_failure)?;
    let introduces = match old {
        Some(_) if has_store(places)? => {
            Some(signing::current_by(args.old_passphrase_file.as_deref(), places)?)
        }
        _ => None,
    };
    let passphrase = if args.plain {
        None
    } else {
        Some(signing::passphrase_of_new_key(args.passphrase_file.as_deref())?)
    };
    let signer = Signer::from_seed(*random()?);
    let pem = kept(&signer, passphrase.as_ref())?;
    let keys = MadeKeys::at(&places.keys());
    let made = keys.add(signer.public(), &pem).map_err(store_failure)?;
    let id = made.public.key_id();
    // Said in the evidence before anything is signed with it: who trusted the old key can follow.
    let is_said = introduces.is_some();
    if let Some(old) = introduces {
        introduce(old.signer, signer, args, places)?;
    }
    keys.sign_with(&id).map_err(store_failure)?;
    if is_said {
        log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
    }
    if args.json {
        console.json(&json!({
            "keyId": id.to_string(),
            "replaces": old.map(|old| old.key_id().to_string()),
            "private": made.private_file,
            "public": made.public_file,
            "encrypted": passphrase.is_some(),
            "reason": args.reason.as_ref().filter(|_| is_said),
        }))?;
        return Ok(Exit::Success);
    }
    console.print(&format!("key id   {id}\n"))?;
    if args.reason.is_some() && !is_said {
        console.note("the reason stands nowhere: there is no evidence yet that this key could be said in");
    }
    console.note(&format!(
        "it signs from now on; back up {} and hand {} to whoever verifies",
        console::path(&made.private_file),
        console::path(&made.public_file),
    ));
    if let Some(old) = old {
        console.note(&format!(
            "the key {} finishes what it began; `{} key retire {}` ends that",
            old.key_id(),
            console::program_name(),
            old.key_id().digest().short(),
        ));
    }
    Ok(Exit::Success)
}

/// Lets the log go on under a new name and key.
fn rotate_log(args: &NewKeyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    // Looking makes no store.
    SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let store = open_store(places)?;
    let key = log::renamed::renamed(
        &store,
        &args.principal,
        args.reason.as_deref().unwrap_or("a new key of the log"),
        places,
    )?;
    if args.json {
        console.json(&json!({ "origin": key.name().as_str(), "key": key.to_string() }))?;
    } else {
        console.print(&format!("{key}\n"))?;
        console.note(
            "the log goes on under this name and key: back up the folder of keys, and have each witness and each policy \
             name it beside the old one",
        );
    }
    Ok(Exit::Success)
}

/// Both acts in one commit: neither key says it without the other.
fn introduce(old: Signer, new: Signer, args: &NewKeyArgs, places: &Places) -> anyhow::Result<()> {
    let store = open_store(places)?;
    let before = old.public().key_id();
    let mut acts = Acts::take_as(&store, old, places)?;
    let (public, id) = (new.public().clone(), new.public().key_id());
    let words = args.reason.as_deref().unwrap_or("a new key");
    acts.seal(&args.principal, (Role::REASON, words), |reason| {
        Act::Key(KeyAct { change: KeyChange::Introduced, key: id, public: Some(Box::new(public)), reason })
    })?;
    acts.sign_with(new);
    acts.seal(&args.principal, (Role::REASON, words), |reason| {
        Act::Key(KeyAct { change: KeyChange::Accepted, key: before, public: None, reason })
    })?;
    acts.commit(places)?;
    Ok(())
}

/// Fresh bytes of the operating system.
fn random() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|error| anyhow::Error::new(error).context("the operating system gives no randomness"))?;
    Ok(random)
}

/// A private key as it is kept.
fn kept(signer: &Signer, passphrase: Option<&Zeroizing<String>>) -> anyhow::Result<Zeroizing<String>> {
    Ok(match passphrase {
        Some(passphrase) => signer.to_encrypted_pem(passphrase, *random()?)?,
        None => signer.to_pkcs8_pem()?,
    })
}

/// `nanohost key passphrase`: the same key, kept in another way. No evidence speaks of that.
fn passphrase(args: &PassphraseArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let keys = MadeKeys::at(&places.keys());
    let current = keys.current().map_err(store_failure)?;
    let key = match &args.key {
        None => current,
        Some(prefix) => {
            let id =
                one_of(prefix, keys.all().map_err(store_failure)?.iter().map(|key| key.public.key_id()))?;
            keys.get(&id).map_err(store_failure)?
        }
    };
    let Some(key) = key else {
        let message = "the development key is kept without a passphrase, and stays so";
        let help = format!(
            "`{} key new` makes one in its place that is under a passphrase",
            console::program_name()
        );
        return Err(Failure::usage(Diagnostic::error("key_unknown", message).help(help)));
    };
    if let Some(file) = &args.old_passphrase_file
        && !Signer::is_encrypted(&key.pem().map_err(store_failure)?)
    {
        let message = format!("the key {} is kept without a passphrase", key.public.key_id());
        let help = format!("leave --old-passphrase-file {} out", project::quoted(file));
        return Err(Failure::usage(Diagnostic::error("key_passphrase_wrong", message).help(help)));
    }
    // The old one first: a new one is not asked for in vain.
    let signer = signing::made(&key, args.old_passphrase_file.as_deref())?.signer;
    let passphrase =
        if args.plain { None } else { Some(signing::another_passphrase(args.passphrase_file.as_deref())?) };
    keys.keep_as(&key, &kept(&signer, passphrase.as_ref())?).map_err(store_failure)?;
    let id = key.public.key_id();
    if args.json {
        console.json(&json!({
            "keyId": id.to_string(),
            "private": key.private_file,
            "encrypted": passphrase.is_some(),
        }))?;
    } else {
        let how = if passphrase.is_some() { "under the new passphrase" } else { "without a passphrase" };
        console.note(&format!(
            "the key {id} is kept {how}; what opened it before opens its old backups still: make new ones of {}",
            console::path(&key.private_file)
        ));
    }
    Ok(Exit::Success)
}

/// The one key that begins so.
fn one_of(prefix: &str, keys: impl Iterator<Item = KeyId>) -> anyhow::Result<KeyId> {
    let found: Vec<KeyId> =
        keys.filter(|id| !prefix.is_empty() && id.to_string().starts_with(prefix)).collect();
    if let [id] = found[..] {
        return Ok(id);
    }
    let message = match found.len() {
        0 => format!("no key of this user begins with {}", console::escaped(prefix)),
        count => format!("{count} keys begin with {}", console::escaped(prefix)),
    };
    let help = format!("`{} key export -o FILE` writes down all of them", console::program_name());
    Err(Failure::usage(Diagnostic::error("key_unknown", message).help(help)))
}

fn retire(
    prefix: &str,
    reason: &str,
    principal: &Principal,
    json: bool,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let keys = signing::public_keys(places).map_err(store_failure)?;
    let id = one_of(prefix, keys.iter().map(PublicKey::key_id))?;
    let current = signing::current_public(places).map_err(store_failure)?;
    if current.is_some_and(|current| current.key_id() == id) {
        let message = format!("the key {id} is the one that signs");
        let help = format!("`{} key rotate` makes another one first", console::program_name());
        return Err(Failure::usage(Diagnostic::error("key_signs", message).help(help)));
    }
    // Looking makes no store, and without one nothing was signed that anybody could have.
    SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let store = open_store(places)?;
    let mut acts = Acts::take(&store, places)?;
    if acts.retired(&id) {
        let finding = Diagnostic::error("key_retired", format!("the key {id} was retired before"));
        return Err(Failure::usage(finding.help("there is nothing to do")));
    }
    acts.seal(principal, (Role::REASON, reason), |reason| {
        Act::Key(KeyAct { change: KeyChange::Retired, key: id, public: None, reason })
    })?;
    acts.commit(places)?;
    log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
    let waiting = waiting(&store, &id)?;
    if json {
        console.json(&json!({ "keyId": id.to_string(), "runsWithoutKey": waiting }))?;
        return Ok(Exit::Success);
    }
    console
        .note(&format!("the key {id} signs nothing any more, in the store {}", console::path(&places.store)));
    if !waiting.is_empty() {
        console.note(&format!(
            "{} runs that it began wait, and cannot go on: {}; `{} cancel RUN --reason TEXT` ends one",
            waiting.len(),
            waiting.join(", "),
            console::program_name(),
        ));
    }
    Ok(Exit::Success)
}

/// The runs that the key began and that are not over.
fn waiting(store: &impl nanohost_store::Records, id: &KeyId) -> anyhow::Result<Vec<String>> {
    let mut waiting = Vec::new();
    for run in store.runs().map_err(store_failure)? {
        if matches!(run.state, nanohost_store::RunState::Closed { .. }) {
            continue;
        }
        let Some(record) = store.load(&run.run).map_err(store_failure)? else { continue };
        let first =
            record.envelopes.first().and_then(|bytes| nanohost_core::dsse::Unverified::parse(bytes).ok());
        if first.is_some_and(|first| first.key_id() == *id) {
            waiting.push(run.run.to_string());
        }
    }
    Ok(waiting)
}

fn has_store(places: &Places) -> anyhow::Result<bool> {
    match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(_) | Err(StoreError::Older { .. }) => Ok(true),
        Err(StoreError::NoStore { .. }) => Ok(false),
        Err(error) => Err(store_failure(error)),
    }
}

/// Everything that somebody needs who trusts this machine.
fn export(output: &Path, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let reader = crate::read_store(places)?;
    let trust = signing::own_trust(places)?;
    let keys = acts::keys(&reader, &trust).map_err(store_failure)?.map_err(|bad| bad.failure())?;
    let mut trusted = KeyTrust::default();
    let mut told: BTreeMap<String, (u64, Option<u64>)> = BTreeMap::new();
    for key in trust.iter() {
        let id = key.key_id();
        let validity = Validity {
            from: keys.introduced.get(&id).map_or(0, |(_, index)| *index),
            until: keys.retired.get(&id).copied(),
        };
        told.insert(id.to_string(), (validity.from, validity.until));
        trusted = trusted.with(key.clone(), validity).with_acts(key.clone(), validity);
    }
    let log = log::own_key(&reader, places)?;
    let log_key = log.as_ref().map(ToString::to_string);
    let mut logs = Vec::new();
    for (log, part) in log::names(&reader, log, &trust)? {
        logs.push(json!({ "key": log.to_string(), "from": part.from, "until": part.until }));
        trusted = trusted.with_log(log, part);
    }
    let text = trusted.to_text()?;
    let io = |error: std::io::Error| Failure::io("export_unwritable", "write", output, &error);
    whole::create(output, |draft| draft.write_all(text.as_bytes())).map_err(io)?;
    if json {
        let keys =
            told.iter().map(|(id, (from, until))| json!({ "keyId": id, "from": from, "until": until }));
        console.json(
            &json!({ "file": output, "calls": keys.collect::<Vec<_>>(), "log": log_key, "logs": logs }),
        )?;
    } else {
        console.note(&format!(
            "{}: {} keys of calls, and that of the log",
            console::path(output),
            told.len()
        ));
    }
    Ok(Exit::Success)
}
