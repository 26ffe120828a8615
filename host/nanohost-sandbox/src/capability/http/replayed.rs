//! One request and the answer that a record has to it. What the guest sends along is read, compared
//! and sent to nobody. Knows no network.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use nanohost_core::Class;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::{Error, WasiBody};

use super::exchange::Outgoing;
use super::{Allowed, Client, Exchange, StoodIn, failure};
use crate::answering::{At, Diverged};
use crate::answers::{Blob, ENDED, HostAnswer, HostHead, HostTold, Pieces};
use crate::report::FaultCode;

/// The record that an answer would have left that came from no other host.
pub(super) fn stood_in(client: &Client, asked: &HostAnswer, answer: Option<StoodIn>) -> HostAnswer {
    let echoes = |text: &[u8]| client.secrets.echo().is_some_and(|echo| echo.search(text).is_err());
    let (told, body) = match answer {
        Some(answer)
            if echoes(&answer.body) || answer.headers.iter().any(|(_, value)| echoes(value.as_bytes())) =>
        {
            (HostTold::Failed(failure::SECRET_ECHO.to_owned()), Pieces::default())
        }
        None => (HostTold::Failed(failure::REFUSED.to_owned()), Pieces::default()),
        Some(StoodIn { status, headers, body }) => {
            let headers = headers.into_iter().map(|(name, value)| (name, Blob(value.into_bytes())));
            let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
            let pieces = if length == 0 { Vec::new() } else { vec![length] };
            let body = Pieces { bytes: Blob(body), pieces, end: Some(ENDED.to_owned()) };
            (HostTold::Answered(HostHead { status, headers: headers.collect() }), body)
        }
    };
    HostAnswer { told: Some(told), body, ..asked.clone() }
}

/// Answers a request as it was answered then.
pub(super) fn send(
    client: Arc<Client>,
    at: At,
    answer: HostAnswer,
    allowed: &Allowed,
    request: Request<WasiBody>,
) -> impl Future<Output = Exchange> + Send + use<> {
    let scope = allowed.rule.to_string();
    let mut body = Outgoing::new(request.into_body(), &client, &scope, at);
    let sending = spawn(async move {
        // What is wrong with it is kept where the call ends.
        while let Some(Ok(_)) = body.frame().await {}
    });
    client.sending.lock().unwrap_or_else(PoisonError::into_inner).push(sending);
    async move {
        let HostAnswer { request, refused, told, body, .. } = answer;
        if let Some(refused) = refused {
            client.denied("address", &refused);
            return Err(Error::DestinationIpProhibited);
        }
        client.recorder.operation(Class::Http, &scope);
        let head = match told {
            Some(HostTold::Answered(head)) => head,
            Some(HostTold::Failed(name)) => return Err(failed(&client, &request, &name)),
            // The call ended before.
            None => std::future::pending().await,
        };
        let Some(mut response) = response(&head) else { return Err(impossible(&client, &request)) };
        let size = head.headers.iter().map(|(name, value)| name.len() + value.0.len()).sum();
        if !client.spend(size) {
            return Err(Error::HttpResponseHeaderSectionSize(None));
        }
        let Pieces { bytes, pieces, end } = body;
        let body =
            Replayed { client, scope, request, bytes: bytes.0.into(), pieces: pieces.into_iter(), end };
        *response.body_mut() = Some(body);
        let (head, body) = response.into_parts();
        let body = body.ok_or(Error::HttpResponseIncomplete)?.boxed_unsync();
        Ok((Response::from_parts(head, body), Box::new(std::future::ready(Ok(()))) as _))
    }
}

fn response(head: &HostHead) -> Option<Response<Option<Replayed>>> {
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &head.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.try_append(name, HeaderValue::from_bytes(&value.0).ok()?).ok()?;
    }
    *response.headers_mut() = headers;
    Some(response)
}

fn failed(client: &Client, request: &str, name: &str) -> Error {
    if name == failure::SECRET_ECHO {
        client.halt.with(FaultCode::SecretEcho);
        return Error::HttpResponseIncomplete;
    }
    if failure::is_limit(name) {
        client.halt.with(FaultCode::HttpLimit);
    }
    failure::error(name).unwrap_or_else(|| impossible(client, request))
}

fn impossible(client: &Client, request: &str) -> Error {
    client.answering.diverge(Diverged::Record, request, None);
    Error::HttpResponseIncomplete
}

/// The body of a recorded answer, in the pieces in which it came.
struct Replayed {
    client: Arc<Client>,
    scope: String,
    request: String,
    bytes: Bytes,
    pieces: std::vec::IntoIter<u32>,
    end: Option<String>,
}

impl Body for Replayed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(length) = self.pieces.next() {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length == 0 || length > self.bytes.len() {
                return Poll::Ready(Some(Err(impossible(&self.client, &self.request))));
            }
            let data = self.bytes.split_to(length);
            if !self.client.spend(data.len()) {
                return Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))));
            }
            self.client.recorder.read(Class::Http, &self.scope, data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end.as_deref() {
            Some(ENDED) => Poll::Ready(None),
            Some(name) => Poll::Ready(Some(Err(failed(&self.client, &self.request, name)))),
            // The guest waited for no more then; what it waits for now does not come.
            None => Poll::Pending,
        }
    }
}
