//! The keys that sign for this user: which one it is, and what opens it. Keys are files of the store's
//! crate; a passphrase comes from a file or, where somebody sits there, from their hands, and is never
//! an argument.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostic, KeyError, KeyId, MAX_PEM, PublicKey, Signer, TrustRoot};
use nanohost_store::{
    MadeKey, MadeKeys, StoreError, development_key, development_public_key, read_passphrase,
};
use zeroize::Zeroizing;

use crate::console;
use crate::failure::Failure;
use crate::project::{Places, read_bounded};
use crate::{store_failure, unseen};

/// The file of the passphrase of the key that signs.
const PASSPHRASE_FILE: &str = "NANOHOST_KEY_PASSPHRASE_FILE";

/// A shorter passphrase is found by trying, whatever trying costs.
const SHORTEST: usize = 8;

/// No passphrase is longer, bytes: a larger file is another one.
pub const LONGEST: usize = 1024;

/// A key, opened.
pub struct Signing {
    /// The key.
    pub signer: Signer,
    /// Whether nobody made it: the first local run did.
    pub development: bool,
    /// The files of its halves.
    pub private: PathBuf,
    /// See [`Signing::private`].
    pub public: PathBuf,
    /// Whether this call made it.
    pub created: bool,
}

/// The key that signs now; the development key is made where there is none.
pub fn current(places: &Places) -> anyhow::Result<Signing> {
    current_by(None, places)
}

/// The same, with the file of its passphrase.
pub fn current_by(file: Option<&Path>, places: &Places) -> anyhow::Result<Signing> {
    match MadeKeys::at(&places.keys()).current().map_err(store_failure)? {
        Some(key) => made(&key, file),
        None => {
            let key = development_key(&places.keys()).map_err(store_failure)?;
            let nanohost_store::DevelopmentKey { signer, private, public, created } = key;
            Ok(Signing { signer, development: true, private, public, created })
        }
    }
}

/// The key of that name; `None` where it is not this user's.
pub fn named(id: &KeyId, places: &Places) -> anyhow::Result<Option<Signing>> {
    if let Some(key) = MadeKeys::at(&places.keys()).get(id).map_err(store_failure)? {
        return made(&key, None).map(Some);
    }
    match development_public_key(&places.keys()).map_err(store_failure)? {
        Some(key) if key.key_id() == *id => {
            let key = development_key(&places.keys()).map_err(store_failure)?;
            let nanohost_store::DevelopmentKey { signer, private, public, created } = key;
            Ok(Some(Signing { signer, development: true, private, public, created }))
        }
        _ => Ok(None),
    }
}

/// All keys that sign, or signed, for this user. Makes none.
pub fn public_keys(places: &Places) -> Result<Vec<PublicKey>, StoreError> {
    let mut keys: Vec<PublicKey> = development_public_key(&places.keys())?.into_iter().collect();
    keys.extend(MadeKeys::at(&places.keys()).all()?.into_iter().map(|key| key.public));
    Ok(keys)
}

/// The file of a public key of this user's, to hand to whoever verifies.
pub fn public_file(id: &KeyId, places: &Places) -> Result<PathBuf, StoreError> {
    let made = MadeKeys::at(&places.keys()).get(id)?;
    Ok(made.map_or_else(|| places.keys().join(nanohost_store::PUBLIC_KEY_FILE), |key| key.public_file))
}

/// The public half of the key that signs now; `None` where there is none yet. Makes and opens none.
pub fn current_public(places: &Places) -> Result<Option<PublicKey>, StoreError> {
    match MadeKeys::at(&places.keys()).current()? {
        Some(key) => Ok(Some(key.public)),
        None => development_public_key(&places.keys()),
    }
}

/// Opens a key that somebody made.
pub fn made(key: &MadeKey, file: Option<&Path>) -> anyhow::Result<Signing> {
    let pem = key.pem().map_err(store_failure)?;
    let path = console::path(&key.private_file);
    let bad = |error: &KeyError| {
        let (code, help) = match error {
            KeyError::Passphrase => (
                "key_passphrase_wrong",
                format!("type it again, or look into the file that {PASSPHRASE_FILE} names"),
            ),
            _ => ("key_unreadable", "restore the file from its backup".to_owned()),
        };
        Failure::usage(Diagnostic::error(code, format!("{path}: {error}")).help(help))
    };
    let signer = if Signer::is_encrypted(&pem) {
        let passphrase = passphrase(file, &format!("passphrase of the key {}: ", key.public.key_id()))?;
        Signer::from_encrypted_pem(&pem, &passphrase).map_err(|error| bad(&error))?
    } else {
        Signer::from_pkcs8_pem(&pem).map_err(|error| bad(&error))?
    };
    if *signer.public() != key.public {
        let message = format!("{path} is not the private key of {}", console::path(&key.public_file));
        return Err(Failure::usage(
            Diagnostic::error("key_unreadable", message).help("restore both files from one backup"),
        ));
    }
    Ok(Signing {
        signer,
        development: false,
        private: key.private_file.clone(),
        public: key.public_file.clone(),
        created: false,
    })
}

