//! TCP sockets of a guest: wasmtime's, recorded, or those of a record, behind which is nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use nanohost_core::Class;
use wasmtime::Result;
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{
    self, ErrorCode, HostNetwork, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self, HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, SocketError, SocketResult, TcpSocket, subscribe,
};
use wasmtime_wasi::sockets::WasiSocketsCtxView;

use super::{Open, Sockets, binds_nothing};
use crate::answers::{Entry, Pieces, Sent, TcpAnswer, TcpTold};
use crate::capability::stream::{self, Absent, Owner, Read, Written};
use crate::state::State;

pub(super) struct Tcp;

impl HasData for Tcp {
    type Data<'a> = View<'a>;
}

pub(super) struct View<'a> {
    wasi: WasiSocketsCtxView<'a>,
    sockets: &'a mut Sockets,
}

pub(super) fn view(state: &mut State) -> View<'_> {
    View {
        wasi: WasiSocketsCtxView { ctx: state.wasi.sockets(), table: &mut state.table },
        sockets: &mut state.sockets,
    }
}

/// An answer that a record can hold.
trait Telling: Sized {
    fn form(&self) -> TcpTold;

    /// `None` where the form is that of another answer.
    fn read(told: TcpTold) -> Option<Self>;
}

macro_rules! telling {
    ($type:ty, $self:ident => $form:expr, $pattern:pat => $read:expr) => {
        impl Telling for $type {
            fn form(&self) -> TcpTold {
                let $self = self;
                $form
            }

            fn read(told: TcpTold) -> Option<Self> {
                match told {
                    $pattern => $read,
                    _ => None,
                }
            }
        }
    };
}

telling!((), _this => TcpTold::Done, TcpTold::Done => Some(()));
telling!(bool, this => TcpTold::Is(*this), TcpTold::Is(is) => Some(is));
telling!(u64, this => TcpTold::Count(*this), TcpTold::Count(count) => Some(count));
telling!(u32, this => TcpTold::Count(u64::from(*this)), TcpTold::Count(count) => count.try_into().ok());
telling!(u8, this => TcpTold::Count(u64::from(*this)), TcpTold::Count(count) => count.try_into().ok());
telling!(
    IpSocketAddress,
    this => TcpTold::Address((*this).into()),
    TcpTold::Address(address) => Some(address.into())
);

const CODES: [(ErrorCode, &str); 21] = [
    (ErrorCode::Unknown, "unknown"),
    (ErrorCode::AccessDenied, "access-denied"),
    (ErrorCode::NotSupported, "not-supported"),
    (ErrorCode::InvalidArgument, "invalid-argument"),
    (ErrorCode::OutOfMemory, "out-of-memory"),
    (ErrorCode::Timeout, "timeout"),
    (ErrorCode::ConcurrencyConflict, "concurrency-conflict"),
    (ErrorCode::NotInProgress, "not-in-progress"),
    (ErrorCode::WouldBlock, "would-block"),
    (ErrorCode::InvalidState, "invalid-state"),
    (ErrorCode::NewSocketLimit, "new-socket-limit"),
    (ErrorCode::AddressNotBindable, "address-not-bindable"),
    (ErrorCode::AddressInUse, "address-in-use"),
    (ErrorCode::RemoteUnreachable, "remote-unreachable"),
    (ErrorCode::ConnectionRefused, "connection-refused"),
    (ErrorCode::ConnectionReset, "connection-reset"),
    (ErrorCode::ConnectionAborted, "connection-aborted"),
    (ErrorCode::DatagramTooLarge, "datagram-too-large"),
    (ErrorCode::NameUnresolvable, "name-unresolvable"),
    (ErrorCode::TemporaryResolverFailure, "temporary-resolver-failure"),
    (ErrorCode::PermanentResolverFailure, "permanent-resolver-failure"),
];

fn name(code: ErrorCode) -> &'static str {
    CODES.iter().find(|(known, _)| *known == code).map_or("unknown", |(_, name)| name)
}

/// The name of a connection's error.
fn name_of(error: &wasmtime::Error) -> &'static str {
    match (error.downcast_ref::<ErrorCode>(), error.downcast_ref::<std::io::Error>()) {
        (Some(code), _) => name(*code),
        (None, Some(error)) => name(error.into()),
        (None, None) => "unknown",
    }
}

/// The record has no answer: the call ends.
fn not_recorded() -> SocketError {
    SocketError::trap(wasmtime::format_err!("the record has no answer"))
}

