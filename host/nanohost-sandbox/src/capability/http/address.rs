//! Where an address lies. Knows no name, no rule and no connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who is behind an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anybody's server.
    Public,
    /// This machine, or the operator's own network: only where a policy says so.
    Private,
    /// What no name leads to by right: link-local addresses, the metadata services of clouds,
    /// multicast, addresses that stand for another one. Only where a policy names the address itself.
    Named,
}

/// What `address` reaches. IPv4 in IPv6 clothes reaches what the IPv4 address does, or less.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Metadata services that lie outside of the link-local range.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Named;
    }
    match address.octets() {
        // Loopback, RFC 1918, and carrier-grade NAT (RFC 6598).
        [127 | 10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Reach::Private,
        // This network; link-local; IETF protocols; documentation; 6to4 relays; benchmarks; multicast,
        // reserved and broadcast (RFC 6890).
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Named,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return reach_v4(mapped);
    }
    if address.is_loopback() {
        return Reach::Private;
    }
    if METADATA_V6.contains(&address) {
        return Reach::Named;
    }
    match address.segments() {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056): a relay turns them into an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            match reach_v4(Ipv4Addr::new(a, b, c, d)) {
                Reach::Public => Reach::Public,
                Reach::Private | Reach::Named => Reach::Named,
            }
        }
        // Teredo, ORCHID and other protocols of RFC 2928; documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Named,
        // Unique local (RFC 4193).
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // The only range that is anybody's (RFC 4291).
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Named,
    }
}

#[cfg(test)]
mod tests;
