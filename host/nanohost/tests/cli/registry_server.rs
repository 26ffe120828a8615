//! A registry for tests: Debian's `docker-registry`, on this machine, on a port of its own, with its storage
//! in a folder that tests can look into; and a proxy before it that cuts connections.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A registry that runs until it is dropped.
pub(crate) struct Registry {
    child: Child,
    address: String,
    storage: PathBuf,
}

impl Registry {
    /// One that takes everybody.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::start(folder, "")
    }

    /// One that takes those of a file as `htpasswd` writes them.
    pub(crate) fn with_users(folder: &Path, users: &Path) -> Self {
        let users = users.display();
        Self::start(folder, &format!("auth:\n  htpasswd:\n    realm: tests\n    path: {users}\n"))
    }

    fn start(folder: &Path, more: &str) -> Self {
        let storage = folder.join("registry");
        fs::create_dir_all(&storage).expect("the folder is writable");
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: 127.0.0.1:0\n{more}",
            storage.display()
        );
        fs::write(&config, text).expect("the folder is writable");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("docker-registry is installed");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
        // It says where it listens once it does.
        let mut seen = String::new();
        let address = loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).expect("its log can be read");
            assert!(read > 0, "the registry ended: {seen}");
            if let Some((_, after)) = line.split_once("listening on ") {
                break after
                    .chars()
                    .take_while(|own| own.is_ascii_digit() || matches!(own, '.' | ':'))
                    .collect();
            }
            seen.push_str(&line);
        };
        // What it says later is nobody's, but has to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address, storage }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The file of a blob in its storage.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy that lets so many bytes of each connection's answers through, and then cuts it.
pub(crate) struct Cutting {
    address: SocketAddr,
    left: Arc<AtomicU64>,
}

impl Cutting {
    pub(crate) fn before(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let own = listener.local_addr().expect("it listens");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let (to, allowed) = (address.to_owned(), Arc::clone(&left));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { continue };
                let allowed = allowed.load(Ordering::SeqCst);
                let (mut up_from, mut up_to) =
                    (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
                std::thread::spawn(move || through(server, client, allowed));
            }
        });
        Self { address: own, left }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on each connection is cut after so many bytes.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }
}

fn through(mut from: TcpStream, mut to: TcpStream, mut allowed: u64) {
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        let passed = (read as u64).min(allowed) as usize;
        allowed -= passed as u64;
        if to.write_all(&buffer[..passed]).is_err() || read == 0 || allowed == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// What a [`Strange`] registry received: the request's first line, and who the sender says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
}

/// A registry that answers as a test says, by what a request's first line begins with; all else is not found.
pub(crate) struct Strange {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

/// The beginning of a request, and the answer to it: status, headers and body.
pub(crate) type Answers = Vec<(String, (u16, String, Vec<u8>))>;

impl Strange {
    /// `answers` is given the address, and the requests that were received before.
    pub(crate) fn new(answers: impl Fn(&str, &Received) -> Answers + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = answer(client, &kept, &|request| answers(&address.to_string(), request));
            }
        });
        Self { address, received }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request, and closes the connection.
fn answer(
    client: TcpStream,
    kept: &Mutex<Vec<Received>>,
    answers: &dyn Fn(&Received) -> Answers,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut request = Received { line: line.trim_end().to_owned(), authorization: None };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let found = answers(&request).into_iter().find(|(begin, _)| request.line.starts_with(begin.as_str()));
    let (status, headers, body) = found.map_or((404, String::new(), Vec::new()), |(_, answer)| answer);
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let mut client = client;
    let length = body.len();
    write!(client, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n")?;
    client.write_all(&body)
}
