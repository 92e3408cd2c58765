//! An engine without a model: every request gives its inputs back. Steered by hand, for tests and measurements.
//!
//! Nothing in here sleeps: who waits, waits on a condition that the other side makes true.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use headway_core::engine::{BatchAxes, Control, Engine, Job, Lane, ModelInfo, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Value, Values};

/// Decides for each request whether it fails.
pub type Predicate = Arc<dyn Fn(&Job) -> Option<Error> + Send + Sync>;

/// How a [`FakeEngine`] starts.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// What the model says of itself.
    pub info: ModelInfo,
    /// True makes a terminate flag stop a held or busy request.
    pub can_cancel: bool,
    /// So many lanes can be opened; `None` is any number.
    pub max_lanes: Option<usize>,
    /// How long each request computes, on the CPU.
    pub busy: Duration,
    /// True starts with the gate closed: see [`FakeHandle::hold`].
    pub held: bool,
}

impl Default for FakeConfig {
    /// One float input `x` of any shape, one output `y` like it, an open gate.
    fn default() -> Self {
        let node = |name: &str, required| NodeInfo {
            name: name.into(),
            kind: ValueType::Tensor(DType::F32, None),
            required,
        };
        let info = ModelInfo {
            inputs: vec![node("x", true)],
            outputs: vec![node("y", true)],
            ..ModelInfo::default()
        };
        FakeConfig { info, can_cancel: true, max_lanes: None, busy: Duration::ZERO, held: false }
    }
}

/// The engine.
pub struct FakeEngine {
    info: ModelInfo,
    max_lanes: Option<usize>,
    handle: Arc<FakeHandle>,
}

impl FakeEngine {
    /// An engine that behaves as `config` says until its handle changes it.
    pub fn new(config: FakeConfig) -> FakeEngine {
        let steps = State { held: config.held, busy: config.busy, ..State::default() };
        let handle =
            FakeHandle { can_cancel: config.can_cancel, state: Mutex::new(steps), changed: Condvar::new() };
        FakeEngine { info: config.info, max_lanes: config.max_lanes, handle: Arc::new(handle) }
    }

    /// What steers it, also after the engine has been given away.
    pub fn handle(&self) -> Arc<FakeHandle> {
        Arc::clone(&self.handle)
    }

    /// Run options for one request.
    pub fn run_options(&self) -> Arc<dyn Control> {
        Arc::new(FakeControl::new(&self.handle))
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_lane(&self, id: usize) -> Result<Box<dyn Lane>, Error> {
        if self.max_lanes.is_some_and(|most| self.handle.state().lanes >= most) {
            return Err(Error::new(ErrorKind::Engine, format!("there is no lane number {id}")));
        }
        self.handle.state().lanes += 1;
        let control = Arc::new(FakeControl::new(&self.handle));
        Ok(Box::new(FakeLane { handle: self.handle(), control, outputs: self.info.outputs.len() }))
    }

    fn can_cancel(&self) -> bool {
        self.handle.can_cancel
    }

    /// Every batch is one call of a lane, as it is without: there is nothing to join.
    fn batch(&self, _axes: &BatchAxes) -> Result<(), Error> {
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Default)]
struct State {
    held: bool,
    /// Requests that may pass the closed gate.
    passes: usize,
    busy: Duration,
    fail_at: Vec<(u64, Error)>,
    predicate: Option<Predicate>,
    extra_outputs: usize,
    lanes: usize,
    running: usize,
    counts: FakeCounts,
}

/// What a [`FakeEngine`] has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FakeCounts {
    /// Requests begun.
    pub started: u64,
    /// Requests ended, well or badly.
    pub finished: u64,
    /// Requests that a terminate flag ended.
    pub terminated: u64,
    /// Calls of a lane: a batch is one.
    pub batches: u64,
    /// The largest batch.
    pub largest_batch: usize,
}

/// Steers a [`FakeEngine`] and looks into it, from any thread.
pub struct FakeHandle {
    can_cancel: bool,
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for FakeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeHandle({:?})", self.counts())
    }
}

impl FakeHandle {
    /// Closes the gate: requests that start from now on stay inside their lane until they are let go.
    pub fn hold(&self) {
        self.change(|state| state.held = true);
    }

    /// Lets `count` held requests go, whether they are there already or come later.
    pub fn release(&self, count: usize) {
        self.change(|state| state.passes += count);
    }

    /// Opens the gate: all held requests go, later ones are not held.
    pub fn open(&self) {
        self.change(|state| (state.held, state.passes) = (false, 0));
    }

    /// Request number `nth`, counted from 0 over the engine's life, fails with `error`.
    pub fn fail_nth(&self, nth: u64, error: Error) {
        self.change(|state| state.fail_at.push((nth, error)));
    }

    /// Every request for which `predicate` gives an error fails with it; `None` ends that.
    pub fn fail_when(&self, predicate: Option<Predicate>) {
        self.change(|state| state.predicate = predicate);
    }

    /// Every request gives so many outputs more than were wanted: a broken engine.
    pub fn give_extra_outputs(&self, count: usize) {
        self.change(|state| state.extra_outputs = count);
    }

    /// Every request computes so long, on the CPU.
    pub fn set_busy(&self, busy: Duration) {
        self.change(|state| state.busy = busy);
    }

    /// Waits until at least `count` requests are inside lanes at once.
    pub fn wait_running(&self, count: usize) {
        self.wait(|state| state.running >= count);
    }

