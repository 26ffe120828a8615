//! One call: a fresh instance, its limits, its end. Knows nothing of why it is made or of what
//! becomes of its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nanohost_core::{Clock, Grants, Limits, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;
use wasmtime::component::{ResourceTable, ResourceTableError, Val};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx};

use crate::answering::{Answering, Divergence};
use crate::answers::Answers;
use crate::capability::clock::{RealMonotonic, RealWall, VirtualClock};
use crate::capability::context::Context;
use crate::capability::env::Variables;
use crate::capability::filesystem::Files;
use crate::capability::http::Http;
use crate::capability::kv::{Kv, KvDelta, KvUnavailable, KvView};
use crate::capability::log::LogBuffer;
use crate::capability::random::Generator;
use crate::capability::secrets::Secrets;
use crate::capability::sockets::{self, Sockets};
use crate::capability::stdio::ToLog;
use crate::halt::Halt;
use crate::json::{self, JsonError};
use crate::link::{StubCalled, Tool};
use crate::record::Recorder;
use crate::report::{CallReport, Ended, Fault, FaultCode, Outcome, Usage, is_typed_failure, typed_failure};
use crate::shape::{Returns, Shape};
use crate::state::{MAX_HANDLES, Memory, State};

/// Bytes the engine may copy between guest and host in one crossing, per byte of output. A `Val`
/// takes some thirty bytes for what JSON writes in two; without a bound 20 MB pass at once.
const COPY_PER_OUTPUT: usize = 24;

/// What may cross in any case: the largest value of a key and a file's chunk.
const MIN_COPY: usize = 4 << 20;

/// The engine's words for the bound above; its type is private.
const COPY_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What the host says to one call.
pub struct CallContext {
    /// Constant over all attempts at the same thing; the guest can read it.
    pub idempotency_key: String,
    /// Counted from 1; the guest can read it.
    pub attempt: u32,
    /// Where the virtual clock starts: the run's opening time.
    pub time: Timestamp,
    /// The run's secret seed.
    pub seed: [u8; 32],
    /// What tells this call from the others of the run: with the seed it determines what
    /// `wasi:random` gives. The guest never sees it.
    pub identity: String,
    /// The tool's namespaces as committed.
    pub kv: Arc<dyn KvView>,
    /// How to stop it.
    pub cancellation: Cancellation,
}

/// Stops calls. Clones stop the same ones.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<CancellationState>);

#[derive(Debug, Default)]
struct CancellationState {
    cancelled: AtomicBool,
    notify: Notify,
}

impl Cancellation {
    /// Stops every call that holds a clone, within the engine's tick, for good.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    async fn cancelled(&self) {
        let notified = self.0.notify.notified();
        tokio::pin!(notified);
        // Listening before looking: a cancellation in between is not missed.
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}

/// Where a replay went another way, and how many answers it did not ask for.
pub(crate) type Compared = (Option<Divergence>, usize);

/// Why a call's future ended.
enum End {
    Returned(wasmtime::Result<Vec<Val>>),
    Deadline,
    Cancelled,
    /// A capability ended it.
    Halted(FaultCode),
}

impl Tool {
    /// The arguments in the one form that is committed: what a call would hand to the guest,
    /// written out again.
    ///
    /// # Errors
    /// Where they do not fit the export's types.
    pub fn canonical_input(&self, input: &Value) -> Result<Value, JsonError> {
        let signature = &self.function.signature;
        json::canonical(signature, &json::arguments(signature, input)?)
    }

    /// Calls the function once in a fresh instance. It waits for a free instance first; the
    /// deadline counts from there. Needs a tokio runtime with time and I/O.
    ///
    /// Every end is a report: there is no error besides.
    pub async fn call(&self, input: &Value, context: CallContext) -> CallReport {
        self.answered(input, context, None).await.0
    }

