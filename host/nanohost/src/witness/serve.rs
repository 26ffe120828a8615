//! The HTTP server in front of a witness. Everything that a peer sends has a bound in size and time.
//! Knows no head and no signature. It speaks no TLS: what lies before it on an open network does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nanohost_core::log::proof::MAX_GROWTH;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Answer, Witness};
use crate::signals;

/// Connections at one time: each holds a descriptor and a buffer.
const MAX_CONNECTIONS: usize = 64;

/// The line of the request and all its headers, bytes: no client of a witness sends more.
const MAX_HEAD: usize = 16 << 10;

/// Headers of one request: each is an entry of a map.
const MAX_HEADERS: usize = 64;

/// From a connection's silence to the end of a request's headers: a peer that sends a byte now and
/// then holds a connection no longer.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The whole body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The life of a connection, however many requests it carries.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// After the system has no descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    witness: Arc<Witness>,
}

impl Server {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub async fn bind(address: SocketAddr, witness: Witness) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, witness: Arc::new(witness) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until a signal ends the process. What was stored and not answered is asked for again.
    pub async fn run(self) {
        tokio::select! {
            () = self.accept() => {}
            // Where no signal can be heard, only its default ends the process.
            Ok(()) = signals::first() => {}
        }
    }

    async fn accept(&self) {
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let witness = Arc::clone(&self.witness);
                    tokio::spawn(async move {
                        // However the connection ends, its place is free again.
                        let _ = tokio::time::timeout(CONNECTION_TIME, connection(stream, witness)).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn connection(stream: TcpStream, witness: Arc<Witness>) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let witness = Arc::clone(&witness);
                async move { Ok::<_, std::convert::Infallible>(respond(request, witness).await) }
            }),
        )
        .await
}

async fn respond(request: Request<Incoming>, witness: Arc<Witness>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let monitored = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
    match (request.method(), path.as_str(), monitored) {
        (&Method::POST, "/add-checkpoint", _) => {}
        (&Method::GET, _, Some(digest)) => return response(witness.checkpoint(digest)),
        (_, "/add-checkpoint", _) => {
            let mut response = response(Answer::text(405, "POST a checkpoint here"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        _ => return response(Answer::text(404, "there is nothing but add-checkpoint here")),
    }
    let body = Limited::new(request.into_body(), MAX_GROWTH).collect();
    let answer = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            // Waiting for the disk, and for others that wait for it, holds no thread that connections need.
            let answered = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, now())).await;
            answered.unwrap_or_else(|_| Answer::text(500, "this request could not be answered"))
        }
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Answer::text(413, "a request has a few kilobytes")
        }
        Ok(Err(_)) => Answer::text(400, "the body broke off"),
        Err(_) => Answer::text(408, "the body did not come"),
    };
    response(answer)
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}

/// The clock, Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
