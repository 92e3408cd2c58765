//! Work on its way through a lane.

use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use crate::engine::{Job, Lane};
use crate::error::{Error, ErrorKind};

/// A batch that was taken, with the lane it runs on. Whoever took it owns the lane until `complete`.
pub struct Work {
    /// The lane's number.
    pub lane: usize,
    /// The requests, in schedule order.
    pub jobs: SmallVec<[Job; 1]>,
    /// The engine's lane; `None` when whoever takes the work runs it without one (a Python thread).
    pub(crate) engine: Option<Box<dyn Lane>>,
    /// Why the model turned out not to be batchable.
    pub(crate) refused: Option<Box<str>>,
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
    /// Runs the batch on the engine's lane. A panic in an engine fails the batch, not the process.
    pub fn run(&mut self) {
        let Some(engine) = self.engine.as_mut() else { return };
        let jobs = &mut self.jobs;
        if catch_unwind(AssertUnwindSafe(|| engine.run(jobs))).is_err() {
            for job in jobs.iter_mut() {
                job.result = Some(Err(Error::new(ErrorKind::Engine, "the engine panicked on this request")));
            }
        } else if jobs.len() > 1 {
            self.refused = engine.refusal();
        }
    }
}
