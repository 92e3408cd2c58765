//! The processes of a session: what its lanes, its supervisor and its callers share.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use headway_core::engine::{BatchAxes, ModelInfo};
use headway_core::error::{Error, ErrorKind};
use rustix::event::{EventfdFlags, eventfd};

use super::breaker::{Breaker, Gate};
use super::process::{Doom, Exit, LaneProcess};
use super::{Crashed, Limits};
use crate::ort::{LogLine, log_line};

/// One lane's place in the fleet.
#[derive(Default)]
struct Berth {
    /// Whom requests go to.
    process: Option<Arc<LaneProcess>>,
    /// Another one is being started.
    starting: bool,
    restarts: u64,
    /// Its processes that the supervisor was told to start and that have not ended.
    alive: usize,
}

struct State {
    berths: Vec<Berth>,
    /// Lanes whose process the supervisor is to start.
    orders: Vec<usize>,
    breaker: Breaker,
    stopping: bool,
    /// Why a process could not load the model, for whoever waits until all of them have it.
    failure: Option<Error>,
    /// What went wrong last.
    trouble: Option<(String, Crashed)>,
}

/// What the threads of a session share.
pub(super) struct Fleet {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the supervisor.
    pub(super) bell: OwnedFd,
    pub(super) limits: Limits,
    /// What the first process said of its model, and what the loader is to know.
    pub(super) loaded: OnceLock<(ModelInfo, String)>,
    /// Along which axes requests are joined, where they are.
    pub(super) axes: OnceLock<BatchAxes>,
    /// The breaker counts something: an answer is news.
    troubled: AtomicBool,
    epoch: Instant,
}

/// A lane's process in `health()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    /// `ready`, `starting`, or `stopped` while the breaker is open.
    pub state: &'static str,
    /// Its process, if there is one.
    pub pid: Option<u32>,
    /// How often it was replaced.
    pub restarts: u64,
}

/// Whether a request may be given to the process.
fn serves(process: &LaneProcess) -> bool {
    !process.is_dead() && process.doom() == Doom::None
}

pub(super) fn log(severity: i32, lane: usize, message: impl Into<String>) {
    log_line(LogLine { severity, category: format!("lane {lane}"), message: message.into() });
}

