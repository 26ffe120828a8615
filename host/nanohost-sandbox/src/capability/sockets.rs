//! `wasi:sockets`: TCP connections to the granted addresses. No listening, no UDP, no name lookup.
//! What the network answers and what comes over a connection is recorded; in a replay there is no
//! connection, and the record answers (`tcp`).

mod tcp;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nanohost_core::{Class, Socket};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets as wasi;
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult, UdpSocket, subscribe};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsView as _};

use crate::answering::Answering;
use crate::record::Recorder;
use crate::state::State;
use tcp::{Tcp, view};

/// The sockets of one call.
pub(crate) struct Sockets {
    granted: BTreeSet<Socket>,
    /// What is known of each socket that the guest holds.
    open: HashMap<u32, Open>,
    /// How many there were.
    opened: u32,
    recorder: Recorder,
    answering: Answering,
}

/// A socket that a guest holds.
#[derive(Clone)]
struct Open {
    /// Counted from 0, in the order in which they were opened.
    number: u32,
    ipv6: bool,
    /// The grant that it is connected under.
    scope: Option<Arc<str>>,
}

impl Sockets {
    pub(crate) fn new(granted: &BTreeSet<Socket>, recorder: Recorder, answering: Answering) -> Self {
        Self { granted: granted.clone(), open: HashMap::new(), opened: 0, recorder, answering }
    }

    /// The grant that allows a connection, if one does. Records which it was, or the refusal.
    fn connects(&self, address: SocketAddr) -> Option<Arc<str>> {
        match grant(&self.granted, address) {
            Some(scope) => {
                self.recorder.operation(Class::Sockets, &scope);
                Some(scope.into())
            }
            None => {
                self.recorder.denied(Class::Sockets, "connect", &address.to_string());
                None
            }
        }
    }
}

/// The granted address that an address is, in the grant's spelling.
fn grant(granted: &BTreeSet<Socket>, address: SocketAddr) -> Option<String> {
    // One address must not have two spellings: `::ffff:10.0.0.1` is 10.0.0.1.
    let ip = match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip @ IpAddr::V4(_) => ip,
    };
    let socket = Socket { address: ip, port: address.port() };
    granted.contains(&socket).then(|| SocketAddr::new(ip, address.port()).to_string())
}

/// Every connection first binds a local address; only one of the host's choosing is harmless.
fn binds_nothing(address: SocketAddr) -> bool {
    address.ip().is_unspecified() && address.port() == 0
}

/// Adds the interfaces, where any address is granted.
pub(crate) fn link(linker: &mut Linker<State>, granted: &BTreeSet<Socket>) -> Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    let options = wasi::network::LinkOptions::default();
    wasi::network::add_to_linker::<State, WasiSockets>(linker, &options, State::sockets)?;
    wasi::instance_network::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::ip_name_lookup::add_to_linker::<State, Refused>(linker, refused)?;
    wasi::tcp::add_to_linker::<State, Tcp>(linker, view)?;
    wasi::tcp_create_socket::add_to_linker::<State, Tcp>(linker, view)?;
    wasi::udp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::udp_create_socket::add_to_linker::<State, Refused>(linker, refused)
}

/// What wasmtime's implementation asks before it touches the network: once more what was decided when
/// the guest asked, and nothing at all in a replay.
pub(crate) fn configure(wasi: &mut WasiCtxBuilder, granted: &BTreeSet<Socket>, replays: bool) {
    let granted = granted.clone();
    wasi.allow_tcp(!granted.is_empty() && !replays).allow_udp(false).allow_ip_name_lookup(false);
    wasi.socket_addr_check(move |address, purpose| {
        let allowed = !replays
            && match purpose {
                SocketAddrUse::TcpBind => binds_nothing(address),
                SocketAddrUse::TcpConnect => grant(&granted, address).is_some(),
                _ => false,
            };
        Box::pin(async move { allowed })
    });
}

/// Interfaces that can be imported along with TCP and give nothing: each attempt is recorded.
struct Refused;

impl HasData for Refused {
    type Data<'a> = RefusedView<'a>;
}

struct RefusedView<'a> {
    recorder: &'a Recorder,
    table: &'a mut ResourceTable,
}

fn refused(state: &mut State) -> RefusedView<'_> {
    RefusedView { recorder: &state.sockets.recorder, table: &mut state.table }
}

impl wasi::network::Host for RefusedView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<wasi::network::ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        _error: Resource<wasmtime::Error>,
    ) -> Result<Option<wasi::network::ErrorCode>> {
        Ok(None)
    }
}

impl wasi::network::HostNetwork for RefusedView<'_> {
    fn drop(&mut self, network: Resource<wasi::network::Network>) -> Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl wasi::udp_create_socket::Host for RefusedView<'_> {
    async fn create_udp_socket(
        &mut self,
        _family: wasi::network::IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        self.recorder.denied(Class::Sockets, "udp", "");
        Err(wasi::network::ErrorCode::AccessDenied.into())
    }
}

impl wasi::ip_name_lookup::Host for RefusedView<'_> {
    fn resolve_addresses(
        &mut self,
        _network: Resource<wasi::network::Network>,
        name: String,
    ) -> SocketResult<Resource<wasi::ip_name_lookup::ResolveAddressStream>> {
        self.recorder.denied(Class::Sockets, "lookup", &name);
        Err(wasi::network::ErrorCode::AccessDenied.into())
    }
}

/// No such stream is ever made; one that a guest invents is not in the table.
impl wasi::ip_name_lookup::HostResolveAddressStream for RefusedView<'_> {
    fn resolve_next_address(
        &mut self,
        _stream: Resource<wasi::ip_name_lookup::ResolveAddressStream>,
    ) -> SocketResult<Option<wasi::network::IpAddress>> {
        Err(wasi::network::ErrorCode::AccessDenied.into())
    }

    fn subscribe(
        &mut self,
        stream: Resource<wasi::ip_name_lookup::ResolveAddressStream>,
    ) -> Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<wasi::ip_name_lookup::ResolveAddressStream>) -> Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
