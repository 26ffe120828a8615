//! `wasi:http`: requests that a rule of the grant allows. What is sent is what was held against the
//! rules; where it goes is decided once and stays so for the call. Knows one call, and nothing of
//! what a guest does with an answer: a redirect is an answer, and following it is another request.

mod address;
mod exchange;
mod failure;
mod network;
mod replayed;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ::http::HeaderMap;
use ::http::header::{self, HeaderName};
use nanohost_core::{Class, HttpRule, HttpTarget, Limits};
use wasmtime::Result;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::p2::HttpResult;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{self, ErrorCode};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use super::secrets::{Misplaced, Secrets};
use crate::answering::{Answering, At};
use crate::answers::{Entry, HostTold};
use crate::halt::Halt;
use crate::record::Recorder;
use crate::report::FaultCode;
use crate::state::State;

use address::{Reach, reach};
pub use network::{CertificateError, Network, Resolver, StandIn, StoodIn};

/// Headers of one request or answer as they are held in memory. The engine's own bound, times all
/// handles that a guest may have, would be more than the guest's memory; bytes.
const MAX_FIELDS: usize = 16 << 10;

/// What a guest may write into a body at once, for the same reason; bytes.
const BODY_CHUNK: usize = 64 << 10;

/// Headers that speak of the connection, which is the host's, and those that make two readers see
/// different requests (RFC 9110, 7.6.1).
const CONNECTION_HEADERS: [HeaderName; 11] = [
    header::CONNECTION,
    header::EXPECT,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Adds the interfaces, where any request is granted. `wasi:http/incoming-handler` is not among
/// them: a tool is called, it does not serve.
pub(crate) fn link(linker: &mut Linker<State>, granted: &BTreeSet<HttpRule>) -> Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    let options = types::LinkOptions::default();
    types::add_to_linker::<State, WasiHttp>(linker, &options, State::http)?;
    // Not the engine's own, which sends whatever it is given.
    linker.instance(OUTGOING_HANDLER)?.func_wrap("handle", |mut store, (request, options)| {
        match handle(store.data_mut(), request, options) {
            Ok(answer) => Ok((Ok::<_, ErrorCode>(answer),)),
            Err(error) => Ok((Err(error.downcast()?),)),
        }
    })
}

/// Serves every compatible version.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http.hooks, table: &mut self.table, ctx: &mut self.http.context }
    }
}

/// HTTP of one call.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl Http {
    pub(crate) fn new(
        granted: &BTreeSet<HttpRule>,
        limits: Limits,
        network: Network,
        deadline: Instant,
        secrets: Secrets,
        recorder: Recorder,
        (halt, answering): (Halt, Answering),
    ) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MAX_FIELDS);
        let client = Client {
            rules: granted.clone(),
            network,
            deadline,
            secrets,
            recorder,
            calls: AtomicU64::new(limits.http_calls),
            bytes: AtomicU64::new(limits.http_bytes),
            pins: tokio::sync::Mutex::default(),
            halt,
            answering,
            sending: Mutex::default(),
        };
        Self { context, hooks: Hooks { client: Arc::new(client), next: None } }
    }

    /// In a replay: waits until everything is read that the guest sent along with its requests. It
    /// must be gone, or it could send more.
    pub(crate) async fn finish(self) {
        let sending =
            std::mem::take(&mut *self.hooks.client.sending.lock().unwrap_or_else(PoisonError::into_inner));
        for sending in sending {
            sending.await;
        }
    }
}

/// What all requests of a call share.
struct Client {
    rules: BTreeSet<HttpRule>,
    network: Network,
    deadline: Instant,
    secrets: Secrets,
    recorder: Recorder,
    /// Requests that may still be made.
    calls: AtomicU64,
    /// Bytes that may still go either way.
    bytes: AtomicU64,
    /// Where each name leads, for as long as the call lasts: who answers for a name cannot give one
    /// answer to be judged and another to be used.
    pins: tokio::sync::Mutex<HashMap<String, Vec<IpAddr>>>,
    halt: Halt,
    answering: Answering,
    /// In a replay: what reads the bodies that nobody is sent.
    sending: Mutex<Vec<AbortOnDropJoinHandle<()>>>,
}

