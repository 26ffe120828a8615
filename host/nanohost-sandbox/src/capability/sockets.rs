//! `wasi:sockets`: TCP connections to the granted addresses. No listening, no UDP, no name lookup.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nanohost_core::{Class, Socket};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets as wasi;
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult, UdpSocket, subscribe};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsView as _};

use crate::answering::Answering;
use crate::answers::Entry;
use crate::record::Recorder;
use crate::state::State;

/// Adds the interfaces, where any address is granted.
pub(crate) fn link(linker: &mut Linker<State>, granted: &BTreeSet<Socket>) -> Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    let options = wasi::network::LinkOptions::default();
    wasi::network::add_to_linker::<State, WasiSockets>(linker, &options, State::sockets)?;
    wasi::instance_network::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::ip_name_lookup::add_to_linker::<State, Refused>(linker, refused)?;
    wasi::tcp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::tcp_create_socket::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::udp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::udp_create_socket::add_to_linker::<State, Refused>(linker, refused)
}

/// Sets what the interfaces ask before they touch the network.
pub(crate) fn configure(
    wasi: &mut WasiCtxBuilder,
    granted: &BTreeSet<Socket>,
    recorder: &Recorder,
    answering: &Answering,
) {
    let (granted, recorder, answering) = (granted.clone(), recorder.clone(), answering.clone());
    wasi.allow_tcp(!granted.is_empty()).allow_udp(false).allow_ip_name_lookup(false);
    wasi.socket_addr_check(move |address, purpose| {
        let allowed = allowed(&granted, address, purpose, &recorder);
        // What comes over a connection is not recorded, and a replay makes none.
        let unrecorded = Entry::Unrecorded { class: Class::Sockets.as_str().to_owned() };
        let allowed = match purpose {
            SocketAddrUse::TcpConnect if allowed && answering.is_recorded() => {
                answering.ask(&unrecorded);
                false
            }
            SocketAddrUse::TcpConnect if allowed => {
                answering.tell(unrecorded);
                true
            }
            _ => allowed,
        };
        Box::pin(async move { allowed })
    });
}

fn allowed(
    granted: &BTreeSet<Socket>,
    address: SocketAddr,
    purpose: SocketAddrUse,
    recorder: &Recorder,
) -> bool {
    let operation = match purpose {
        // Every connection first binds a local address; only one of the host's choosing is harmless.
        SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => return true,
        SocketAddrUse::TcpConnect => {
            // One address must not have two spellings: `::ffff:10.0.0.1` is 10.0.0.1.
            let ip = match address.ip() {
                IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
                ip @ IpAddr::V4(_) => ip,
            };
            let socket = Socket { address: ip, port: address.port() };
            if granted.contains(&socket) {
                recorder.operation(Class::Sockets, &SocketAddr::new(ip, address.port()).to_string());
                return true;
            }
            "connect"
        }
        SocketAddrUse::TcpBind => "bind",
        SocketAddrUse::TcpListen => "listen",
        SocketAddrUse::TcpAccept => "accept",
        _ => "udp",
    };
    recorder.denied(Class::Sockets, operation, &address.to_string());
    false
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
    RefusedView { recorder: &state.files.recorder, table: &mut state.table }
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