    /// Waits until at least `count` requests have ended, over the engine's life.
    pub fn wait_finished(&self, count: u64) {
        self.wait(|state| state.counts.finished >= count);
    }

    /// The same, for at most `patience`. False when the time was up first.
    pub fn is_running_within(&self, count: usize, patience: Duration) -> bool {
        self.wait_for(patience, |state| state.running >= count)
    }

    /// [`FakeHandle::wait_finished`] for at most `patience`. False when the time was up first.
    pub fn is_finished_within(&self, count: u64, patience: Duration) -> bool {
        self.wait_for(patience, |state| state.counts.finished >= count)
    }

    /// Requests inside lanes at this moment.
    pub fn running(&self) -> usize {
        self.state().running
    }

    /// What happened so far.
    pub fn counts(&self) -> FakeCounts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change(&self, step: impl FnOnce(&mut State)) {
        step(&mut self.state());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let state = self.state();
        let waited = self.changed.wait_while(state, |state| !until(state));
        drop(waited.unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    fn wait_for(&self, patience: Duration, until: impl Fn(&State) -> bool) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, patience, |state| !until(state));
        !waited.unwrap_or_else(|poisoned| poisoned.into_inner()).1.timed_out()
    }

    /// Waits at the gate. False when the flag ended the request there.
    fn pass(&self, control: &FakeControl) -> bool {
        let blocked = |state: &mut State| state.held && state.passes == 0 && !control.stops();
        let waited = self.changed.wait_while(self.state(), blocked);
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        if control.stops() {
            return false;
        }
        if state.held {
            state.passes -= 1;
        }
        true
    }
}

/// A fake request's terminate flag.
struct FakeControl {
    flag: AtomicBool,
    handle: Arc<FakeHandle>,
}

impl FakeControl {
    fn new(handle: &Arc<FakeHandle>) -> FakeControl {
        FakeControl { flag: AtomicBool::new(false), handle: Arc::clone(handle) }
    }

    /// True when the request must end now.
    fn stops(&self) -> bool {
        self.handle.can_cancel && self.flag.load(Ordering::Relaxed)
    }
}

impl Control for FakeControl {
    fn terminate(&self) {
        // Under the handle's lock, or a request could test the flag just before and then wait for ever.
        self.handle.change(|_| self.flag.store(true, Ordering::Relaxed));
    }

    fn reset(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct FakeLane {
    handle: Arc<FakeHandle>,
    control: Arc<FakeControl>,
    outputs: usize,
}

/// What was decided for a request when it started.
struct Plan {
    error: Option<Error>,
    predicate: Option<Predicate>,
    busy: Duration,
    extra_outputs: usize,
}

impl FakeLane {
    fn start(&self) -> Plan {
        let mut state = self.handle.state();
        let nth = state.counts.started;
        state.counts.started += 1;
        state.running += 1;
        let failing = state.fail_at.iter().position(|&(at, _)| at == nth);
        let error = failing.map(|at| state.fail_at.swap_remove(at).1);
        let plan = Plan {
            error,
            predicate: state.predicate.clone(),
            busy: state.busy,
            extra_outputs: state.extra_outputs,
        };
        drop(state);
        self.handle.changed.notify_all();
        plan
    }

    fn run_one(&self, job: &Job, plan: Plan) -> Result<Values, Error> {
        let own = job.options.as_deref().and_then(|control| control.as_any().downcast_ref::<FakeControl>());
        let control = own.unwrap_or(&self.control);
        if !self.handle.pass(control) || !compute(plan.busy, control) {
            self.handle.change(|state| state.counts.terminated += 1);
            let said = "[ONNXRuntimeError] : 1 : FAIL : Exiting due to terminate flag being set to true.";
            return Err(Error::new(ErrorKind::Engine, said).with_code(1));
        }
        match plan.error.or_else(|| plan.predicate.and_then(|predicate| predicate(job))) {
            Some(error) => Err(error),
            None => Ok(self.echo(job, plan.extra_outputs)),
        }
    }

    /// Output number n is input number n, counted round when there are fewer inputs.
    fn echo(&self, job: &Job, extra: usize) -> Values {
        let Inputs::Feeds(feeds) = &job.inputs else { return Values::new() };
        let give = |at: usize| feeds.get(at % feeds.len().max(1)).cloned().unwrap_or(Value::None);
        let mut values: Values = match &job.wanted {
            Wanted::All => (0..self.outputs).map(give).collect(),
            Wanted::Some(indices) => indices.iter().map(|&at| give(at as usize)).collect(),
        };
        values.extend((0..extra).map(give));
        values
    }
}

/// Keeps the CPU busy. False when the flag ended it.
fn compute(busy: Duration, control: &FakeControl) -> bool {
    if busy.is_zero() {
        return true;
    }
    let start = Instant::now();
    while start.elapsed() < busy {
        if control.stops() {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

impl Lane for FakeLane {
    fn run(&mut self, jobs: &mut [Job]) {
        self.handle.change(|state| {
            state.counts.batches += 1;
            state.counts.largest_batch = state.counts.largest_batch.max(jobs.len());
        });
        for job in jobs {
            let plan = self.start();
            job.result = Some(self.run_one(job, plan));
            self.handle.change(|state| {
                state.running -= 1;
                state.counts.finished += 1;
            });
        }
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.control) as Arc<dyn Control>)
    }
}

impl Drop for FakeLane {
    fn drop(&mut self) {
        self.handle.state().lanes -= 1;
    }
}