    /// A call that the world answers, or a record; then also where it went another way.
    pub(crate) async fn answered(
        &self,
        input: &Value,
        context: CallContext,
        answers: Option<Answers>,
    ) -> (CallReport, Compared) {
        let arguments = match json::arguments(&self.function.signature, input) {
            Ok(arguments) => arguments,
            Err(error) => {
                return (unstarted(FaultCode::InvalidArguments, error.to_string()), Compared::default());
            }
        };
        let permit = tokio::select! {
            biased;
            () = context.cancellation.cancelled() => {
                let report = unstarted(FaultCode::Cancelled, "cancelled before it started".into());
                return (report, Compared::default());
            },
            permit = self.engine.permits.acquire() => permit,
        };
        // Room is asked for last: a call that waits for an instance keeps none from others.
        let room = self.engine.room.enter(self.grants.limits().memory, self.grants.together());
        let _taken = tokio::select! {
            biased;
            () = context.cancellation.cancelled() => {
                let report = unstarted(FaultCode::Cancelled, "cancelled before it started".into());
                return (report, Compared::default());
            },
            taken = room => taken,
        };
        // The semaphore lives as long as the engine and is never closed.
        let Ok(_permit) = permit else {
            let report = unstarted(FaultCode::Host, "the engine takes no calls any more".into());
            return (report, Compared::default());
        };

        let started = Instant::now();
        let limits = self.grants.limits();
        // A deadline beyond what the clock can say is none; limits are finite, so use the longest.
        let deadline =
            started.checked_add(limits.deadline).unwrap_or_else(|| started + Duration::from_secs(1 << 30));
        let cancellation = context.cancellation.clone();
        let recorder = Recorder::default();
        let halt = Halt::default();
        let replays = answers.is_some();
        let answering = match answers {
            Some(answers) => Answering::from_record(answers, halt.clone()),
            None => Answering::live(halt.clone()),
        };
        let host = (halt.clone(), answering.clone());
        let mut store = match self.store(context, &recorder, host, started, deadline) {
            Ok(store) => store,
            Err(error) => return (unstarted(FaultCode::Host, error.to_string()), Compared::default()),
        };

        let end = tokio::select! {
            biased;
            () = cancellation.cancelled() => End::Cancelled,
            () = tokio::time::sleep_until(deadline.into()) => End::Deadline,
            code = halt.halted() => End::Halted(code),
            result = self.run(&mut store, &arguments) => End::Returned(result),
        };

        // A guest that was quick, or answered an error with a trap of its own, is no better off.
        let end = match (end, halt.code()) {
            (End::Returned(_), Some(code)) => End::Halted(code),
            (end, _) => end,
        };
        let outcome = match end {
            End::Halted(code) => Outcome::Fault(Fault::new(code)),
            End::Returned(Ok(results)) => self.outcome(&results, limits.output),
            End::Returned(Err(error)) => {
                let state = store.data();
                Outcome::Fault(fault(&error, state.memory.refused, cancellation.is_cancelled()))
            }
            End::Deadline => Outcome::Fault(Fault::new(FaultCode::Deadline)),
            End::Cancelled => Outcome::Fault(Fault::new(FaultCode::Cancelled)),
        };
        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let mut state = store.into_data();
        let outcome = match outcome {
            Outcome::Fault(fault) => Outcome::Fault(fault.bounded(limits, state.kv.exceeded())),
            other => other,
        };
        let kv = state.kv.finish();
        let logs = state.log.take();
        let peak_memory = state.memory.peak as u64;
        let wall = started.elapsed();
        let (answers, compared) = if replays {
            let State { http, table, .. } = state;
            drop(table);
            http.finish().await;
            (Answers::default(), answering.compare(&kv.wanted()))
        } else {
            kv.wanted().into_iter().for_each(|wanted| answering.tell(wanted));
            (answering.finish(), Compared::default())
        };
        let (used, denied, more_denied) = recorder.finish();
        let report = CallReport {
            kv: if matches!(outcome, Outcome::Success(_)) { kv } else { KvDelta::default() },
            outcome,
            used,
            denied,
            more_denied,
            usage: Usage { fuel, peak_memory, wall },
            logs,
            answers,
        };
        (report, compared)
    }