/// The passphrase for a new key: that of the file, else of the environment's.
pub fn passphrase_of_new_key(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    new_passphrase(given(file)?, "passphrase of the new key: ")
}

/// The private key of a file, PKCS#8 PEM. The environment names the passphrase that it is under.
pub fn of_file(file: &Path) -> anyhow::Result<Signer> {
    let bytes = read_bounded(file, MAX_PEM as u64).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| Failure::io("unreadable_file", "read the key", file, &error))?;
    let bad = |error: KeyError| {
        let (code, help) = match error {
            KeyError::Passphrase => {
                ("key_passphrase_wrong", "type it again, or look into the file that holds it")
            }
            _ => ("key_unreadable", "name a private Ed25519 key, PKCS#8 in PEM form"),
        };
        let message = format!("{}: {error}", console::path(file));
        Failure::usage(Diagnostic::error(code, message).help(help))
    };
    let pem = std::str::from_utf8(&bytes).map_err(|_| bad(KeyError::NotPrivate))?;
    if Signer::is_encrypted(pem) {
        let passphrase = passphrase(None, &format!("passphrase of {}: ", console::path(file)))?;
        return Signer::from_encrypted_pem(pem, &passphrase).map_err(bad);
    }
    Signer::from_pkcs8_pem(pem).map_err(bad)
}

/// Another passphrase for a key. The environment names the one that it has.
pub fn another_passphrase(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    new_passphrase(file.map(read).transpose()?, "new passphrase: ")
}

/// What was given, else typed twice.
fn new_passphrase(given: Option<Zeroizing<String>>, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let typed = |prompt: &str| unseen::typed(prompt, LONGEST).map_err(untyped);
    let first = match given {
        Some(passphrase) => passphrase,
        None => {
            if !is_somebody_there() {
                let message = "the key is to be kept under a new passphrase, and nobody is there to type it";
                let help = "name a file of your own that holds it, with mode 600, with --passphrase-file; `--plain` keeps \
                            the key without one";
                return Err(Failure::usage(Diagnostic::error("key_passphrase_missing", message).help(help)));
            }
            let first = typed(prompt)?;
            if *first != *typed("once more: ")? {
                let finding = Diagnostic::error("key_passphrase_weak", "what was typed twice differs");
                return Err(Failure::usage(finding.help("try again")));
            }
            first
        }
    };
    if first.chars().count() < SHORTEST || first.len() > LONGEST {
        let message = format!("a passphrase has {SHORTEST} characters at least, and {LONGEST} bytes at most");
        let help = "several words are easy to remember; `--plain` keeps the key without one";
        return Err(Failure::usage(Diagnostic::error("key_passphrase_weak", message).help(help)));
    }
    Ok(first)
}

fn passphrase(file: Option<&Path>, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    match given(file)? {
        Some(passphrase) => Ok(passphrase),
        None if is_somebody_there() => unseen::typed(prompt, LONGEST).map_err(untyped),
        None => {
            let message = "the key that signs is under a passphrase, and nobody is there to type it";
            let help = format!("name a file of your own that holds it, with mode 600, in {PASSPHRASE_FILE}");
            Err(Failure::usage(Diagnostic::error("key_passphrase_missing", message).help(help)))
        }
    }
}

/// What a file says: the one that is named, else that of the environment.
fn given(file: Option<&Path>) -> anyhow::Result<Option<Zeroizing<String>>> {
    let named = std::env::var_os(PASSPHRASE_FILE).filter(|name| !name.is_empty()).map(PathBuf::from);
    match file.map(Path::to_owned).or(named) {
        Some(file) => read(&file).map(Some),
        None => Ok(None),
    }
}

fn read(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    read_passphrase(file).map_err(store_failure)
}

fn is_somebody_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn untyped(error: std::io::Error) -> anyhow::Error {
    let message = format!("the passphrase could not be read: {error}");
    Failure::usage(Diagnostic::error("key_passphrase_missing", message))
}

/// The keys that sign, or signed, for this user.
///
/// # Errors
/// `no_trust` where there is none.
pub fn own_trust(places: &Places) -> anyhow::Result<TrustRoot> {
    let keys = public_keys(places).map_err(store_failure)?;
    if keys.is_empty() {
        let message =
            format!("there is no key in {}, so nothing can be trusted by default", places.keys().display());
        let help = "name the public key that may sign with --trust FILE";
        return Err(Failure::usage(Diagnostic::error("no_trust", message).help(help)));
    }
    // All of one user: each may sign acts about the runs of the others.
    Ok(TrustRoot::new(keys.clone()).with_acts(keys))
}