/// A request that a rule allows.
struct Allowed {
    target: HttpTarget,
    rule: HttpRule,
}

impl Client {
    /// Holds a request against the rules. The error is what the guest gets to see of a refusal.
    fn judge(&self, request: &HostOutgoingRequest) -> std::result::Result<Allowed, ErrorCode> {
        let method = method(&request.method);
        let scheme = match &request.scheme {
            Some(types::Scheme::Http) => "http",
            Some(types::Scheme::Https) | None => "https",
            Some(types::Scheme::Other(other)) => other,
        };
        let authority = request.authority.as_deref().unwrap_or_default();
        let path = request.path_with_query.as_deref().unwrap_or("/");
        for part in [method, authority, path] {
            self.secrets.within(part.as_bytes()).map_err(|misplaced| self.misplaced(&misplaced, "url"))?;
        }
        let target = HttpTarget::parse(method, scheme, authority, path).map_err(|bad| {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            self.denied("url", &format!("{method} {scheme}://{authority}{path}: {bad}"));
            ErrorCode::HttpRequestDenied
        })?;
        self.secrets
            .judge(&request.headers, &target)
            .map_err(|misplaced| self.misplaced(&misplaced, "header"))?;
        let matching = || self.rules.iter().filter(|rule| rule.matches(&target));
        let Some(rule) = matching().find(|rule| rule.private).or_else(|| matching().next()) else {
            self.denied("request", &target.to_string());
            return Err(ErrorCode::HttpRequestDenied);
        };
        if let Some(name) = misleading(&request.headers, &target) {
            self.denied("header", &format!("{name} of {target}"));
            return Err(ErrorCode::HttpRequestDenied);
        }
        let counted = |left: u64| left.checked_sub(1);
        if self.calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted).is_err() {
            self.denied("calls", &target.to_string());
            self.halt.with(FaultCode::HttpLimit);
            return Err(ErrorCode::ConnectionLimitReached);
        }
        Ok(Allowed { rule: rule.clone(), target })
    }

    /// The addresses of the request's host, all of which it may reach.
    async fn addresses(&self, allowed: &Allowed, at: At) -> std::result::Result<Vec<IpAddr>, Error> {
        let Allowed { target, rule } = allowed;
        if let Some(address) = target.address() {
            // Only a rule that names this very address matched.
            return Ok(vec![address]);
        }
        let mut pins = self.pins.lock().await;
        let addresses = match pins.get(target.host()) {
            Some(pinned) => pinned.clone(),
            None => {
                let found = self.network.resolve(target.host()).await?;
                pins.insert(target.host().to_owned(), found.clone());
                found
            }
        };
        // One address that may not be reached spoils all: an honest answer has none.
        let refused = addresses.iter().find(|address| match reach(**address) {
            Reach::Public => false,
            Reach::Private => !rule.private,
            Reach::Named => true,
        });
        match refused {
            Some(address) => {
                let what = format!("{address} of {}", target.host());
                self.denied("address", &what);
                self.answering.more(at, what.len(), |entry| {
                    if let Entry::Http(answer) = entry {
                        answer.refused = Some(what);
                    }
                });
                Err(Error::DestinationIpProhibited)
            }
            None => Ok(addresses),
        }
    }

    /// Takes `count` bytes from what may still go either way; without them the call ends.
    fn spend(&self, count: usize) -> bool {
        let spent = |left: u64| left.checked_sub(count as u64);
        let enough = self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spent).is_ok();
        if !enough {
            self.halt.with(FaultCode::HttpLimit);
        }
        enough
    }

    /// Ends the call: whoever sends these texts about means to find out what they stand for.
    fn misplaced(&self, misplaced: &Misplaced, operation: &'static str) -> ErrorCode {
        self.recorder.denied(Class::Secrets, operation, &misplaced.name);
        self.halt.with(FaultCode::SecretMisplaced);
        ErrorCode::HttpRequestDenied
    }

    /// Records how a request ended; the first time counts.
    fn told(&self, at: At, told: HostTold, cost: usize) {
        self.answering.more(at, cost, |entry| {
            if let Entry::Http(answer) = entry {
                answer.told.get_or_insert(told);
            }
        });
    }

    fn denied(&self, operation: &'static str, value: &str) {
        self.recorder.denied(Class::Http, operation, value);
    }
}

