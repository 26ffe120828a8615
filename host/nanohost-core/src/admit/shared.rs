//! What two tools of a program both reach: a way on which one can pass things to the other that no
//! step shows. Read off the table; decides nothing.

use std::path::Path;

use super::plan::{Plan, Row};
use crate::ToolName;
use crate::capability::{Access, FolderGrant, HttpRule};

/// Two tools, and what they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The one that comes first by name.
    pub one: ToolName,
    /// The other.
    pub other: ToolName,
    /// What both reach.
    pub what: SharedThing,
}

/// What two tools can both reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SharedThing {
    /// A namespace: both names stand for one tool.
    Kv(String),
    /// A folder of the host, the inner one where one lies in the other, and which of the two may write
    /// there.
    Folder {
        /// The path on the host.
        path: String,
        /// Whether the first may write.
        one_writes: bool,
        /// Whether the other may.
        other_writes: bool,
    },
    /// A host, with its port.
    Host(String),
}

impl SharedThing {
    /// The word for people and for JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kv(_) => "kv",
            Self::Folder { .. } => "folder",
            Self::Host(_) => "host",
        }
    }

    /// Which one.
    pub fn value(&self) -> &str {
        match self {
            Self::Kv(value) | Self::Host(value) | Self::Folder { path: value, .. } => value,
        }
    }
}

impl Plan {
    /// Every pair of tools that share a namespace, a folder or a host, by their names.
    pub fn shared(&self) -> Vec<Shared> {
        let mut all = Vec::new();
        for (at, one) in self.rows().iter().enumerate() {
            for other in &self.rows()[at + 1..] {
                let mut things = things(one, other);
                things.sort();
                things.dedup();
                all.extend(things.into_iter().map(|what| Shared {
                    one: one.local.clone(),
                    other: other.local.clone(),
                    what,
                }));
            }
        }
        all
    }
}

fn things(one: &Row, other: &Row) -> Vec<SharedThing> {
    let mut things = Vec::new();
    // Namespaces are private to the tool, by its own name.
    if one.tool == other.tool {
        things.extend(one.grants.kv().intersection(other.grants.kv()).cloned().map(SharedThing::Kv));
    }
    for own in one.grants.filesystem() {
        things.extend(other.grants.filesystem().iter().filter_map(|its| folder(own, its)));
    }
    for own in one.grants.http() {
        things.extend(other.grants.http().iter().filter_map(|its| host(own, its)));
        things.extend(other.grants.sockets().iter().filter_map(|socket| address(own, socket)));
    }
    for own in one.grants.sockets() {
        things.extend(other.grants.sockets().get(own).map(|socket| SharedThing::Host(socket.to_string())));
        things.extend(other.grants.http().iter().filter_map(|its| address(its, own)));
    }
    things
}

fn folder(one: &FolderGrant, other: &FolderGrant) -> Option<SharedThing> {
    let inner = if Path::new(&one.host).starts_with(&other.host) {
        one
    } else if Path::new(&other.host).starts_with(&one.host) {
        other
    } else {
        return None;
    };
    let writes = |grant: &FolderGrant| grant.folder.access == Access::Write;
    Some(SharedThing::Folder {
        path: inner.host.clone(),
        one_writes: writes(one),
        other_writes: writes(other),
    })
}

fn host(one: &HttpRule, other: &HttpRule) -> Option<SharedThing> {
    let host = one.host.meet(&other.host)?;
    (one.port == other.port).then(|| SharedThing::Host(format!("{host}:{}", one.port)))
}

/// A socket leads where requests to its address do.
fn address(rule: &HttpRule, socket: &crate::Socket) -> Option<SharedThing> {
    let address = match socket.address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    (rule.host.to_string() == address && rule.port == socket.port)
        .then(|| SharedThing::Host(socket.to_string()))
}
