//! A lane: one request at a time on the shared session.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use headway_core::engine::{Control, Job, Lane};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::Values;

use super::batch::Plan;
use super::feeds::{Feeds, release_all};
use super::raw::{OrtRunOptions, OrtValue};
use super::run_options::{OrtControl, RunConfig};
use super::session::Session;
use super::targets::{bound_of, finish};
use super::values::Outputs;
use crate::pool::{Entered, Pool};

/// A place on the shared session, with its own memory and its own terminate flag.
pub(super) struct OrtLane {
    pub(super) session: Arc<Session>,
    pub(super) pool: Arc<Pool>,
    /// Used by requests that bring no run options.
    control: Arc<OrtControl>,
    pub(super) feeds: Feeds,
    /// Wanted names (into `session`) and what the engine gave for them; kept for their capacity.
    pub(super) output_names: Vec<*const c_char>,
    /// The names are those of all outputs, left from the last request.
    pub(super) all_names: bool,
    pub(super) outputs: Vec<*mut OrtValue>,
    /// How requests are joined, where they are.
    pub(super) plan: Option<Arc<Plan>>,
}

// SAFETY: between runs the vectors hold names of the session, which any thread may read, and views of memory, which any
// thread may release; the rest is Send.
unsafe impl Send for OrtLane {}

impl OrtLane {
    pub(super) fn new(
        session: Arc<Session>,
        cache: usize,
        plan: Option<Arc<Plan>>,
    ) -> Result<OrtLane, Error> {
        let control = Arc::new(OrtControl::new(session.runtime, &RunConfig::default())?);
        let pool = Pool::new(cache);
        let (output_names, outputs) = (Vec::new(), Vec::new());
        let feeds = Feeds::default();
        Ok(OrtLane { session, pool, control, feeds, output_names, all_names: false, outputs, plan })
    }

    #[inline]
    pub(super) fn run_job(&mut self, entered: Option<&Entered>, job: &mut Job) {
        let result = self.run_one(entered, job);
        self.release();
        if let Inputs::Binding(owner) = &job.inputs {
            finish(owner, result.as_ref().ok());
        }
        if let (Some(_), Ok(values)) = (&self.plan, &result) {
            self.witness(job, values);
        }
        job.result = Some(result);
    }

    pub(super) fn run_one(&mut self, entered: Option<&Entered>, job: &Job) -> Result<Values, Error> {
        let options = match &job.options {
            None => self.control.raw(),
            Some(control) => options_of(control.as_ref())?,
        };
        let values = match &job.inputs {
            Inputs::Feeds(values) => values,
            Inputs::Binding(owner) => return self.run_bound(entered, bound_of(owner)?, &job.wanted, options),
        };
        // SAFETY: the job keeps its inputs' memory, and the caller releases the feeds before it lets the job go.
        unsafe { self.feeds.fill(&self.session, values, true) }?;
        self.want(&job.wanted)?;
        self.call(options)?;
        let from = Outputs { runtime: self.session.runtime, pool: &self.pool, entered };
        let take = |at: usize, value: *mut OrtValue| {
            let node = &self.session.info.outputs[at];
            // SAFETY: the run just gave this value, and only this lane has it.
            unsafe { from.take(node, self.session.output_kinds[at], value) }
        };
        let mut values = Values::with_capacity(self.outputs.len());
        for (at, &value) in self.outputs.iter().enumerate() {
            let at = match &job.wanted {
                Wanted::All => at,
                Wanted::Some(indices) => indices[at] as usize,
            };
            values.push(take(at, value)?);
        }
        Ok(values)
    }

    /// Fills the names of the wanted outputs.
    pub(super) fn want(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let names = &self.session.output_names;
        match wanted {
            Wanted::All if self.all_names => {}
            Wanted::All => {
                self.output_names.clear();
                self.output_names.extend(names.iter().map(|name| name.as_ptr()));
                self.all_names = true;
            }
            Wanted::Some(indices) => {
                self.output_names.clear();
                self.all_names = false;
                for &at in indices {
                    let name = names.get(at as usize).ok_or_else(|| no_output(at, names.len()))?;
                    self.output_names.push(name.as_ptr());
                }
            }
        }
        self.outputs.resize(self.output_names.len(), ptr::null_mut());
        Ok(())
    }

    pub(super) fn call(&mut self, options: *const OrtRunOptions) -> Result<(), Error> {
        call(
            &self.session,
            options,
            &self.feeds.names,
            &self.feeds.values,
            &self.output_names,
            &mut self.outputs,
        )
    }

    /// The same with names and inputs that a binding has kept.
    pub(super) fn call_with(
        &mut self,
        options: *const OrtRunOptions,
        names: &[*const c_char],
        feeds: &[*mut OrtValue],
        output_names: &[*const c_char],
    ) -> Result<(), Error> {
        call(&self.session, options, names, feeds, output_names, &mut self.outputs)
    }

    /// Releases every engine value of the request, on this thread.
    pub(super) fn release(&mut self) {
        let runtime = self.session.runtime;
        self.feeds.release(runtime);
        release_all(runtime, &mut self.outputs);
    }
}

impl Lane for OrtLane {
    fn run(&mut self, jobs: &mut [Job]) {
        // Nobody else enters a lane's pool; were it so, outputs would only be copied.
        let entered = self.pool.enter();
        match self.plan.clone() {
            Some(plan) if jobs.len() > 1 => self.run_batch(entered.as_ref(), &plan, jobs),
            _ => jobs.iter_mut().for_each(|job| self.run_job(entered.as_ref(), job)),
        }
    }

    fn refusal(&mut self) -> Option<Box<str>> {
        self.plan.as_ref()?.refusal()
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.control) as Arc<dyn Control>)
    }
}

impl Drop for OrtLane {
    fn drop(&mut self) {
        self.feeds.forget(self.session.runtime);
        self.pool.close();
    }
}

/// Runs the engine. The lists belong to one request of the session's: its names, and values that live until it returns.
#[inline]
fn call(
    session: &Session,
    options: *const OrtRunOptions,
    names: &[*const c_char],
    feeds: &[*mut OrtValue],
    output_names: &[*const c_char],
    outputs: &mut [*mut OrtValue],
) -> Result<(), Error> {
    let api = &session.runtime.api;
    debug_assert!(names.len() == feeds.len() && output_names.len() == outputs.len());
    // SAFETY: all arrays have the lengths told; names and session live as long as `session`; the options are held by the
    // job or by its lane.
    let status = unsafe {
        (api.run)(
            session.raw,
            options,
            names.as_ptr(),
            feeds.as_ptr().cast(),
            names.len(),
            output_names.as_ptr(),
            output_names.len(),
            outputs.as_mut_ptr(),
        )
    };
    api.check_run(status)
}

/// The engine's options behind a request's control.
fn options_of(control: &dyn Control) -> Result<*const OrtRunOptions, Error> {
    let own = control.as_any().downcast_ref::<OrtControl>().map(OrtControl::raw);
    own.ok_or_else(|| Error::new(ErrorKind::Input, "these run options were made by another engine"))
}

#[cold]
fn no_output(at: u32, count: usize) -> Error {
    Error::new(ErrorKind::Input, format!("there is no output number {at}: the model has {count}"))
}
