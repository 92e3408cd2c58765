//! A lane whose engine is in another process.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use headway_core::engine::{Control, Job, Lane};
use headway_core::error::{Error, ErrorKind};

use super::Crashed;
use super::fleet::Fleet;
use super::message::{Results, can_be_sent};
use super::process::{Called, Doom, LaneProcess};
use crate::pool::Pool;

/// Free memory that a lane keeps for small outputs.
const CACHE: usize = 4 << 20;

pub(super) struct IsolatedLane {
    fleet: Arc<Fleet>,
    id: usize,
    control: Arc<LaneControl>,
    pool: Arc<Pool>,
    /// How long a batch usually takes: what is quick is worth spinning for.
    usual: Duration,
    refused: Option<Box<str>>,
}

/// Stops a request by ending its process.
struct LaneControl {
    /// The flow keeps the control after close; the fleet and its descriptors are gone by then.
    fleet: Weak<Fleet>,
    stop: AtomicBool,
    running: Mutex<Option<Arc<LaneProcess>>>,
}

impl LaneControl {
    fn running(&self) -> MutexGuard<'_, Option<Arc<LaneProcess>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// From now on `terminate` ends this process. False when the request is to stop already.
    fn enter(&self, process: &Arc<LaneProcess>) -> bool {
        *self.running() = Some(Arc::clone(process));
        !self.stopped()
    }

    fn leave(&self) {
        *self.running() = None;
    }
}

impl Control for LaneControl {
    /// A flag, a signal and a wake-up: no waiting.
    fn terminate(&self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(process) = self.running().as_ref() {
            process.kill(Doom::Terminated);
        }
        if let Some(fleet) = self.fleet.upgrade() {
            fleet.wake();
        }
    }

    fn reset(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl IsolatedLane {
    pub(super) fn new(fleet: Arc<Fleet>, id: usize) -> IsolatedLane {
        let control = LaneControl {
            fleet: Arc::downgrade(&fleet),
            stop: AtomicBool::new(false),
            running: Mutex::new(None),
        };
        IsolatedLane {
            fleet,
            id,
            control: Arc::new(control),
            pool: Pool::new(CACHE),
            usual: Duration::ZERO,
            refused: None,
        }
    }

    /// The batch's answers, from whichever process lives to give them.
    fn answers(&mut self, jobs: &[Job]) -> Result<Results, Error> {
        let control = Arc::clone(&self.control);
        let mut crashes = 0;
        loop {
            let process = self.fleet.ready(self.id, &|| control.stopped())?;
            if !control.enter(&process) {
                control.leave();
                return Err(stopped());
            }
            let start = Instant::now();
            let called = process.call(self.fleet.axes.get(), jobs, &self.pool, self.patience());
            control.leave();
            if process.doom() == Doom::Retired {
                process.stop_if_idle();
            }
            match called {
                Called::Answered(results, refusal) => {
                    self.usual = (self.usual * 7 + start.elapsed()) / 8;
                    self.refused = refusal.map(String::into_boxed_str);
                    self.fleet.answered(self.id);
                    return Ok(results);
                }
                Called::Refused(error) => return Err(error),
                Called::Insane(error) => {
                    process.kill(Doom::Insane);
                    return Err(error);
                }
                Called::Died { .. } if control.stopped() => return Err(stopped()),
                // It had not begun: another process runs it, and nothing was lost.
                Called::Died { taken: false } => {}
                Called::Died { taken: true } if crashes < self.fleet.limits.retries => crashes += 1,
                Called::Died { taken: true } => return Err(crashed(&process, crashes)),
            }
        }
    }

    /// How long to look for an answer before sleeping.
    fn patience(&self) -> Duration {
        let spin = self.fleet.limits.spin;
        if self.usual < spin * 2 { spin } else { Duration::ZERO }
    }
}

#[cold]
fn stopped() -> Error {
    Error::new(ErrorKind::Engine, "the request was stopped, and its process ended")
}

#[cold]
fn crashed(process: &LaneProcess, retries: usize) -> Error {
    let again = match retries {
        0 => String::new(),
        1 => ", as did the one before it".to_owned(),
        more => format!(", as did the {more} before it"),
    };
    let (lane, pid, exit) = (process.lane, process.pid, process.exit());
    let text = format!(
        "process {pid} of lane {lane} {exit} while it ran this request{again}; another takes its place"
    );
    Error::new(ErrorKind::Engine, text).with_payload(Arc::new(Crashed { lane, pid, exit }))
}

impl IsolatedLane {
    fn run_together(&mut self, jobs: &mut [Job]) {
        match self.answers(jobs) {
            Ok(results) => {
                for (job, result) in jobs.iter_mut().zip(results) {
                    job.result = Some(result);
                }
            }
            Err(error) => jobs.iter_mut().for_each(|job| job.result = Some(Err(error.clone()))),
        }
    }
}

impl Lane for IsolatedLane {
    fn run(&mut self, jobs: &mut [Job]) {
        if jobs.len() > 1 && !jobs.iter().all(can_be_sent) {
            // What cannot be sent fails, and none of its company with it.
            jobs.chunks_mut(1).for_each(|job| self.run_together(job));
        } else {
            self.run_together(jobs);
        }
    }

    fn refusal(&mut self) -> Option<Box<str>> {
        self.refused.take()
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.control) as Arc<dyn Control>)
    }
}

impl Drop for IsolatedLane {
    fn drop(&mut self) {
        self.pool.close();
    }
}
