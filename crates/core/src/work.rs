//! Work on its way through a lane.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use crate::engine::{Job, Lane};
use crate::error::{Error, ErrorKind};
use crate::request::{Request, Wanted};

/// A batch that was taken, with the lane it runs on. Whoever took it owns the lane until `complete`.
///
/// Each lane has one, made with it and used again: what travels is a pointer.
pub struct Work(Box<Load>);

/// What work consists of.
pub struct Load {
    /// The lane's number.
    pub lane: usize,
    /// The requests, in schedule order.
    pub jobs: SmallVec<[Job; 1]>,
    /// The engine's lane; `None` when whoever takes the work runs it without one (a Python thread).
    pub(crate) engine: Option<Box<dyn Lane>>,
    /// Why the model turned out not to be batchable.
    pub(crate) refused: Option<Box<str>>,
}

impl Deref for Work {
    type Target = Load;

    fn deref(&self) -> &Load {
        &self.0
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut Load {
        &mut self.0
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("lane", &self.lane)
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

impl Work {
    pub(crate) fn new(lane: usize, engine: Option<Box<dyn Lane>>) -> Self {
        Work(Box::new(Load { lane, jobs: SmallVec::new(), engine, refused: None }))
    }

    /// Runs the batch on the engine's lane. A panic in an engine fails the batch, not the process.
    pub fn run(&mut self) {
        let load = &mut *self.0;
        let Some(engine) = load.engine.as_mut() else { return };
        let jobs = &mut load.jobs;
        if catch_unwind(AssertUnwindSafe(|| engine.run(jobs))).is_err() {
            for job in jobs.iter_mut() {
                job.result = Some(Err(Error::new(ErrorKind::Engine, "the engine panicked on this request")));
            }
        } else if jobs.len() > 1 {
            load.refused = engine.refusal();
        }
    }

    /// The engine has returned: lets go of the inputs, without the lock. What is left of the work may be dropped
    /// under it.
    pub(crate) fn release(&mut self) {
        for job in &mut self.jobs {
            drop(std::mem::take(&mut job.inputs));
            job.wanted = Wanted::All;
        }
    }
}

impl Job {
    /// Takes what a lane needs of a request.
    #[inline]
    pub(crate) fn of(request: &mut Request) -> Self {
        Job {
            inputs: std::mem::take(&mut request.inputs),
            wanted: std::mem::take(&mut request.wanted),
            options: request.options.take(),
            result: None,
        }
    }

    /// It holds something of the engine's, or an answer that nobody took: not to be dropped under the lock.
    pub(crate) fn is_left(&self) -> bool {
        self.options.is_some() || self.result.is_some()
    }
}
