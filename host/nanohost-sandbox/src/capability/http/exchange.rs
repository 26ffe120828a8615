//! One request and its answer over a connection of their own: HTTP/1.1, bounded in time and bytes.
//! Knows no rule but the one that allowed it.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use nanohost_core::{Class, Digest, Scheme};
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::super::secrets::{Echoed, Released};
use super::{Allowed, Client, Exchange, failure};
use crate::answering::At;
use crate::answers::{Blob, ENDED, Entry, HostAnswer, HostHead, HostTold, Pieces, Sent};
use crate::report::FaultCode;

/// A server that does not take the connection by then is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// The status line and headers of an answer: more of them is an attack on the host's memory. Bytes
/// and headers.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The record of a request that is about to be made.
pub(super) fn asked(allowed: &Allowed, request: &Request<WasiBody>) -> Entry {
    let mut head = Sha256::new();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            head.update((part.len() as u64).to_be_bytes());
            head.update(part);
        }
    }
    Entry::Http(Box::new(HostAnswer {
        request: request_line(allowed),
        head: Digest::from_bytes(head.finalize().into()),
        sent: Sent::nothing(),
        scope: allowed.rule.to_string(),
        refused: None,
        told: None,
        body: Pieces::default(),
    }))
}

/// Records why there was no answer; the guest is told the same, and no more.
pub(super) fn failed(client: &Client, at: At, error: Error) -> Error {
    let name = failure::name(&error);
    client.told(at, HostTold::Failed(name.to_owned()), name.len());
    failure::error(name).unwrap_or(error)
}

/// Sends what was allowed, and hands back the answer with what keeps its connection going.
pub(super) async fn send(
    client: &Arc<Client>,
    at: At,
    allowed: Allowed,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Exchange {
    let scope = allowed.rule.to_string();
    let addresses = client.addresses(&allowed, at).await?;
    client.recorder.operation(Class::Http, &scope);
    let patience = options.connect_timeout.unwrap_or(CONNECT).min(CONNECT);
    let stream = tokio::time::timeout(patience, connect(client, &allowed, &addresses))
        .await
        .map_err(|_| Error::ConnectionTimeout)??;

    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let connection = spawn(async move { connection.await.map_err(Error::from) });

    let request = rewritten(client, &allowed, &scope, at, request)?;
    let first_byte = options.first_byte_timeout.unwrap_or_else(|| left(client.deadline));
    let answer = tokio::time::timeout(first_byte, sender.send_request(request))
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;

    let (head, body) = answer.into_parts();
    // Headers are kept as bodies are: ten thousand answers with nothing but headers fill memory too.
    let size = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if !client.spend(size) {
        return Err(Error::HttpResponseHeaderSectionSize(None));
    }
    if let Some(echo) = client.secrets.echo() {
        for (name, value) in &head.headers {
            let found = echo.search(name.as_str().as_bytes()).and_then(|()| echo.search(value.as_bytes()));
            found.map_err(|Echoed| echoed(client, at))?;
        }
    }
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), Blob(value.as_bytes().to_vec())));
    let told = HostHead { status: head.status.as_u16(), headers: headers.collect() };
    client.told(at, HostTold::Answered(told), size + 24 * head.headers.len());
    let body = Incoming {
        body,
        released: client.secrets.echo().map(Released::of),
        client: Arc::clone(client),
        scope,
        at,
        pause: options.between_bytes_timeout,
        waiting: None,
    };
    Ok((Response::from_parts(head, body.boxed_unsync()), Box::new(connection)))
}

/// Ends the call, before its guest reads what came.
fn echoed(client: &Client, at: At) -> Error {
    client.told(at, HostTold::Failed(failure::SECRET_ECHO.to_owned()), 0);
    client.halt.with(FaultCode::SecretEcho);
    Error::HttpResponseIncomplete
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Method and whole URL, as they were sent.
fn request_line(allowed: &Allowed) -> String {
    let target = &allowed.target;
    format!(
        "{} {}://{}{}",
        target.method().as_str(),
        target.scheme().as_str(),
        target.authority(),
        target.path_and_query()
    )
}

/// Connects to the first of the judged addresses that takes it. No name is looked up again.
async fn connect(client: &Client, allowed: &Allowed, addresses: &[IpAddr]) -> Result<Box<dyn Stream>, Error> {
    let mut failure = Error::DestinationNotFound;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, allowed.target.port())).await {
            Ok(stream) => return secured(client, allowed, stream).await,
            Err(error) => failure = Error::Connect(error),
        }
    }
    Err(failure)
}

async fn secured(client: &Client, allowed: &Allowed, stream: TcpStream) -> Result<Box<dyn Stream>, Error> {
    if allowed.target.scheme() == Scheme::Http {
        return Ok(Box::new(stream));
    }
    let name = match allowed.target.address() {
        Some(address) => ServerName::from(address),
        None => ServerName::try_from(allowed.target.host().to_owned())
            .map_err(|_| Error::HttpRequestUriInvalid)?,
    };
    let connector = tokio_rustls::TlsConnector::from(client.network.tls()?);
    Ok(Box::new(connector.connect(name, stream).await.map_err(Error::Tls)?))
}

