//! Requests to other hosts (feature `http`). A request is made only where the manifest asks for it and
//! the policy grants it; a redirect is an answer, and following it is another request.
//!
//! ```
//! use nanohost_guest::http::{Request, Response};
//! use nanohost_guest::{secrets, testing};
//!
//! testing::keep_secret("refund-key", "stands for the key");
//! testing::serve(|request| match (request.method(), request.url()) {
//!     ("POST", "https://api.example.com/v1/refunds") => Response::new(201, "{\"id\": 7}"),
//!     _ => Response::new(404, ""),
//! });
//!
//! let answer = Request::post("https://api.example.com/v1/refunds")
//!     .header("authorization", &format!("Bearer {}", secrets::placeholder("refund-key")?))
//!     .once()
//!     .json("{\"order\": \"A-1\"}")
//!     .send()?;
//! assert!(answer.is_success());
//! assert_eq!(answer.text(), Some("{\"id\": 7}"));
//! # Ok::<(), nanohost_guest::Failure>(())
//! ```

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::{Failure, call_context};

/// A request before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The URL or a header is none.
    Invalid,
    /// The host does not let it go: it is not granted, or could be read in two ways.
    Refused,
    /// The other host is not found or takes no connection.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// The connection broke, or what came is no answer. The request may have been acted on.
    Broken,
}

impl Request {
    /// `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// `HEAD`.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new("HEAD", url)
    }

    /// `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// `PUT`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// `PATCH`.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// `DELETE`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    fn new(method: &'static str, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body that is JSON.
    #[must_use]
    pub fn json(self, text: impl Into<String>) -> Self {
        self.header("content-type", "application/json").body(text.into())
    }

    /// With the key of this call as `Idempotency-Key`: a service that knows the header does once what
    /// it is asked again.
    #[must_use]
    pub fn once(self) -> Self {
        let key = call_context::idempotency_key();
        self.header("idempotency-key", &key)
    }

    /// Waiting no longer than this for the connection, for the answer to begin, and for each part of
    /// it to come. The call's deadline holds all the same.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.method
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The headers in the order they were given.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Makes the request and waits for the whole answer.
    ///
    /// # Errors
    /// Where there is none; an answer of any status is one.
    pub fn send(self) -> Result<Response, Error> {
        backend::send(&self)
    }
}

impl Response {
    /// An answer, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With one more header, for tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_owned()));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is one of success, 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of a name, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        core::str::from_utf8(value).ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, where it is text.
    pub fn text(&self) -> Option<&str> {
        core::str::from_utf8(&self.body).ok()
    }
}

impl Error {
    const fn text(self) -> &'static str {
        match self {
            Self::Invalid => "the URL or a header of the request is none",
            Self::Refused => "the request is not granted",
            Self::Unreachable => "the other host cannot be reached",
            Self::TimedOut => "the other host took too long",
            Self::Broken => "the connection to the other host broke",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

/// For `?` in a tool: what may pass by waiting is unavailable, the rest is a rejection.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid => Self::invalid_input(error.text()),
            Error::Refused => Self::rejected(error.text()),
            Error::Unreachable | Error::TimedOut | Error::Broken => Self::unavailable(error.text()),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::http as backend;

#[cfg(target_family = "wasm")]
mod backend {
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    use wasip2::http::outgoing_handler;
    use wasip2::http::types::{
        ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
    };
    use wasip2::io::streams::StreamError;

    use super::{Error, Request, Response};

    /// The most that a stream is promised to take at once, bytes.
    const CHUNK: usize = 4096;

    pub(super) fn send(request: &Request) -> Result<Response, Error> {
        let (scheme, rest) = request.url.split_once("://").ok_or(Error::Invalid)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let fields = Fields::new();
        for (name, value) in &request.headers {
            fields.append(name, value.as_bytes()).map_err(|_| Error::Invalid)?;
        }
        if !request.body.is_empty() {
            let length = request.body.len().to_string();
            fields.append("content-length", length.as_bytes()).map_err(|_| Error::Invalid)?;
        }
        let outgoing = OutgoingRequest::new(fields);
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(Error::Invalid),
        };
        outgoing.set_method(&method(request.method)).map_err(|()| Error::Invalid)?;
        outgoing.set_scheme(Some(&scheme)).map_err(|()| Error::Invalid)?;
        outgoing.set_authority(Some(authority)).map_err(|()| Error::Invalid)?;
        outgoing.set_path_with_query(Some(path)).map_err(|()| Error::Invalid)?;

        let body = outgoing.body().map_err(|()| Error::Broken)?;
        let future = outgoing_handler::handle(outgoing, options(request)).map_err(|code| meaning(&code))?;
        if !request.body.is_empty() {
            let stream = body.write().map_err(|()| Error::Broken)?;
            for chunk in request.body.chunks(CHUNK) {
                // Who answers before it has read all may be right: the answer tells.
                if stream.blocking_write_and_flush(chunk).is_err() {
                    break;
                }
            }
        }
        let finished = OutgoingBody::finish(body, None);
        future.subscribe().block();
        let answer = future.get().and_then(Result::ok).ok_or(Error::Broken)?;
        let answer = answer.map_err(|code| meaning(&code))?;
        finished.map_err(|code| meaning(&code))?;
        read(answer)
    }

    fn read(answer: IncomingResponse) -> Result<Response, Error> {
        let headers = answer.headers().entries();
        let status = answer.status();
        let incoming = answer.consume().map_err(|()| Error::Broken)?;
        let stream = incoming.stream().map_err(|()| Error::Broken)?;
        let mut body = Vec::new();
        loop {
            match stream.blocking_read(64 << 10) {
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(StreamError::Closed) => {
                    return Ok(Response { status, headers, body });
                }
                Err(StreamError::LastOperationFailed(_)) => return Err(Error::Broken),
            }
        }
    }

    fn method(name: &str) -> Method {
        match name {
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Get,
        }
    }

    fn options(request: &Request) -> Option<RequestOptions> {
        let nanoseconds = u64::try_from(request.timeout?.as_nanos()).ok();
        let options = RequestOptions::new();
        // A host that knows none of them has its own bounds.
        let _ = options.set_connect_timeout(nanoseconds);
        let _ = options.set_first_byte_timeout(nanoseconds);
        let _ = options.set_between_bytes_timeout(nanoseconds);
        Some(options)
    }

    fn meaning(code: &ErrorCode) -> Error {
        match code {
            ErrorCode::HttpRequestDenied
            | ErrorCode::DestinationIpProhibited
            | ErrorCode::ConnectionLimitReached => Error::Refused,
            ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => Error::Invalid,
            ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::ConnectionRefused
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => Error::Unreachable,
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => Error::TimedOut,
            _ => Error::Broken,
        }
    }
}

#[cfg(test)]
mod tests;