impl Fleet {
    /// A fleet whose supervisor is about to start `lanes` processes.
    pub(super) fn new(lanes: usize, limits: Limits) -> std::io::Result<Arc<Fleet>> {
        let berths = (0..lanes).map(|_| Berth { starting: true, ..Berth::default() }).collect();
        let state = State {
            berths,
            orders: (0..lanes).collect(),
            breaker: Breaker::default(),
            stopping: false,
            failure: None,
            trouble: None,
        };
        Ok(Arc::new(Fleet {
            state: Mutex::new(state),
            changed: Condvar::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            limits,
            loaded: OnceLock::new(),
            axes: OnceLock::new(),
            troubled: AtomicBool::new(false),
            epoch: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn ring(&self) {
        // Failing means that it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Has whoever waits look again.
    pub(super) fn wake(&self) {
        // Under the lock, or a thread could look just before and then sleep.
        drop(self.state());
        self.changed.notify_all();
    }

    // ---- what lanes ask

    /// The lane's process, waiting for it to be started. `stopped` ends the wait.
    ///
    /// # Errors
    /// When the breaker is open, the session closes, or the wait was ended.
    pub(super) fn ready(&self, lane: usize, stopped: &dyn Fn() -> bool) -> Result<Arc<LaneProcess>, Error> {
        let mut state = self.state();
        loop {
            if stopped() || state.stopping {
                return Err(Error::new(ErrorKind::Engine, "the request was stopped"));
            }
            let berth = &state.berths[lane];
            match &berth.process {
                Some(process) if serves(process) => return Ok(Arc::clone(process)),
                // The supervisor sees its death in a moment.
                Some(_) => {}
                None if berth.starting => {}
                None => match state.breaker.gate(self.now()) {
                    Gate::Open(left) => return Err(held_back(&state, left)),
                    Gate::Closed | Gate::HalfOpen => self.order(&mut state, lane),
                },
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes sure that there is a lane of this number.
    pub(super) fn open(&self, lane: usize) {
        let mut state = self.state();
        while state.berths.len() <= lane {
            state.berths.push(Berth::default());
        }
        let berth = &state.berths[lane];
        if berth.process.is_none() && !berth.starting {
            self.order(&mut state, lane);
        }
    }

    fn order(&self, state: &mut State, lane: usize) {
        state.berths[lane].starting = true;
        state.orders.push(lane);
        self.ring();
    }

    /// A process has answered a request.
    pub(super) fn answered(&self, lane: usize) {
        if self.troubled.load(Ordering::Relaxed) {
            let mut state = self.state();
            if state.breaker.answered() {
                log(1, lane, "a process answers again: lanes are started as before");
            }
            self.troubled.store(false, Ordering::Relaxed);
        }
    }

    // ---- what the supervisor asks and tells

    /// Lanes whose process is to be started, and whether all of them are to end.
    pub(super) fn orders(&self) -> (Vec<usize>, bool) {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut counter);
        let mut state = self.state();
        let orders = std::mem::take(&mut state.orders);
        if state.stopping {
            return (Vec::new(), true);
        }
        // In the same look as `stopping`, or who waits for the end could see none while one is being started.
        orders.iter().for_each(|&lane| state.berths[lane].alive += 1);
        (orders, false)
    }

    /// Whether it is the model that the first process had: the file may be another's by now.
    pub(super) fn is_the_model(&self, info: &ModelInfo) -> bool {
        let same = |(first, _): &(ModelInfo, String)| {
            (&first.inputs, &first.outputs) == (&info.inputs, &info.outputs)
        };
        self.loaded.get().is_none_or(same)
    }

    /// A process has its model loaded: requests go to it. The one that it replaces ends once it has nothing to run.
    pub(super) fn moored(&self, process: &Arc<LaneProcess>, info: ModelInfo, facts: String) {
        let _ = self.loaded.set((info, facts));
        let mut state = self.state();
        let berth = &mut state.berths[process.lane];
        berth.starting = false;
        let old = berth.process.replace(Arc::clone(process));
        if old.is_some() {
            berth.restarts += 1;
        }
        drop(state);
        if let Some(old) = old {
            old.retire(Doom::Retired);
        }
        self.changed.notify_all();
    }

    /// A process could not be started, or died. `loading`: before it had its model.
    pub(super) fn lost(&self, lane: usize, process: Option<&Arc<LaneProcess>>, loading: bool, why: &str) {
        let mut state = self.state();
        let doom = process.map_or(Doom::None, |process| process.doom());
        let berth = &mut state.berths[lane];
        berth.alive = berth.alive.saturating_sub(1);
        if loading {
            berth.starting = false;
        } else if berth
            .process
            .as_ref()
            .is_some_and(|current| process.is_some_and(|one| Arc::ptr_eq(one, current)))
        {
            berth.process = None;
            berth.restarts += 1;
        }
        let (pid, exit) = process.map_or((0, Exit::Unknown), |process| (process.pid, process.exit()));
        if !state.stopping && matches!(doom, Doom::None | Doom::Insane) {
            log(3, lane, why);
            state.trouble = Some((why.to_owned(), Crashed { lane, pid, exit }));
            if state.breaker.crashed(self.now()) {
                let count = state.breaker.crashes();
                log(
                    3,
                    lane,
                    format!("{count} crashes and no answer in between: no process is started for a while"),
                );
            }
            self.troubled.store(state.breaker.counts(), Ordering::Relaxed);
        }
        let empty = state.berths[lane].process.is_none() && !state.berths[lane].starting;
        if self.loaded.get().is_some()
            && empty
            && !state.stopping
            && state.breaker.gate(self.now()) == Gate::Closed
        {
            self.order(&mut state, lane);
        } else if empty {
            // Nobody starts it any more unless a request asks for it: whoever waits for it to load would wait for ever.
            state.failure.get_or_insert_with(|| Error::new(ErrorKind::Load, why));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A process says why it cannot load the model.
    pub(super) fn failed(&self, error: Error) {
        self.state().failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Has a lane's process replaced; it serves until the next one is ready.
    pub(super) fn replace(&self, process: &LaneProcess) -> bool {
        let mut state = self.state();
        let berth = &state.berths[process.lane];
        let current = berth.process.as_ref().is_some_and(|current| current.pid == process.pid);
        let may =
            current && !berth.starting && !state.stopping && state.breaker.gate(self.now()) == Gate::Closed;
        if may {
            self.order(&mut state, process.lane);
        }
        may
    }

    // ---- what the engine asks

    /// Waits until every process has its model; false when the time is up.
    ///
    /// # Errors
    /// What keeps one of them from loading it.
    pub(super) fn wait_loaded(&self, timeout: Duration) -> Result<bool, Error> {
        let pending = |state: &mut State| {
            state.failure.is_none() && state.berths.iter().any(|berth| berth.process.is_none())
        };
        let waited = self.changed.wait_timeout_while(self.state(), timeout, pending);
        let (mut state, timed) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.failure.take() {
            Some(error) => Err(error),
            None => Ok(!timed.timed_out()),
        }
    }

    /// Ends all processes. Gives the lanes that have one left at `until`.
    pub(super) fn stop(&self, until: Option<Instant>) -> Vec<usize> {
        let mut state = self.state();
        state.stopping = true;
        self.changed.notify_all();
        self.ring();
        while state.berths.iter().any(|berth| berth.alive > 0) {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            // A day stands for ever: every look asks again.
            let waited = self.changed.wait_timeout(state, left.unwrap_or(Duration::from_secs(86_400)));
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let lanes = state.berths.iter().enumerate().filter(|(_, berth)| berth.alive > 0);
        lanes.map(|(lane, _)| lane).collect()
    }

    /// Each lane's process, and what went wrong last.
    pub(super) fn report(&self) -> (Vec<LaneReport>, Option<String>) {
        let state = self.state();
        let report = |berth: &Berth| {
            let process = berth.process.as_ref().filter(|process| serves(process));
            let state = match process {
                Some(_) => "ready",
                None if berth.starting || berth.process.is_some() => "starting",
                None => "stopped",
            };
            LaneReport { state, pid: process.map(|process| process.pid), restarts: berth.restarts }
        };
        let trouble = state.trouble.as_ref().map(|(text, _)| text.clone());
        (state.berths.iter().map(report).collect(), trouble)
    }
}

#[cold]
fn held_back(state: &State, left: Duration) -> Error {
    let count = state.breaker.crashes();
    let last = state.trouble.as_ref().map_or("", |(text, _)| text.as_str());
    let text = format!(
        "the lanes' processes crashed {count} times without an answer in between, so none is started for {:.1} s; \
         the last: {last}",
        left.as_secs_f64()
    );
    let error = Error::new(ErrorKind::Engine, text);
    match &state.trouble {
        Some((_, crashed)) => error.with_payload(Arc::new(*crashed)),
        None => error,
    }
}