    fn store(
        &self,
        context: CallContext,
        recorder: &Recorder,
        (halt, answering): (Halt, Answering),
        started: Instant,
        deadline: Instant,
    ) -> wasmtime::Result<Store<State>> {
        let (grants, limits) = (&self.grants, self.grants.limits());
        let log = LogBuffer::new(limits.logs);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(ToLog(log.clone())).stderr(ToLog(log.clone()));
        if grants.clock() == Clock::Real {
            let (recorder, answering) = (recorder.clone(), answering.clone());
            wasi.wall_clock(RealWall { recorder: recorder.clone(), answering: answering.clone() });
            wasi.monotonic_clock(RealMonotonic { recorder, answering, started });
        }
        sockets::configure(&mut wasi, grants.sockets(), answering.is_recorded());
        let secrets =
            Secrets::new(grants.secrets(), &self.secrets, &context.seed, &context.identity, recorder.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = State {
            table,
            wasi: wasi.build(),
            memory: Memory::new(limits.memory),
            files: Files::new(
                Arc::clone(&self.folders),
                limits.file_bytes,
                recorder.clone(),
                answering.clone(),
            ),
            variables: Variables::new(grants.env(), recorder.clone()),
            clock: VirtualClock::new(context.time),
            random: Generator::new(
                grants.random(),
                &context.seed,
                &context.identity,
                recorder.clone(),
                answering.clone(),
            ),
            kv: Kv::new(grants.kv(), limits, context.kv, recorder.clone(), answering.clone()),
            http: Http::new(
                grants.http(),
                limits,
                self.engine.network.clone(),
                deadline,
                secrets.clone(),
                recorder.clone(),
                (halt, answering.clone()),
            ),
            sockets: Sockets::new(grants.sockets(), recorder.clone(), answering.clone()),
            secrets,
            log,
            context: Context { idempotency_key: context.idempotency_key, attempt: context.attempt },
            answering,
            waits_for_world: waits_for_world(grants),
        };
        let mut store = Store::new(&self.engine.wasmtime, state);
        store.limiter(|state| &mut state.memory);
        store.set_fuel(limits.fuel)?;
        let output = usize::try_from(limits.output).unwrap_or(usize::MAX);
        store.set_hostcall_fuel(output.saturating_mul(COPY_PER_OUTPUT).max(MIN_COPY));
        let cancellation = context.cancellation;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            // Yielding lets the timer outside run; looking here as well holds where it is starved.
            let stop = cancellation.is_cancelled() || Instant::now() >= deadline;
            Ok(if stop { UpdateDeadline::Interrupt } else { UpdateDeadline::Yield(1) })
        });
        Ok(store)
    }

    async fn run(&self, store: &mut Store<State>, arguments: &[Val]) -> wasmtime::Result<Vec<Val>> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let function = instance.get_func(&mut *store, self.function.index);
        let function = function.ok_or_else(|| wasmtime::format_err!("the export is not a function"))?;
        let count = usize::from(self.function.signature.result != Returns::Nothing);
        let mut results = vec![Val::Bool(false); count];
        function.call_async(&mut *store, arguments, &mut results).await?;
        Ok(results)
    }

    fn outcome(&self, results: &[Val], limit: u64) -> Outcome {
        let lifted = match (&self.function.signature.result, results) {
            (Returns::Nothing, _) => Ok(Outcome::Success(Value::Null)),
            (Returns::Value(shape), [val]) => payload(Some(shape), Some(val), limit).map(Outcome::Success),
            (Returns::Fallible { ok, .. }, [Val::Result(Ok(val))]) => {
                payload(ok.as_ref(), val.as_deref(), limit).map(Outcome::Success)
            }
            (Returns::Fallible { err, .. }, [Val::Result(Err(val))]) => {
                payload(err.as_ref(), val.as_deref(), limit).map(|value| {
                    let typed = err.as_ref().is_some_and(is_typed_failure).then(|| typed_failure(&value));
                    typed.flatten().map_or(Outcome::ToolError(value), Outcome::Failure)
                })
            }
            _ => Err(Fault::new(FaultCode::MalformedResult)),
        };
        lifted.unwrap_or_else(Outcome::Fault)
    }
}

/// A result as JSON, within the limit.
fn payload(shape: Option<&Shape>, val: Option<&Val>, limit: u64) -> Result<Value, Fault> {
    let value = match (shape, val) {
        (Some(shape), Some(val)) => json::from_wit(shape, val)
            .map_err(|error| Fault { code: FaultCode::MalformedResult, message: error.to_string() })?,
        (None, None) => Value::Null,
        _ => return Err(Fault::new(FaultCode::MalformedResult)),
    };
    let mut room = Room(limit);
    match serde_json::to_writer(&mut room, &value) {
        Ok(()) => Ok(value),
        Err(_) => Err(Fault::new(FaultCode::OutputLimit)),
    }
}

