//! What belongs to one call and lives in its store: the host's side of each capability, the
//! limits, the record. Knows nothing of how a call is run.

use wasmtime::component::{HasData, ResourceTable};
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::answering::Answering;
use crate::bindings::nanohost::tool::types;
use crate::capability::clock::VirtualClock;
use crate::capability::context::Context;
use crate::capability::env::Variables;
use crate::capability::filesystem::Files;
use crate::capability::http::Http;
use crate::capability::kv::Kv;
use crate::capability::log::LogBuffer;
use crate::capability::random::Generator;
use crate::capability::secrets::Secrets;
use crate::capability::sockets::Sockets;
use crate::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};

/// Open files, folders, sockets, streams and pollables of one call. Without a bound a guest holds
/// 199,000 files open and ten million handles.
pub(crate) const MAX_HANDLES: usize = 512;

/// The `T` of every store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) memory: Memory,
    pub(crate) files: Files,
    pub(crate) variables: Variables,
    pub(crate) clock: VirtualClock,
    pub(crate) random: Generator,
    pub(crate) kv: Kv,
    pub(crate) http: Http,
    pub(crate) sockets: Sockets,
    pub(crate) secrets: Secrets,
    pub(crate) log: LogBuffer,
    pub(crate) context: Context,
    pub(crate) answering: Answering,
    /// Whether what is waited for depends on the world, and its coming has to be recorded.
    pub(crate) waits_for_world: bool,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Host interfaces that are served by one field of the state.
pub(crate) struct Field<T>(std::marker::PhantomData<T>);

impl<T: 'static> HasData for Field<T> {
    type Data<'a> = &'a mut T;
}

/// The types of `nanohost:tool` have no functions.
impl types::Host for State {}

/// Memory and tables of one call, all instances together.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    current: usize,
    pub(crate) peak: usize,
    /// Growth was refused: a trap that follows is the guest's way of saying so.
    pub(crate) refused: bool,
    table_elements: usize,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            current: 0,
            peak: 0,
            refused: false,
            table_elements: 0,
        }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let total = self.current.saturating_add(desired.saturating_sub(current));
        if total > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.current = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            self.refused = true;
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}