fn method(method: &types::Method) -> &str {
    match method {
        types::Method::Get => "GET",
        types::Method::Head => "HEAD",
        types::Method::Post => "POST",
        types::Method::Put => "PUT",
        types::Method::Delete => "DELETE",
        types::Method::Connect => "CONNECT",
        types::Method::Options => "OPTIONS",
        types::Method::Trace => "TRACE",
        types::Method::Patch => "PATCH",
        types::Method::Other(other) => other,
    }
}

/// The header, if any, that says something else than the request's target, or speaks of the
/// connection.
fn misleading(headers: &HeaderMap, target: &HttpTarget) -> Option<HeaderName> {
    let hosts = headers.get_all(header::HOST);
    if hosts.iter().any(|host| host.as_bytes() != target.authority().as_bytes()) {
        return Some(header::HOST);
    }
    CONNECTION_HEADERS.into_iter().find(|name| headers.contains_key(name))
}

/// `handle` of `wasi:http/outgoing-handler`, behind the rules.
fn handle(
    state: &mut State,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<types::RequestOptions>>,
) -> HttpResult<Resource<HostFutureIncomingResponse>> {
    // The guest's own words are judged, before anybody reads them in another way.
    match state.http.hooks.client.judge(state.table.get(&request)?) {
        Ok(allowed) => state.http.hooks.next = Some(allowed),
        Err(code) => {
            state.table.delete(request)?;
            return Err(code.into());
        }
    }
    outgoing_handler::Host::handle(&mut state.http(), request, options)
}

/// What the engine's implementation asks of us.
struct Hooks {
    client: Arc<Client>,
    /// The request that is being handed over; nothing else is ever sent.
    next: Option<Allowed>,
}

type Exchange = std::result::Result<
    (::http::Response<WasiBody>, Box<dyn Future<Output = std::result::Result<(), Error>> + Send>),
    Error,
>;

impl WasiHttpHooks for Hooks {
    /// All headers are judged when the request is sent, where a refusal is recorded.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|_| false)
    }

    /// Set from what was judged.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = std::result::Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Exchange> + Send> {
        let client = Arc::clone(&self.client);
        let Some(allowed) = self.next.take() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        // Here, and not when it is first waited for: requests stand in the record as they were made.
        let asked = exchange::asked(&allowed, &request);
        if client.answering.is_recorded() {
            return match client.answering.ask(&asked) {
                Some((at, Entry::Http(answer))) => {
                    Box::new(replayed::send(client, at, *answer, &allowed, request))
                }
                _ => Box::new(std::future::ready(Err(Error::HttpRequestDenied))),
            };
        }
        if let (Some(stand_in), Entry::Http(answer)) = (client.network.stand_in(), &asked) {
            let stood_in = stand_in.answer(&answer.request);
            let answer = replayed::stood_in(&client, answer, stood_in);
            let at = client.answering.begin(asked);
            return Box::new(replayed::send(client, at, answer, &allowed, request));
        }
        let at = client.answering.begin(asked);
        Box::new(async move {
            let sent = exchange::send(&client, at, allowed, request, options.unwrap_or_default()).await;
            sent.map_err(|error| exchange::failed(&client, at, error))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}
