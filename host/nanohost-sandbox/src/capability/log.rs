//! `nanohost:tool/log`, and the one buffer that stdout, stderr and log lines share. It carries no
//! authority: what a guest says here goes nowhere but into the call's report.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Result;
use wasmtime::component::Linker;

use crate::bindings::nanohost::tool::log;
use crate::state::{Field, State};

/// Written once where the buffer was full.
const CUT: &[u8] = b"\n[nanohost: the log was cut at its limit]\n";

/// Adds the interface.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    log::add_to_linker::<State, Field<LogBuffer>>(linker, |state| &mut state.log)
}

/// A bounded buffer; what does not fit is dropped, and the buffer says so.
#[derive(Debug, Clone)]
pub(crate) struct LogBuffer(Arc<Mutex<Buffer>>);

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl LogBuffer {
    pub(crate) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self(Arc::new(Mutex::new(Buffer { bytes: Vec::new(), limit, cut: false })))
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = buffer.limit - buffer.bytes.len();
        if bytes.len() > room {
            buffer.cut = true;
        }
        buffer.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The bytes, at most the limit and the sentence that says it was cut.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = std::mem::take(&mut buffer.bytes);
        if buffer.cut {
            bytes.extend_from_slice(CUT);
        }
        bytes
    }
}

impl log::Host for LogBuffer {
    fn log(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = match level {
            log::Level::Trace => "TRACE ",
            log::Level::Debug => "DEBUG ",
            log::Level::Info => "INFO ",
            log::Level::Warn => "WARN ",
            log::Level::Error => "ERROR ",
        };
        self.push(level.as_bytes());
        self.push(message.as_bytes());
        self.push(b"\n");
        Ok(())
    }
}
