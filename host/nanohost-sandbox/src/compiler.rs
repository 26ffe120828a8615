//! Compiling in a process of its own, which can be ended: a component of a few kilobytes can keep a
//! compiler busy for hours, or make it take all memory, and nothing inside of a process stops that.
//! Both sides of the pipe are here. Knows no component's meaning, and not how the executable is called.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wasmtime::InstanceAllocationStrategy;
use wasmtime::component::Component;

use crate::engine;
use crate::load::{LoadError, MAX_COMPONENT, escaped};

#[cfg(test)]
mod tests;

/// What compiling one component may take. The largest known tools (an interpreter inside) take twenty
/// seconds of two processors, and less than a gigabyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// From its beginning to its end.
    pub time: Duration,
    /// Memory that is written to, bytes.
    pub memory: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(120), memory: 4 << 30 }
    }
}

/// No answer is longer, bytes: code is a few times as large as its component.
const MAX_ANSWER: u64 = 512 << 20;

/// What an answer begins with.
const CODE: u8 = b'C';
const REFUSED: u8 = b'R';

/// How to start the process that compiles: one that calls [`compile_for_parent`] with its standard input
/// and output and does nothing else.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    args: Vec<OsString>,
    limits: CompileLimits,
}

/// Why there is no code.
enum Failed {
    /// The component is not accepted; the engine's words.
    Refused(String),
    /// It took more than it may.
    Limit,
    /// The process did not do its work.
    Broken(String),
}

impl Compiler {
    /// By the program at that path, which has to be as trustworthy as this process: the code it gives is run.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        limits: CompileLimits,
    ) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect(), limits }
    }

    /// Compiles in a process of its own.
    pub(crate) fn component(&self, engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component, LoadError> {
        let code = self.code(bytes).map_err(|failed| match failed {
            Failed::Refused(words) => LoadError::CompileFailed(words),
            Failed::Limit => LoadError::CompileLimit(self.limits),
            Failed::Broken(what) => LoadError::CompilerFailed(what),
        })?;
        #[expect(unsafe_code, reason = "the one place where native code comes from another process")]
        // SAFETY: the bytes have to come from `Component::serialize` or its like, unchanged. They come through
        // a pipe that nobody but this process and its child has, and the child is the program that the
        // owner of this engine named for it. The engine checks that it was built and set up alike.
        let component = unsafe { Component::deserialize(engine, code) };
        // It may ask for more than the pool has: that shows here, as where it is compiled in this process.
        component.map_err(|error| LoadError::CompileFailed(escaped(&format!("{error:#}"))))
    }

    fn code(&self, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut command = Command::new(&self.program);
        // It needs no variable, and a guest's compiler is given none.
        command.args(&self.args).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let broken = |error: io::Error| Failed::Broken(error.to_string());
        let mut child = Ended(command.spawn().map_err(broken)?);
        let (stdin, stdout) = (child.0.stdin.take(), child.0.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Failed::Broken("the process has no pipes".to_owned()));
        };
        let limits = self.limits;
        let answer = thread::scope(|scope| {
            scope.spawn(move || {
                // Who does not read to the end says why, or is ended.
                let _ = write_task(&mut stdin, limits, bytes);
            });
            let (send, answer) = mpsc::channel();
            scope.spawn(move || {
                let mut bytes = Vec::new();
                let read = stdout.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
                // Nobody waits any more where the time is over.
                let _ = send.send(read.map(|_| bytes));
            });
            let answer = answer.recv_timeout(limits.time);
            // Ended or not: with the process, its pipes end and both threads with them.
            let _ = child.0.kill();
            answer
        });
        let status = child.0.wait().map_err(broken)?;
        let answer = match answer {
            Ok(answer) => answer.map_err(broken)?,
            Err(RecvTimeoutError::Timeout) => return Err(Failed::Limit),
            Err(RecvTimeoutError::Disconnected) => return Err(Failed::Broken("a thread ended".to_owned())),
        };
        match answer.split_first() {
            Some((&CODE, code)) if answer.len() as u64 <= MAX_ANSWER => Ok(code.to_vec()),
            Some((&REFUSED, words)) => Err(Failed::Refused(escaped(&String::from_utf8_lossy(words)))),
            // It was ended before it said anything, by its limits or for want of memory.
            None if status.code().is_none() => Err(Failed::Limit),
            _ => Err(Failed::Broken(format!("the process that compiles ended with {status}"))),
        }
    }
}

/// What the parent says: the limits, then the component.
fn write_task(to: &mut impl Write, limits: CompileLimits, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&limits.time.as_secs().to_be_bytes())?;
    to.write_all(&limits.memory.to_be_bytes())?;
    to.write_all(bytes)
}

/// The whole of a process that compiles: reads limits and a component, binds itself to them for good, and
/// writes code, or why there is none. The process has one thread so far.
///
/// # Errors
/// Where the pipes fail, or this process cannot be bound.
pub fn compile_for_parent(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let (mut seconds, mut memory) = ([0; 8], [0; 8]);
    from.read_exact(&mut seconds)?;
    from.read_exact(&mut memory)?;
    bind(u64::from_be_bytes(seconds), u64::from_be_bytes(memory))?;
    let mut bytes = Vec::new();
    from.take(MAX_COMPONENT as u64 + 1).read_to_end(&mut bytes)?;
    let mut config = engine::config().0;
    // Nothing runs here: no pool, which would count as memory.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let code = wasmtime::Engine::new(&config).and_then(|engine| engine.precompile_component(&bytes));
    let (kind, answer) = match code {
        Ok(code) => (CODE, code),
        Err(error) => (REFUSED, escaped(&format!("{error:#}")).into_bytes()),
    };
    to.write_all(&[kind])?;
    to.write_all(&answer)?;
    to.flush()
}

/// Bounds of this process that it cannot lift again.
#[cfg(unix)]
fn bind(seconds: u64, memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    for (resource, most) in [
        (Resource::Data, memory),
        // The parent looks at the clock; this holds where the parent is gone.
        (Resource::Cpu, seconds.saturating_add(1).saturating_mul(cores)),
        // It writes no files, and leaves no image of itself.
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        // What this process was given itself may be less, and cannot be more again.
        let most = getrlimit(resource).maximum.map_or(most, |inherited| inherited.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

/// Elsewhere the parent's clock is the only bound.
#[cfg(not(unix))]
fn bind(_seconds: u64, _memory: u64) -> io::Result<()> {
    Ok(())
}

/// Is ended with the value, however that goes.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl fmt::Display for CompileLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seconds or {} MiB", self.time.as_secs_f64(), self.memory >> 20)
    }
}