/// The request with the host's own reading of its first line and `Host`.
fn rewritten(
    client: &Arc<Client>,
    allowed: &Allowed,
    scope: &str,
    at: At,
    request: Request<WasiBody>,
) -> Result<Request<Outgoing>, Error> {
    let (mut head, body) = request.into_parts();
    head.uri = allowed.target.path_and_query().parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    let host =
        HeaderValue::from_str(&allowed.target.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
    head.headers.insert(header::HOST, host);
    client.secrets.fill(&mut head.headers, &allowed.target);
    let body = Outgoing::new(body, client, scope, at);
    Ok(Request::from_parts(head, body))
}

/// A request's body: counted, and without trailers.
pub(super) struct Outgoing {
    body: WasiBody,
    client: Arc<Client>,
    scope: String,
    at: At,
    /// The end of what went out, as much of it as may begin a text that stands for a secret.
    tail: Vec<u8>,
}

impl Outgoing {
    /// The body of the request that stands there in the record.
    pub(super) fn new(body: WasiBody, client: &Arc<Client>, scope: &str, at: At) -> Self {
        Self { body, client: Arc::clone(client), scope: scope.to_owned(), at, tail: Vec::new() }
    }

    /// Refuses texts that stand for secrets, cut in two or whole.
    fn look_through(&mut self, data: &[u8]) -> Result<(), Error> {
        let Some(longest) = self.client.secrets.longest() else { return Ok(()) };
        self.tail.extend_from_slice(data);
        if let Err(misplaced) = self.client.secrets.within(&self.tail) {
            self.client.misplaced(&misplaced, "body");
            return Err(Error::HttpRequestDenied);
        }
        self.tail.drain(..self.tail.len().saturating_sub(longest - 1));
        Ok(())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?;
        // Trailers end a body as its end does.
        let Some(Ok(data)) = frame.map(Frame::into_data) else {
            self.client.answering.sent_all(self.at);
            return Poll::Ready(None);
        };
        if !self.client.spend(data.len()) {
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        }
        self.look_through(&data)?;
        self.client.answering.sent(self.at, &data);
        if self.body.is_end_stream() {
            self.client.answering.sent_all(self.at);
        }
        self.client.recorder.written(Class::Http, &self.scope, data.len());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: counted, kept, and without trailers.
struct Incoming {
    body: hyper::body::Incoming,
    client: Arc<Client>,
    scope: String,
    /// Which of the recorded answers it belongs to.
    at: At,
    /// How long the guest waits for the next bytes.
    pause: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Keeps secrets out, where the call has any.
    released: Option<Released>,
}

impl Incoming {
    /// What the guest may have of what has come; all that is left at the end, which `None` is.
    fn release(&mut self, data: Option<Bytes>) -> Result<Bytes, Error> {
        let data = match (&mut self.released, data) {
            (None, data) => data.unwrap_or_default(),
            (Some(released), None) => released.end(),
            (Some(released), Some(data)) => match released.next(&data) {
                Ok(data) => data,
                Err(Echoed) => {
                    self.ends(failure::SECRET_ECHO);
                    return Err(echoed(&self.client, self.at));
                }
            },
        };
        if !data.is_empty() {
            self.client.answering.more(self.at, data.len() + 8, |entry| {
                if let Entry::Http(answer) = entry {
                    answer.body.bytes.0.extend_from_slice(&data);
                    answer.body.pieces.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
                }
            });
        }
        Ok(data)
    }

    /// Records how it ended; the first time counts.
    fn ends(&self, how: &str) {
        self.client.answering.more(self.at, how.len(), |entry| {
            if let Entry::Http(answer) = entry {
                answer.body.end.get_or_insert_with(|| how.to_owned());
            }
        });
    }

    /// Records why it ended early; the guest is told the same, and no more.
    fn breaks(&self, error: Error) -> Error {
        let name = failure::name(&error);
        self.ends(name);
        failure::error(name).unwrap_or(error)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(frame) => {
                    self.waiting = None;
                    frame
                }
                Poll::Pending => {
                    let Some(pause) = self.pause else { return Poll::Pending };
                    let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                    std::task::ready!(waiting.as_mut().poll(context));
                    return Poll::Ready(Some(Err(self.breaks(Error::ConnectionReadTimeout))));
                }
            };
            // Trailers end a body as its end does.
            let frame = frame.transpose().map_err(|error| self.breaks(error.into()))?;
            let Some(Ok(data)) = frame.map(Frame::into_data) else {
                let rest = self.release(None)?;
                self.ends(ENDED);
                return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
            };
            if !self.client.spend(data.len()) {
                return Poll::Ready(Some(Err(self.breaks(Error::HttpResponseBodySize(None)))));
            }
            self.client.recorder.read(Class::Http, &self.scope, data.len());
            let data = self.release(Some(data))?;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