/// Takes so many bytes and keeps none.
struct Room(u64);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.checked_sub(bytes.len() as u64) {
            Some(rest) => {
                self.0 = rest;
                Ok(bytes.len())
            }
            None => Err(std::io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether something that a call waits for is not the host's own doing.
fn waits_for_world(grants: &Grants) -> bool {
    grants.clock() == Clock::Real
        || !grants.filesystem().is_empty()
        || !grants.http().is_empty()
        || !grants.sockets().is_empty()
}

fn unstarted(code: FaultCode, message: String) -> CallReport {
    CallReport {
        outcome: Outcome::Fault(Fault { code, message }),
        used: Vec::new(),
        denied: Vec::new(),
        more_denied: 0,
        usage: Usage { fuel: 0, peak_memory: 0, wall: Duration::ZERO },
        logs: Vec::new(),
        kv: KvDelta::default(),
        answers: Answers::default(),
    }
}

/// Which fault an error of the engine is.
fn fault(error: &wasmtime::Error, memory_refused: bool, cancelled: bool) -> Fault {
    if let Some(stub) = error.downcast_ref::<StubCalled>() {
        let message =
            format!("the tool called {}, which its manifest declares a stub", stub.import.escape_default());
        return Fault { code: FaultCode::StubCalled, message };
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Fault {
            code: FaultCode::Exit,
            message: format!("the tool ended itself with status {}", exit.0),
        };
    }
    if let Some(unavailable) = error.downcast_ref::<KvUnavailable>() {
        return Fault { code: FaultCode::Host, message: unavailable.to_string() };
    }
    if let Some(Ended(code)) = error.downcast_ref() {
        return Fault::new(*code);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Fault::new(FaultCode::HandleLimit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::new(FaultCode::FuelExhausted),
        Some(Trap::Interrupt) if cancelled => Fault::new(FaultCode::Cancelled),
        Some(Trap::Interrupt) => Fault::new(FaultCode::Deadline),
        Some(Trap::StackOverflow) => Fault::new(FaultCode::StackOverflow),
        // A guest that gets no memory says so by a trap of its own choosing.
        Some(_) | None if memory_refused => Fault::new(FaultCode::MemoryLimit),
        Some(trap) => Fault { code: FaultCode::Trap, message: trap.to_string() },
        None if error.root_cause().to_string().ends_with(COPY_EXHAUSTED) => {
            Fault::new(FaultCode::OutputLimit)
        }
        // A host interface ended the call, for reasons that lie in what the guest asked of it.
        None => Fault { code: FaultCode::Trap, message: crate::load::escaped(&format!("{error:#}")) },
    }
}

impl Fault {
    fn new(code: FaultCode) -> Self {
        let message = match code {
            FaultCode::InvalidArguments => "the arguments do not fit",
            FaultCode::FuelExhausted => "the tool used up `limits.fuel`",
            FaultCode::MemoryLimit => "the tool wanted more than `limits.memory`",
            FaultCode::Deadline => "the tool took longer than `limits.deadline`",
            FaultCode::StackOverflow => "the tool's recursion went too deep",
            FaultCode::OutputLimit => "the tool's result is larger than `limits.output`",
            FaultCode::HandleLimit => "the tool opened too many files, streams or sockets",
            FaultCode::HttpLimit => {
                "the tool made more requests or moved more bytes than `limits.http_calls` and `limits.http_bytes` allow"
            }
            FaultCode::FileLimit => "the tool wanted to write more than `limits.file_bytes` into its folders",
            FaultCode::KvLimit => "the tool wanted to write or to keep more in its namespaces than it may",
            FaultCode::SecretMisplaced => {
                "the tool sent what stands for a secret where its grant does not put the secret"
            }
            FaultCode::SecretEcho => "the answer to a request repeated a secret",
            FaultCode::Cancelled => "the call was cancelled",
            FaultCode::Trap => "the tool trapped",
            FaultCode::Exit => "the tool ended itself",
            FaultCode::StubCalled => "the tool called a stub",
            FaultCode::MalformedResult => "the tool's result is not of its type",
            FaultCode::Host => "the host could not go on",
            FaultCode::NotRecorded => "the tool asked for something that the record has no answer to",
        };
        Self { code, message: message.to_owned() }
    }

    /// With the bound that was met, as it was in force. `kv`: which of those of the namespaces.
    fn bounded(self, limits: Limits, kv: Option<&'static str>) -> Self {
        let bound = match (self.code, kv) {
            (FaultCode::FuelExhausted, _) => format!("it is {}", limits.fuel),
            (FaultCode::MemoryLimit, _) => format!("it is {} bytes", limits.memory),
            (FaultCode::Deadline, _) => format!("it is {} ms", limits.deadline.as_millis()),
            (FaultCode::OutputLimit, _) => format!("it is {} bytes", limits.output),
            (FaultCode::FileLimit, _) => format!("it is {} bytes", limits.file_bytes),
            (FaultCode::HttpLimit, _) => {
                format!("they are {} and {} bytes", limits.http_calls, limits.http_bytes)
            }
            (FaultCode::KvLimit, Some("kv_bytes")) => {
                format!("`limits.kv_bytes`, for one call, is {} bytes", limits.kv_bytes)
            }
            (FaultCode::KvLimit, Some(held)) => {
                format!("`limits.{held}`, for all that is kept, is {} bytes", limits.kv_held)
            }
            _ => return self,
        };
        Self { message: format!("{}: {bound}", self.message), ..self }
    }
}
