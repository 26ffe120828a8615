//! A server of models for tests, on this machine: speaks `chat/completions`, misbehaves on demand,
//! and keeps every request it received, so that a test can say what a prompt held.
//!
//! ```text
//! let server = ModelServer::new([Act::Status(500), Act::say("refund")]);   // in turn, the last for ever
//! home.write("policies/local.toml", server.policy("fast", ""));            // a row [models.fast]
//! …
//! assert_eq!(server.requests()[0].prompt(), "Classify: …");
//! ```
//!
//! Knows nothing of nanohost. Threads and blocking sockets: it depends on no runtime and no clock.

#![allow(dead_code, reason = "unit tests and tests of the command line each use a part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers 200 with this body.
    Body(String),
    /// Answers with this status and a complaint.
    Status(u16),
    /// Answers with this status, these headers and this body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// Waits until as many requests are here as the barrier counts, then says this.
    Meet(Arc<Barrier>, String),
    /// Never answers. Ends when the client goes.
    Hang,
    /// Closes the connection at once.
    Drop,
    /// Announces a long body, sends the beginning and closes.
    Cut,
    /// Sends a body without end. Ends when the client goes.
    Endless,
}

impl Act {
    /// A model's right answer, of 12 tokens.
    pub(crate) fn say(text: &str) -> Self {
        Self::Body(completion(
            text,
            &json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12 }),
        ))
    }

    /// An answer with this `usage`.
    pub(crate) fn counted(text: &str, usage: &Value) -> Self {
        Self::Body(completion(text, usage))
    }
}

/// The body of an answer.
fn completion(text: &str, usage: &Value) -> String {
    let message = json!({ "role": "assistant", "content": text });
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": usage,
    })
    .to_string()
}

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `POST /v1/chat/completions HTTP/1.1`.
    pub(crate) line: String,
    /// By lower-case name, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The exact bytes.
    pub(crate) body: Vec<u8>,
    /// When it was there as a whole.
    pub(crate) at: Instant,
}

impl Request {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("requests are JSON")
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The text that the user's message holds.
    pub(crate) fn prompt(&self) -> String {
        self.said_by("user").expect("there is a prompt")
    }

    /// The system's text.
    pub(crate) fn system(&self) -> Option<String> {
        self.said_by("system")
    }

    fn said_by(&self, role: &str) -> Option<String> {
        let messages = self.json()["messages"].as_array().cloned().unwrap_or_default();
        let message = messages.into_iter().find(|message| message["role"] == role)?;
        message["content"].as_str().map(str::to_owned)
    }
}

/// The server. Stops when it is dropped.
pub(crate) struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    acts: Vec<Act>,
    next: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    abandoned: AtomicUsize,
    stopped: AtomicBool,
}

impl ModelServer {
    /// A server that does these things in turn, and the last of them for ever.
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            acts: acts.into_iter().collect(),
            next: AtomicUsize::new(0),
            requests: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        assert!(!shared.acts.is_empty(), "a server does something");
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let own = Arc::clone(&own);
                // A client that goes in the middle is part of the play.
                std::thread::spawn(move || drop(own.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:<port>/v1`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// `http://127.0.0.1:<port>`, as evidence names it.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A row of a policy that grants `alias` as the model `m-1` of this server, with more lines.
    pub(crate) fn policy(&self, alias: &str, more: &str) -> String {
        let url = self.base_url();
        format!("[models.{alias}]\nprovider = \"openai\"\nbase_url = \"{url}\"\nmodel = \"m-1\"\n{more}\n")
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many clients went before they were answered.
    pub(crate) fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::SeqCst)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// One connection, one request.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = receive(&stream)? else { return Ok(()) };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let turn = self.next.fetch_add(1, Ordering::SeqCst).min(self.acts.len() - 1);
        match &self.acts[turn] {
            Act::Body(body) => send(&mut stream, 200, &[], body),
            Act::Status(status) => {
                let body = json!({ "error": { "message": format!("this is a {status}") } });
                send(&mut stream, *status, &[], &body.to_string())
            }
            Act::Full(status, headers, body) => send(&mut stream, *status, headers, body),
            Act::Meet(barrier, text) => {
                barrier.wait();
                let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1 });
                send(&mut stream, 200, &[], &completion(text, &usage))
            }
            Act::Hang => {
                let gone = stream.read(&mut [0; 1]);
                self.abandoned.fetch_add(1, Ordering::SeqCst);
                gone.map(drop)
            }
            Act::Drop => Ok(()),
            Act::Cut => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":[")?;
                stream.flush()
            }
            Act::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")?;
                while stream.write_all(&[b' '; 4096]).is_ok() {}
                self.abandoned.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

/// Reads a request; `None` where the client went before it was whole.
fn receive(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { line: line.trim_end().to_owned(), headers, body, at: Instant::now() }))
}

fn send(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
) -> std::io::Result<()> {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
        body.len()
    )?;
    stream.flush()
}
