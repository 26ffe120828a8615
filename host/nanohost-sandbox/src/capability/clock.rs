//! `wasi:clocks`: virtual (a function of the call, advancing by what the guest does) or the
//! host's own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nanohost_core::{Class, Clock, Timestamp};
use wasmtime::Result;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, async_trait};

use crate::answering::Answering;
use crate::answers::Entry;
use crate::record::Recorder;
use crate::state::State;

/// How far reading the virtual clock advances it: time that stood still would hang a guest that
/// waits for it.
const STEP: u64 = 1_000;

/// Adds the interfaces as granted. In a replay no clock is real: the record is read, and waiting takes
/// no time.
pub(crate) fn link(linker: &mut Linker<State>, clock: Clock, replays: bool) -> Result<()> {
    match clock {
        Clock::Denied => Ok(()),
        Clock::Real if replays => {
            wall_clock::add_to_linker::<State, Replayed>(linker, |state| Replay(view(state)))?;
            monotonic_clock::add_to_linker::<State, Replayed>(linker, |state| Replay(view(state)))
        }
        Clock::Virtual => {
            wall_clock::add_to_linker::<State, Virtual>(linker, view)?;
            monotonic_clock::add_to_linker::<State, Virtual>(linker, view)
        }
        Clock::Real => {
            wall_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
            monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)
        }
    }
}

/// Time that starts at a given moment and moves by what the guest does. Waiting takes no time of
/// the host's: it moves the clock to the moment waited for.
#[derive(Debug, Clone)]
pub(crate) struct VirtualClock(Arc<Mutex<Virtually>>);

#[derive(Debug)]
struct Virtually {
    opened: Duration,
    /// Nanoseconds since `opened`.
    now: u64,
    /// The moments that somebody waits for. Only the earliest is reached by waiting.
    awaited: BTreeSet<(u64, u64)>,
    timers: u64,
}

impl VirtualClock {
    pub(crate) fn new(opened: Timestamp) -> Self {
        let opened = Duration::from_millis(u64::try_from(opened.as_millis()).unwrap_or(0));
        Self(Arc::new(Mutex::new(Virtually { opened, now: 0, awaited: BTreeSet::new(), timers: 0 })))
    }

    fn read(&self) -> (Duration, u64) {
        let mut clock = self.lock();
        clock.now = clock.now.saturating_add(STEP);
        (clock.opened, clock.now)
    }

    fn timer(&self, when: impl FnOnce(u64) -> u64) -> Timer {
        let mut clock = self.lock();
        clock.timers += 1;
        Timer { clock: self.clone(), when: when(clock.now), id: clock.timers }
    }

    fn lock(&self) -> MutexGuard<'_, Virtually> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Timer {
    clock: VirtualClock,
    when: u64,
    id: u64,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        let waiting = Waiting::start(self);
        loop {
            // All timers that are polled together are known before the first one fires.
            tokio::task::yield_now().await;
            let mut clock = waiting.0.clock.lock();
            if self.when <= clock.now || clock.awaited.first() == Some(&(self.when, self.id)) {
                clock.now = clock.now.max(self.when);
                return;
            }
        }
    }
}

/// A timer that is being polled. One that no longer is must not hold up the others.
struct Waiting<'a>(&'a Timer);

impl<'a> Waiting<'a> {
    fn start(timer: &'a Timer) -> Self {
        timer.clock.lock().awaited.insert((timer.when, timer.id));
        Self(timer)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.clock.lock().awaited.remove(&(self.0.when, self.0.id));
    }
}

struct Virtual;

impl wasmtime::component::HasData for Virtual {
    type Data<'a> = VirtualView<'a>;
}

struct VirtualView<'a> {
    clock: &'a VirtualClock,
    table: &'a mut ResourceTable,
    answering: &'a Answering,
}

fn view(state: &mut State) -> VirtualView<'_> {
    VirtualView { clock: &state.clock, table: &mut state.table, answering: &state.answering }
}

