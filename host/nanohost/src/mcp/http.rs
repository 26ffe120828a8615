//! The protocol over HTTP: who asks is recognised by a token before anything is read of what they ask, and
//! everything that a peer sends has a bound in size, time and number. It keeps no sessions: each request
//! says all that it needs, so a gateway that starts again answers as before. It speaks no TLS: a reverse
//! proxy before it does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::server::Server;
use super::tokens::{Door, Recognised};
use crate::gateway::{Caller, Gateway};
use crate::{ledger, signals};

/// Where the protocol is spoken.
const PATH: &str = "/mcp";

/// No body is larger, bytes.
const MAX_BODY: usize = 4 << 20;

/// The line of the request and all its headers, bytes.
const MAX_HEAD: usize = 32 << 10;

/// Headers of one request: each is an entry of a map.
const MAX_HEADERS: usize = 100;

/// From a connection's silence to the end of a request's headers.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The whole body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// After the system has no descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests that nobody is recognised by, for each address and second: whoever tries tokens is slowed.
const STRANGERS: f64 = 5.0;

/// Addresses and principals whose pace is remembered; more are forgotten together.
const MAX_PACES: usize = 10_000;

/// Between two looks whether runs that were stopped are over.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

type Body = BoxBody<Bytes, Infallible>;

/// How it is listened.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Where the state of the gateway is told, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Names of this gateway that requests may be for, beside those of this machine.
    pub hosts: Vec<String>,
    /// Pages of browsers that may ask.
    pub origins: Vec<String>,
    /// Connections at one time.
    pub connections: usize,
    /// Requests of one principal, each second.
    pub rate: f64,
    /// How long calls have to end, once the process is asked to.
    pub grace: Duration,
}

/// What stands before a gateway on the network.
struct Gate {
    service: StreamableHttpService<Server, NeverSessionManager>,
    server: Server,
    /// Who may ask; `None`: this machine's own user, as `local`.
    door: Option<Door>,
    local: Caller,
    rate: f64,
    paces: Mutex<HashMap<String, Pace>>,
    stopping: AtomicBool,
}

/// How many requests somebody has left for this moment.
#[derive(Debug, Clone, Copy)]
struct Pace {
    left: f64,
    seen: Instant,
}

/// Serves until the process is asked to end; then calls that go on get their time, and what is not over
/// after it is stopped, with evidence.
///
/// # Errors
/// Where an address cannot be had.
pub async fn serve(
    server: Server,
    door: Option<Door>,
    local: Caller,
    listening: Listening,
    said: impl Fn(SocketAddr, Option<SocketAddr>),
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listening.address).await?;
    let beside = match listening.metrics {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    let address = listener.local_addr()?;
    let told = beside.as_ref().map(TcpListener::local_addr).transpose()?;
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.ip().is_unspecified() {
        hosts.push(address.ip().to_string());
    }
    hosts.extend(listening.hosts.iter().cloned());
    // A page that this machine serves at the same port is the gateway's own; any other one is somebody's.
    let port = address.port();
    let mut origins: Vec<String> =
        ["localhost", "127.0.0.1", "[::1]"].iter().map(|host| format!("http://{host}:{port}")).collect();
    origins.extend(listening.origins.iter().cloned());
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_BODY);
    let each = server.clone();
    let service = StreamableHttpService::new(
        move || Ok(each.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let gateway = Arc::clone(server.gateway());
    let gate = Arc::new(Gate {
        service,
        server,
        door,
        local,
        rate: listening.rate,
        paces: Mutex::default(),
        stopping: AtomicBool::new(false),
    });
    said(address, told);
    if let Some(beside) = beside {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { tell(beside, gate).await });
    }
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &gate, listening.connections, &graceful) => {}
        asked = signals::first() => asked?,
    }
    gate.stopping.store(true, Ordering::Relaxed);
    drop(listener);
    let ended = tokio::time::timeout(listening.grace, graceful.shutdown()).await;
    gateway.stop();
    let over = async {
        while gateway.live() > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    // What does not end in time is found as interrupted, and `recover` says what became of it.
    let _ = tokio::time::timeout(listening.grace, over).await;
    drop(ended);
    Ok(())
}

