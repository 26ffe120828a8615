//! Where a model's server is, as a policy writes it: a narrow form of URL that no two parsers read
//! differently. Resolves no name and connects to nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer ones are mistakes. DNS names have at most 253 bytes.
const MAX_HOST: usize = 253;
const MAX_PATH: usize = 256;

/// `https://host[:port][/path]`, or with `http`. No user, query, fragment or escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    secure: bool,
    /// Lower case; an IPv6 address without its brackets.
    host: String,
    address: Option<IpAddr>,
    port: u16,
    /// Empty, or `/` and what follows, without a `/` at its end.
    path: String,
}

impl BaseUrl {
    /// Reads a URL; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("it begins with neither https:// nor http://"),
        };
        if rest.contains('@') {
            return Err("it names a user: keys come from `key_env`");
        }
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or("its [ is not closed")?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => read_port(digits).ok_or("its port is not a number from 1 to 65535")?,
            None if port.is_empty() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            None => return Err("something follows its host that is no port"),
        };
        let (host, address) = if authority.starts_with('[') {
            let address: Ipv6Addr = host.parse().map_err(|_| "what stands in [] is no IPv6 address")?;
            (address.to_string(), Some(IpAddr::from(address)))
        } else {
            name(host)?
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        check_path(path)?;
        Ok(Self { secure, host, address, port, path: path.to_owned() })
    }

    /// Whether what is sent is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether what is sent stays on this machine: a loopback address, or the name `localhost`,
    /// which clients must not ask anybody for.
    pub fn is_loopback(&self) -> bool {
        self.address.map_or(self.host == "localhost", |address| address.is_loopback())
    }

    /// `scheme://host:port`, the port always written.
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        match self.address {
            Some(IpAddr::V6(address)) => format!("{scheme}://[{address}]:{}", self.port),
            _ => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }

    /// The URL of something below it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{}/{path}", self.origin(), self.path)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|port| plain && *port > 0)
}

/// A DNS name or an IPv4 address. Other spellings of addresses, `127.1` or `0x7f000001`, are
/// refused: some parsers take them for names and some for addresses.
fn name(text: &str) -> Result<(String, Option<IpAddr>), &'static str> {
    let host = text.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > MAX_HOST || !host.split('.').all(label) {
        return Err("its host is no name of ASCII letters, digits, `-`, `_` and `.`, and no address");
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if !last.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok((host, None));
    }
    let address: Ipv4Addr = host.parse().map_err(|_| "its host looks like an IPv4 address and is none")?;
    Ok((host, Some(address.into())))
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b':'))
    };
    let fits = path.is_empty() || path.len() <= MAX_PATH && path.split('/').skip(1).all(part);
    if fits {
        Ok(())
    } else {
        Err("its path is not plain: letters, digits, `-`, `_`, `.`, `~` and `:` between single slashes")
    }
}

#[cfg(test)]
mod tests;