impl wall_clock::Host for VirtualView<'_> {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        let (opened, since) = self.clock.read();
        let now = opened.saturating_add(Duration::from_nanos(since));
        Ok(wall_clock::Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000 })
    }
}

impl monotonic_clock::Host for VirtualView<'_> {
    fn now(&mut self) -> Result<monotonic_clock::Instant> {
        Ok(self.clock.read().1)
    }

    fn resolution(&mut self) -> Result<monotonic_clock::Duration> {
        Ok(STEP)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> Result<Resource<DynPollable>> {
        let timer = self.table.push(self.clock.timer(|_| when))?;
        subscribe(self.table, timer)
    }

    fn subscribe_duration(&mut self, span: monotonic_clock::Duration) -> Result<Resource<DynPollable>> {
        let timer = self.table.push(self.clock.timer(|now| now.saturating_add(span)))?;
        subscribe(self.table, timer)
    }
}

/// What the host's clocks say of how fine they are.
const REAL_WALL: Duration = Duration::from_millis(1);
const REAL_MONOTONIC: u64 = 1;

/// The host's wall clock, recorded.
pub(crate) struct RealWall {
    pub(crate) recorder: Recorder,
    pub(crate) answering: Answering,
}

impl HostWallClock for RealWall {
    fn resolution(&self) -> Duration {
        REAL_WALL
    }

    fn now(&self) -> Duration {
        self.recorder.operation(Class::Clock, "real");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.answering.tell(Entry::Wall { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() });
        now
    }
}

/// The host's monotonic clock, recorded. It counts from the start of the call.
pub(crate) struct RealMonotonic {
    pub(crate) recorder: Recorder,
    pub(crate) answering: Answering,
    pub(crate) started: std::time::Instant,
}

impl HostMonotonicClock for RealMonotonic {
    fn resolution(&self) -> u64 {
        REAL_MONOTONIC
    }

    fn now(&self) -> u64 {
        self.recorder.operation(Class::Clock, "real");
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.answering.tell(Entry::Monotonic { now });
        now
    }
}

/// The host's clocks as a record has them.
struct Replayed;

impl wasmtime::component::HasData for Replayed {
    type Data<'a> = Replay<'a>;
}

struct Replay<'a>(VirtualView<'a>);

impl Replay<'_> {
    /// The next reading of the monotonic clock; nothing matters any more where there is none.
    fn monotonic(&self) -> u64 {
        match self.0.answering.ask(&Entry::Monotonic { now: 0 }) {
            Some((_, Entry::Monotonic { now })) => now,
            _ => 0,
        }
    }
}

impl wall_clock::Host for Replay<'_> {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        Ok(match self.0.answering.ask(&Entry::Wall { seconds: 0, nanoseconds: 0 }) {
            Some((_, Entry::Wall { seconds, nanoseconds })) => wall_clock::Datetime { seconds, nanoseconds },
            _ => wall_clock::Datetime { seconds: 0, nanoseconds: 0 },
        })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: REAL_WALL.as_secs(), nanoseconds: REAL_WALL.subsec_nanos() })
    }
}

impl monotonic_clock::Host for Replay<'_> {
    fn now(&mut self) -> Result<monotonic_clock::Instant> {
        Ok(self.monotonic())
    }

    fn resolution(&mut self) -> Result<monotonic_clock::Duration> {
        Ok(REAL_MONOTONIC)
    }

    fn subscribe_instant(&mut self, _when: monotonic_clock::Instant) -> Result<Resource<DynPollable>> {
        // The real one reads its clock for this.
        self.monotonic();
        monotonic_clock::Host::subscribe_instant(&mut self.0, 0)
    }

    fn subscribe_duration(&mut self, _span: monotonic_clock::Duration) -> Result<Resource<DynPollable>> {
        monotonic_clock::Host::subscribe_instant(&mut self.0, 0)
    }
}