async fn accept(listener: &TcpListener, gate: &Arc<Gate>, connections: usize, graceful: &GracefulShutdown) {
    let free = Arc::new(Semaphore::new(connections));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // One too many is closed rather than kept waiting: who is inside may be slow on purpose.
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else { continue };
        // Small answers are not kept back to be sent with more.
        let _ = stream.set_nodelay(true);
        let gate = Arc::clone(gate);
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            gate.server.metrics().connected();
            let connection = connection(stream, peer.ip(), Arc::clone(&gate));
            // However it ends, its place is free again.
            let _ = watcher.watch(connection).await;
            gate.server.metrics().disconnected();
            drop(place);
        });
    }
}

fn connection(
    stream: TcpStream,
    peer: IpAddr,
    gate: Arc<Gate>,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>,
> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let gate = Arc::clone(&gate);
                async move {
                    let response = gate.respond(request, peer).await;
                    gate.server.metrics().responded(response.status().as_u16());
                    Ok::<_, Infallible>(response)
                }
            }),
        )
}

impl Gate {
    async fn respond(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        if self.stopping.load(Ordering::Relaxed) {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending");
        }
        if request.uri().path() != PATH {
            return plain(StatusCode::NOT_FOUND, "there is nothing but /mcp here");
        }
        let caller = match self.recognise(&request) {
            Ok(caller) => caller,
            Err(response) => {
                self.server.metrics().unrecognised();
                return match self.paced(&format!("address {peer}"), STRANGERS) {
                    Some(wait) => too_many(wait),
                    None => *response,
                };
            }
        };
        if let Some(wait) = self.paced(&format!("principal {}", caller.principal), self.rate) {
            return too_many(wait);
        }
        let (mut parts, body) = request.into_parts();
        let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 4 MiB");
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the body broke off"),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
        };
        parts.extensions.insert(caller);
        self.service.handle(Request::from_parts(parts, Full::new(body))).await
    }

    /// Who asks, by the token alone.
    fn recognise(&self, request: &Request<Incoming>) -> Result<Caller, Box<Response<Body>>> {
        let Some(door) = &self.door else { return Ok(self.local.clone()) };
        let mut given = request.headers().get_all(AUTHORIZATION).iter();
        let token = match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
            (Some(value), None) => {
                value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            }
            _ => None,
        };
        let unknown = |error: &str| {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            let challenge = format!("Bearer realm=\"nanohost\"{error}");
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            Box::new(response)
        };
        let Some((_, token)) = token else { return Err(unknown("")) };
        match door.recognise(token.trim(), ledger::now()) {
            Recognised::Caller(caller) => Ok(*caller),
            Recognised::Nobody => Err(unknown(", error=\"invalid_token\"")),
            Recognised::Closed(why) => {
                self.server.complain(&why);
                Err(Box::new(plain(StatusCode::SERVICE_UNAVAILABLE, "nobody can be recognised now")))
            }
        }
    }

    /// How long somebody has to wait who asks faster than they may.
    fn paced(&self, who: &str, rate: f64) -> Option<Duration> {
        let now = Instant::now();
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= MAX_PACES && !paces.contains_key(who) {
            paces.clear();
        }
        let most = rate.max(1.0);
        let pace = paces.entry(who.to_owned()).or_insert(Pace { left: most, seen: now });
        pace.left = (pace.left + now.duration_since(pace.seen).as_secs_f64() * rate).min(most);
        pace.seen = now;
        if pace.left >= 1.0 {
            pace.left -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - pace.left) / rate))
    }
}

fn plain(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(words.as_bytes())).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn too_many(wait: Duration) -> Response<Body> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "you ask faster than you may");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    response
}

/// The other listener: whether the process lives, whether it serves, and what it counts.
async fn tell(listener: TcpListener, gate: Arc<Gate>) {
    /// Whoever watches needs a few.
    const CONNECTIONS: usize = 16;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            let serve = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_HEADERS)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request: Request<Incoming>| {
                        let gate = Arc::clone(&gate);
                        async move { Ok::<_, Infallible>(state(&request, &gate).await) }
                    }),
                );
            let _ = tokio::time::timeout(2 * HEAD_TIME, serve).await;
            drop(place);
        });
    }
}

async fn state(request: &Request<Incoming>, gate: &Gate) -> Response<Body> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "this is to be read");
    }
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "alive"),
        "/readyz" => match gate.stopping.load(Ordering::Relaxed) || !readable(gate.server.gateway()).await {
            true => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            false => plain(StatusCode::OK, "ready"),
        },
        "/metrics" => {
            let text = gate.server.metrics().text(gate.server.gateway().live());
            let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics here"),
    }
}

async fn readable(gateway: &Arc<Gateway>) -> bool {
    let gateway = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || gateway.is_readable()).await.unwrap_or(false)
}