impl View<'_> {
    fn replays(&self) -> bool {
        self.sockets.answering.is_recorded()
    }

    fn open(&self, socket: &Resource<TcpSocket>) -> SocketResult<&Open> {
        self.sockets.open.get(&socket.rep()).ok_or_else(not_recorded)
    }

    /// Asks a question of a socket: the system, whose answer is recorded, or the record.
    fn asked<T: Telling>(
        &mut self,
        this: Resource<TcpSocket>,
        (ask, with): (&str, String),
        system: impl FnOnce(&mut WasiSocketsCtxView<'_>, Resource<TcpSocket>) -> SocketResult<T>,
    ) -> SocketResult<T> {
        let asked = question(self.open(&this)?.number, ask, with);
        if self.replays() {
            return self.recorded(asked);
        }
        let result = system(&mut self.wasi, this);
        self.tell(asked, &result, T::form);
        result
    }

    /// Records the answer of the system to a question.
    fn tell<T>(&self, asked: TcpAnswer, result: &SocketResult<T>, form: impl FnOnce(&T) -> TcpTold) {
        let told = match result {
            Ok(value) => Some(form(value)),
            // Without a code the host itself failed, which ends the call.
            Err(error) => error.downcast_ref().map(|code| TcpTold::Failed(name(*code).to_owned())),
        };
        if let Some(told) = told {
            self.sockets.answering.tell(Entry::Tcp(TcpAnswer { told, ..asked }));
        }
    }

    /// The answer that the record has to a question.
    fn recorded<T: Telling>(&self, asked: TcpAnswer) -> SocketResult<T> {
        let asked = Entry::Tcp(asked);
        let Some((_, Entry::Tcp(TcpAnswer { told, .. }))) = self.sockets.answering.ask(&asked) else {
            return Err(not_recorded());
        };
        let told = match told {
            TcpTold::Failed(name) => {
                CODES.iter().find(|(_, known)| *known == name).map(|(code, _)| Err((*code).into()))
            }
            told => T::read(told).map(Ok),
        };
        told.unwrap_or_else(|| {
            self.sockets.answering.impossible(&asked);
            Err(not_recorded())
        })
    }

    /// Whose the streams of a connection are.
    fn owner(&self, scope: Arc<str>) -> Owner {
        Owner {
            class: Class::Sockets,
            scope,
            room: None,
            name: name_of,
            recorder: self.sockets.recorder.clone(),
            answering: self.sockets.answering.clone(),
        }
    }
}

/// What a guest asks of a socket, for the record.
fn question(socket: u32, ask: &str, with: String) -> TcpAnswer {
    TcpAnswer { ask: ask.to_owned(), socket, with, told: TcpTold::Done }
}

/// As wasmtime has it; the errors of all these interfaces go through it.
impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        self.wasi.network_error_code(error)
    }
}

impl HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<Network>) -> Result<()> {
        HostNetwork::drop(&mut self.wasi, network)
    }
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let ipv6 = family == IpAddressFamily::Ipv6;
        let number = self.sockets.opened;
        let asked = question(number, "open", if ipv6 { "ipv6" } else { "ipv4" }.to_owned());
        let socket = if self.replays() {
            // Where the guest held as many handles as it may, the call ended before it was answered.
            let absent = self.wasi.table.push(Absent)?;
            self.recorded::<()>(asked)?;
            Resource::new_own(absent.rep())
        } else {
            let created = tcp_create_socket::Host::create_tcp_socket(&mut self.wasi, family);
            self.tell(asked, &created, |_| TcpTold::Done);
            created?
        };
        self.sockets.opened = number.saturating_add(1);
        self.sockets.open.insert(socket.rep(), Open { number, ipv6, scope: None });
        Ok(socket)
    }
}

impl tcp::Host for View<'_> {}

/// Questions and settings that the network answers.
macro_rules! asks {
    ($($name:ident $word:literal ($($arg:ident: $type:ty)?) -> $answer:ty;)*) => {
        $(fn $name(&mut self, this: Resource<TcpSocket> $(, $arg: $type)?) -> SocketResult<$answer> {
            let with = String::new() $(+ &$arg.to_string())?;
            self.asked(this, ($word, with), |wasi, this| wasi.$name(this $(, $arg)?))
        })*
    };
}

