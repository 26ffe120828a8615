//! Servers on the loopback, with and without TLS, that see what really arrives; and names that lead
//! wherever a test says.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use nanohost_sandbox::Resolver;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `POST /v1/refunds HTTP/1.1`.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Writes an answer to a request. An error ends the connection, as does the end of the answer.
type Answer = dyn Fn(&Seen, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// A server that lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) fn new(
        answer: impl Fn(&Seen, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Ipv4Addr::LOCALHOST, 0, None, Arc::new(answer))
    }

    /// On an address of the loopback and a port of the caller's choice.
    pub(crate) fn at(
        address: Ipv4Addr,
        port: u16,
        answer: impl Fn(&Seen, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(address, port, None, Arc::new(answer))
    }

    /// Behind TLS.
    pub(crate) fn secure(
        identity: &Identity,
        answer: impl Fn(&Seen, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Ipv4Addr::LOCALHOST, 0, Some(identity.config()), Arc::new(answer))
    }

    /// One that says who it is.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::new(move |_, out| ok(out, name))
    }

    fn start(address: Ipv4Addr, port: u16, tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind((address, port)).expect("a port");
        let server =
            Self { address: listener.local_addr().expect("its address"), seen: Arc::new(Mutex::default()) };
        let seen = Arc::clone(&server.seen);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (seen, answer, tls) = (Arc::clone(&seen), Arc::clone(&answer), tls.clone());
                // A client that went away is no failure of the server.
                std::thread::spawn(move || serve(stream, tls, &seen, &*answer));
            }
        });
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    seen: &Mutex<Vec<Seen>>,
    answer: &Answer,
) -> io::Result<()> {
    match tls {
        None => exchange(stream, seen, answer),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            exchange(&mut stream, seen, answer)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn exchange(mut stream: impl Read + Write, seen: &Mutex<Vec<Seen>>, answer: &Answer) -> io::Result<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(&mut stream, &mut read)?;
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Seen { line, headers, body: Vec::new() };
    let mut body = read.split_off(end);
    if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        while body.len() < length {
            more(&mut stream, &mut body)?;
        }
    } else if request.header("transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            more(&mut stream, &mut body)?;
        }
    }
    request.body = body;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    answer(&request, &mut stream)?;
    stream.flush()
}

fn more(stream: &mut impl Read, to: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            to.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

/// A whole answer.
pub(crate) fn ok(out: &mut dyn Write, body: &str) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A redirect.
pub(crate) fn redirect(out: &mut dyn Write, location: &str) -> io::Result<()> {
    write!(out, "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// A certificate that nobody else has signed, and its key.
pub(crate) struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    /// For one name or address.
    pub(crate) fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Self { certificate: made.cert.der().to_vec(), key: made.signing_key.serialize_der() }
    }

    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(self.certificate.clone())], key);
        Arc::new(config.expect("key and certificate belong together"))
    }
}

/// Names that lead where a test says; each answer in turn, the last one for good.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn new<const N: usize>(entries: [(&str, &[&[&str]]); N]) -> Arc<Self> {
        let parse = |address: &&str| address.parse().expect("an address");
        let answers = entries.into_iter().map(|(name, answers)| {
            let answers = answers.iter().rev().map(|answer| answer.iter().map(parse).collect()).collect();
            (name.to_owned(), answers)
        });
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Resolver for Names {
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get_mut(name).and_then(|left| match left.len() {
            0 | 1 => left.first().cloned(),
            _ => left.pop(),
        });
        let answer = answer.ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(std::future::ready(answer))
    }
}
