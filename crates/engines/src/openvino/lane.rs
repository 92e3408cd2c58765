//! A lane: one infer request.

use std::sync::{Arc, PoisonError};

use headway_core::engine::{Control, Job, Lane};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{Value, Values};

use super::engine::Session;
use super::outputs::Output;
use super::profile;
use super::request::{Request, no_options};
use super::tensor::{self, wrong};
use crate::pool::Pool;

/// An infer request of its own, with the memory that its outputs live in.
pub(super) struct OpenVinoLane {
    session: Arc<Session>,
    request: Arc<Request>,
    outputs: Vec<Output>,
    pool: Arc<Pool>,
}

impl OpenVinoLane {
    pub(super) fn new(session: Arc<Session>) -> Result<OpenVinoLane, Error> {
        let request = session.requests.make(&session.compiled, session.can_cancel)?;
        let outputs = session.info.outputs.iter().map(Output::new).collect::<Result<_, _>>()?;
        let pool = Pool::new(session.lane_cache);
        Ok(OpenVinoLane { session, request, outputs, pool })
    }

    fn run_one(&mut self, job: &Job) -> Result<Values, Error> {
        if job.options.is_some() {
            return Err(no_options());
        }
        let Inputs::Feeds(feeds) = &job.inputs else {
            return Err(Error::new(ErrorKind::Input, "the openvino engine runs no IOBinding"));
        };
        self.check_wanted(&job.wanted)?;
        self.feed(feeds)?;
        for (at, output) in self.outputs.iter_mut().enumerate() {
            // SAFETY: only this lane runs the request, and not now.
            unsafe { output.prepare(at, &self.request, &self.pool) }?;
        }
        // SAFETY: the job keeps its inputs' memory until the lane has returned, the lane that of its outputs. A request
        // that fails before this point runs with other inputs next time: `feed` sets them all.
        unsafe { self.request.infer() }?;
        self.keep_profile();
        self.take(&job.wanted)
    }

    fn check_wanted(&self, wanted: &Wanted) -> Result<(), Error> {
        let Wanted::Some(indices) = wanted else { return Ok(()) };
        let count = self.outputs.len();
        match indices.iter().find(|&&at| at as usize >= count) {
            Some(at) => {
                let text = format!("there is no output number {at}: the model has {count}");
                Err(Error::new(ErrorKind::Input, text))
            }
            None => Ok(()),
        }
    }

    fn feed(&self, feeds: &Values) -> Result<(), Error> {
        let (runtime, nodes) = (self.session.compiled.runtime, &self.session.info.inputs);
        if feeds.len() != nodes.len() {
            let text = format!("{} values were fed, but the model has {} inputs", feeds.len(), nodes.len());
            return Err(Error::new(ErrorKind::Input, text));
        }
        for (at, (node, value)) in nodes.iter().zip(feeds).enumerate() {
            let Value::Tensor(tensor) = value else {
                return Err(wrong(&node.name, "expected a tensor on the CPU"));
            };
            // SAFETY: the job keeps the memory until the lane has returned, and this is set anew before every run.
            let over = unsafe { tensor::over(runtime, &node.name, tensor) }?;
            // SAFETY: the request is live and does not run.
            runtime.api.check_run(unsafe { (runtime.api.set_input)(self.request.raw, at, over.raw()) })?;
        }
        Ok(())
    }

    fn take(&mut self, wanted: &Wanted) -> Result<Values, Error> {
        let (request, pool) = (&self.request, &self.pool);
        match wanted {
            Wanted::All => {
                let outputs = self.outputs.iter_mut().enumerate();
                // SAFETY: the request has just run well, and the next run prepares its outputs first.
                outputs.map(|(at, output)| unsafe { output.take(at, request, pool) }).collect()
            }
            Wanted::Some(indices) => {
                let mut values = Values::with_capacity(indices.len());
                for (nth, &at) in indices.iter().enumerate() {
                    let value = match indices.iter().position(|&other| other == at) {
                        // Asked for twice: the same elements.
                        Some(first) if first < nth => values[first].clone(),
                        // SAFETY: as above.
                        _ => unsafe { self.outputs[at as usize].take(at as usize, request, pool) }?,
                    };
                    values.push(value);
                }
                Ok(values)
            }
        }
    }

    /// Notes what the nodes took, where that is counted.
    fn keep_profile(&self) {
        let Some(kept) = &self.session.profile else { return };
        // A device without counters says so; the request itself went well.
        if let Ok(timings) = profile::read(&self.request) {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = timings;
        }
    }
}

impl Lane for OpenVinoLane {
    fn run(&mut self, jobs: &mut [Job]) {
        // Outputs that nobody has taken come from the lane's own lists, without a lock.
        let entered = self.pool.enter();
        for job in jobs {
            job.result = Some(self.run_one(job));
        }
        drop(entered);
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.request) as Arc<dyn Control>)
    }
}

impl Drop for OpenVinoLane {
    fn drop(&mut self) {
        self.pool.close();
    }
}
