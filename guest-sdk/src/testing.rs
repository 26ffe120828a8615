//! The host in a native test: `cargo test` on the author's own machine calls the tool as plain
//! Rust, and these serve what it asks for. Each thread, so each test, has a world of its own.
//!
//! It answers like the host, but it grants everything: whether a namespace or folder is granted
//! is a matter of manifest and policy, and shown by a run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::log::Level;

/// What the host has for this thread.
struct World {
    kv: BTreeMap<(String, String), Vec<u8>>,
    lines: Vec<(Level, String)>,
    folders: BTreeMap<String, PathBuf>,
    secrets: BTreeMap<String, String>,
    #[cfg(feature = "http")]
    server: Option<std::rc::Rc<Server>>,
    idempotency_key: String,
    attempt: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            kv: BTreeMap::new(),
            lines: Vec::new(),
            folders: BTreeMap::new(),
            secrets: BTreeMap::new(),
            #[cfg(feature = "http")]
            server: None,
            idempotency_key: "test".to_owned(),
            attempt: 1,
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Forgets everything this thread's tests left behind.
pub fn reset() {
    WORLD.with_borrow_mut(|world| *world = World::default());
}

/// Lets the guest path `guest` (such as `/data`) stand for `folder`.
pub fn mount(guest: &str, folder: impl AsRef<Path>) {
    WORLD.with_borrow_mut(|world| world.folders.insert(guest.to_owned(), folder.as_ref().to_owned()));
}

/// Lets `placeholder` stand for the secret `name`.
pub fn keep_secret(name: &str, placeholder: &str) {
    WORLD.with_borrow_mut(|world| world.secrets.insert(name.to_owned(), placeholder.to_owned()));
}

/// Answers requests over HTTP.
#[cfg(feature = "http")]
type Server = dyn Fn(&crate::http::Request) -> crate::http::Response;

/// Lets `server` answer every request of the tool. Without it nobody can be reached.
#[cfg(feature = "http")]
pub fn serve(server: impl Fn(&crate::http::Request) -> crate::http::Response + 'static) {
    WORLD.with_borrow_mut(|world| world.server = Some(std::rc::Rc::new(server)));
}

/// What the tool is told about its call.
pub fn set_call(idempotency_key: &str, attempt: u32) {
    WORLD.with_borrow_mut(|world| {
        world.idempotency_key = idempotency_key.to_owned();
        world.attempt = attempt;
    });
}

/// The lines that were logged, oldest first.
pub fn lines() -> Vec<(Level, String)> {
    WORLD.with_borrow(|world| world.lines.clone())
}

pub(crate) fn mounted(guest: &str) -> Option<PathBuf> {
    WORLD.with_borrow(|world| {
        world.folders.iter().find_map(|(folder, host)| {
            let rest = guest.strip_prefix(folder.as_str())?;
            match rest.strip_prefix('/') {
                Some(rest) => Some(host.join(rest)),
                None => rest.is_empty().then(|| host.clone()),
            }
        })
    })
}

pub(crate) mod call_context {
    use super::WORLD;

    pub(crate) fn idempotency_key() -> String {
        WORLD.with_borrow(|world| world.idempotency_key.clone())
    }

    pub(crate) fn attempt() -> u32 {
        WORLD.with_borrow(|world| world.attempt)
    }
}

#[cfg(feature = "http")]
pub(crate) mod http {
    use super::WORLD;
    use crate::http::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        // The server may look at the world itself.
        let server = WORLD.with_borrow(|world| world.server.clone()).ok_or(Error::Unreachable)?;
        Ok(server(request))
    }
}

pub(crate) mod secrets {
    use super::WORLD;
    use crate::secrets::NotGranted;

    pub(crate) fn placeholder(name: &str) -> Result<String, NotGranted> {
        WORLD.with_borrow(|world| world.secrets.get(name).cloned()).ok_or(NotGranted)
    }
}

pub(crate) mod log {
    use super::{Level, WORLD};

    pub(crate) fn log(level: Level, message: &str) {
        WORLD.with_borrow_mut(|world| world.lines.push((level, message.to_owned())));
    }
}

pub(crate) mod kv {
    use super::WORLD;
    use crate::kv::Error;

    // The host's own bounds, as `kv.wit` states them.
    const MAX_KEY: usize = 512;
    const MAX_VALUE: usize = 1 << 20;
    const MAX_KEYS: usize = 1_000;

    fn place(namespace: &str, key: &str) -> Result<(String, String), Error> {
        if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
            return Err(Error::InvalidKey);
        }
        Ok((namespace.to_owned(), key.to_owned()))
    }

    pub(crate) fn get(namespace: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let place = place(namespace, key)?;
        Ok(WORLD.with_borrow(|world| world.kv.get(&place).cloned()))
    }

    pub(crate) fn set(namespace: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        let place = place(namespace, key)?;
        if value.len() > MAX_VALUE {
            return Err(Error::TooLarge);
        }
        WORLD.with_borrow_mut(|world| world.kv.insert(place, value.to_vec()));
        Ok(())
    }

    pub(crate) fn set_new(namespace: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        if get(namespace, key)?.is_some() {
            return Err(Error::AlreadyExists);
        }
        set(namespace, key, value)
    }

    pub(crate) fn delete(namespace: &str, key: &str) -> Result<bool, Error> {
        let place = place(namespace, key)?;
        Ok(WORLD.with_borrow_mut(|world| world.kv.remove(&place).is_some()))
    }

    pub(crate) fn list_keys(
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let limit = usize::try_from(limit).unwrap_or(MAX_KEYS).min(MAX_KEYS);
        Ok(WORLD.with_borrow(|world| {
            world
                .kv
                .keys()
                .filter(|(space, key)| {
                    space == namespace
                        && key.starts_with(prefix)
                        && after.is_none_or(|after| key.as_str() > after)
                })
                .take(limit)
                .map(|(_, key)| key.clone())
                .collect()
        }))
    }
}

#[cfg(test)]
mod tests;
