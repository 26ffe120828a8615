//! The one wasmtime engine of a process: which WebAssembly is spoken, what is deterministic, how
//! instances are pooled, and the ticker that makes guests interruptible. Knows no tool and no grant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::capability::http::Network;
use crate::code_cache::CodeCache;
use crate::compiler::Compiler;
use crate::room::Room;
use nanohost_core::Digest;
use tokio::sync::Semaphore;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Instances that exist at the same time. The pool refuses one more with an error, so calls wait
/// for a permit before they ask it. Stops a burst of calls from taking the machine's memory.
pub(crate) const MAX_CONCURRENT_CALLS: u32 = 64;

/// Core instances, memories and tables one component may make. A component of a few kilobytes
/// can ask for a thousand.
pub(crate) const MAX_CORE_INSTANCES: u32 = 64;
pub(crate) const MAX_MEMORIES: u32 = 4;
pub(crate) const MAX_TABLES: u32 = 16;

/// Entries of one table; a Rust guest has a few hundred. Stops `table.grow` as a way round the
/// limit on memory.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The whole range of a 32-bit memory; the limit that counts is the grant's.
const MAX_MEMORY: usize = 1 << 32;

/// Host bookkeeping for one instance. Stops a component with very many functions or types.
const MAX_INSTANCE_SIZE: usize = 4 << 20;

/// Native stack of a guest. Deep recursion traps here, long before the host's own stack ends.
const MAX_WASM_STACK: usize = 512 << 10;
const FIBER_STACK: usize = 2 << 20;

/// How often a running guest is interrupted: half of the 10 ms within which a deadline or a
/// cancellation has to be seen.
const TICK: Duration = Duration::from_millis(5);

/// The engine could not be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the WebAssembly engine: {0}")]
pub struct EngineError(String);

/// A wasmtime engine with the settings that every tool runs under. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) room: Arc<Room>,
    config: Arc<str>,
    pub(crate) network: Network,
    pub(crate) code_cache: Option<Arc<CodeCache>>,
    pub(crate) compiler: Option<Arc<Compiler>>,
    _ticker: Arc<Ticker>,
}

impl Engine {
    /// Starts the engine and its ticker.
    ///
    /// # Errors
    /// Where the machine lacks the address space for the pool, or is not supported.
    pub fn new() -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError(error.to_string());
        let (config, text) = config();
        let wasmtime = wasmtime::Engine::new(&config).map_err(|error| failed(&format_args!("{error:#}")))?;
        let ticker = Ticker::start(wasmtime.clone()).map_err(|error| failed(&error))?;
        Ok(Self {
            wasmtime,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS as usize)),
            room: Arc::default(),
            config: text.into(),
            network: Network::system(),
            code_cache: None,
            compiler: None,
            _ticker: Arc::new(ticker),
        })
    }

    /// The same engine, whose tools ask another network than the machine's.
    #[must_use]
    pub fn with_network(&self, network: Network) -> Self {
        Self { network, ..self.clone() }
    }

    /// The same engine, which keeps the code it compiles.
    #[must_use]
    pub fn with_code_cache(&self, cache: CodeCache) -> Self {
        Self { code_cache: Some(Arc::new(cache)), ..self.clone() }
    }

    /// The same engine, which compiles in a process of its own. Without one, compiling is bounded by the
    /// sizes of components alone: no bound on time or memory.
    #[must_use]
    pub fn with_compiler(&self, compiler: Compiler) -> Self {
        Self { compiler: Some(Arc::new(compiler)), ..self.clone() }
    }

    /// The same engine, which says that its settings are others.
    #[cfg(test)]
    pub(crate) fn with_config_text(&self, text: &str) -> Self {
        Self { config: text.into(), ..self.clone() }
    }

    /// The engine's name and version, for the evidence.
    pub fn name(&self) -> &'static str {
        "wasmtime 48"
    }

    /// Every setting that can change what a guest computes or may do, one per line, for the
    /// evidence.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// The digest of [`Self::config`].
    pub fn config_digest(&self) -> Digest {
        Digest::of(self.config.as_bytes())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config_digest()).finish_non_exhaustive()
    }
}

/// The settings, and the text of those that matter to whoever reads the evidence.
pub(crate) fn config() -> (Config, String) {
    let mut config = Config::new();
    let mut text = format!("target {}-{}\n", std::env::consts::ARCH, std::env::consts::OS);
    let mut set = |name: &str, value: bool, apply: fn(&mut Config, bool) -> &mut Config| {
        apply(&mut config, value);
        text.push_str(&format!("{name} {}\n", if value { "on" } else { "off" }));
    };
    // Nothing a guest computes depends on the processor it runs on.
    set("nan-canonicalization", true, Config::cranelift_nan_canonicalization);
    set("relaxed-simd-deterministic", true, Config::relaxed_simd_deterministic);
    set("fuel", true, Config::consume_fuel);
    set("epoch-interruption", true, Config::epoch_interruption);
    set("component-model", true, Config::wasm_component_model);
    // What no tool needs is not there to be attacked.
    set("memory64", false, Config::wasm_memory64);
    set("multi-memory", false, Config::wasm_multi_memory);
    set("function-references", false, Config::wasm_function_references);
    set("gc", false, Config::wasm_gc);
    set("exceptions", false, Config::wasm_exceptions);
    set("wide-arithmetic", false, Config::wasm_wide_arithmetic);
    set("custom-page-sizes", false, Config::wasm_custom_page_sizes);
    set("shared-memory", false, Config::shared_memory);
    // Backtraces would carry names that guests chose into the host's errors.
    config.wasm_backtrace_max_frames(None);
    config.max_wasm_stack(MAX_WASM_STACK);
    config.async_stack_size(FIBER_STACK);
    config.memory_init_cow(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    text.push_str(&format!("threads off\nwasm-stack {MAX_WASM_STACK}\ntick-ms {}\n", TICK.as_millis()));
    (config, text)
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_CONCURRENT_CALLS)
        .total_core_instances(MAX_CONCURRENT_CALLS * MAX_CORE_INSTANCES)
        .total_memories(MAX_CONCURRENT_CALLS * MAX_MEMORIES)
        .total_tables(MAX_CONCURRENT_CALLS * MAX_TABLES)
        .total_stacks(MAX_CONCURRENT_CALLS)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_component_instance_size(MAX_INSTANCE_SIZE)
        .max_core_instance_size(MAX_INSTANCE_SIZE)
        .max_memories_per_module(1)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY)
        // Slots give their pages back after each call: speed matters less than what stays resident.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        // Where the kernel says which pages a guest wrote, those alone are cleared. Giving pages back stops
        // every processor that runs the process, so that calls side by side would take longer than in a row.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(8);
    pool
}

/// Advances the epoch until it is dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("epoch-ticker".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot have panicked on anything that could be handled here.
            let _ = thread.join();
        }
    }
}
