//! The inert rest of `wasi:cli` and `wasi:io`: an empty stdin, stdout and stderr that go into the
//! call's log, no terminal, an exit that ends the call, and the streams and pollables that other
//! interfaces are made of.

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, io};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::LogBuffer;
use crate::state::State;
use crate::waiting;

/// What a guest may write at once.
const CHUNK: usize = 64 << 10;

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Adds `wasi:io` and `wasi:cli` without its environment.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    io::error::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    waiting::link(linker)?;
    io::streams::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)
}

/// Stdout or stderr of a guest.
pub(crate) struct ToLog(pub(crate) LogBuffer);

impl IsTerminal for ToLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for ToLog {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LogStream(self.0.clone()))
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.1 and 0.3 ask for this one, and neither is linked.
        Box::new(tokio::io::sink())
    }
}

struct LogStream(LogBuffer);

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