impl HostTcpSocket for View<'_> {
    asks! {
        finish_bind "bound" () -> ();
        local_address "local-address" () -> IpSocketAddress;
        remote_address "remote-address" () -> IpSocketAddress;
        set_listen_backlog_size "set-listen-backlog-size" (value: u64) -> ();
        keep_alive_enabled "keep-alive-enabled" () -> bool;
        set_keep_alive_enabled "set-keep-alive-enabled" (value: bool) -> ();
        keep_alive_idle_time "keep-alive-idle-time" () -> u64;
        set_keep_alive_idle_time "set-keep-alive-idle-time" (value: u64) -> ();
        keep_alive_interval "keep-alive-interval" () -> u64;
        set_keep_alive_interval "set-keep-alive-interval" (value: u64) -> ();
        keep_alive_count "keep-alive-count" () -> u32;
        set_keep_alive_count "set-keep-alive-count" (value: u32) -> ();
        hop_limit "hop-limit" () -> u8;
        set_hop_limit "set-hop-limit" (value: u8) -> ();
        receive_buffer_size "receive-buffer-size" () -> u64;
        set_receive_buffer_size "set-receive-buffer-size" (value: u64) -> ();
        send_buffer_size "send-buffer-size" () -> u64;
        set_send_buffer_size "set-send-buffer-size" (value: u64) -> ();
    }

    async fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(local);
        if !binds_nothing(address) {
            self.sockets.recorder.denied(Class::Sockets, "bind", &address.to_string());
            return Err(ErrorCode::AccessDenied.into());
        }
        let asked = question(self.open(&this)?.number, "bind", String::new());
        if self.replays() {
            return self.recorded(asked);
        }
        let result = self.wasi.start_bind(this, network, local).await;
        self.tell(asked, &result, Telling::form);
        result
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(remote);
        let Some(scope) = self.sockets.connects(address) else {
            return Err(ErrorCode::AccessDenied.into());
        };
        if let Some(open) = self.sockets.open.get_mut(&this.rep()) {
            open.scope = Some(scope);
        }
        let with = address.to_string();
        self.asked(this, ("connect", with), |wasi, this| wasi.start_connect(this, network, remote))
    }

    fn finish_connect(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let Open { number, scope, .. } = self.open(&this)?.clone();
        let owner = self.owner(scope.clone().unwrap_or_default());
        let asked = question(number, "connected", String::new());
        let receive = Entry::Receive { socket: number, stream: Pieces::default() };
        let send = Entry::Send { socket: number, sent: Sent::nothing(), permits: Vec::new(), end: None };
        let (input, output): (DynInputStream, DynOutputStream) = if self.replays() {
            self.recorded::<()>(asked)?;
            let what = scope.as_deref().unwrap_or_default().to_owned();
            let input = stream::reading(&receive, what.clone(), owner.clone());
            let output = stream::writing(&send, what, owner);
            (input.ok_or_else(not_recorded)?, output.ok_or_else(not_recorded)?)
        } else {
            let connected = self.wasi.finish_connect(Resource::new_borrow(this.rep()));
            self.tell(asked, &connected, |_| TcpTold::Done);
            let (input, output) = connected?;
            let (input, output) = (self.wasi.table.delete(input)?, self.wasi.table.delete(output)?);
            (Box::new(Read::new(input, receive, owner.clone())), Box::new(Written::new(output, send, owner)))
        };
        Ok((self.wasi.table.push_child(input, &this)?, self.wasi.table.push_child(output, &this)?))
    }

    async fn start_listen(&mut self, _this: Resource<TcpSocket>) -> SocketResult<()> {
        self.sockets.recorder.denied(Class::Sockets, "listen", "");
        Err(ErrorCode::AccessDenied.into())
    }

    fn finish_listen(&mut self, _this: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        Err(ErrorCode::InvalidState.into())
    }

    fn is_listening(&mut self, _this: Resource<TcpSocket>) -> Result<bool> {
        Ok(false)
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> Result<IpAddressFamily> {
        let open = self.sockets.open.get(&this.rep());
        let ipv6 = open.is_some_and(|open| open.ipv6);
        Ok(if ipv6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 })
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> Result<Resource<DynPollable>> {
        if self.replays() {
            return subscribe(self.wasi.table, Resource::<Absent>::new_borrow(this.rep()));
        }
        self.wasi.subscribe(this)
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        let with = match how {
            ShutdownType::Receive => "receive",
            ShutdownType::Send => "send",
            ShutdownType::Both => "both",
        };
        self.asked(this, ("shutdown", with.to_owned()), |wasi, this| wasi.shutdown(this, how))
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> Result<()> {
        self.sockets.open.remove(&this.rep());
        if self.replays() {
            self.wasi.table.delete(Resource::<Absent>::new_own(this.rep()))?;
            return Ok(());
        }
        HostTcpSocket::drop(&mut self.wasi, this)
    }
}
