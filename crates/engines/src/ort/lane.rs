//! A lane: one request at a time on the shared session.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use headway_core::engine::{Control, Job, Lane, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{Value, Values};

use super::raw::{OrtRunOptions, OrtValue};
use super::run_options::{OrtControl, RunConfig};
use super::session::Session;
use super::values::{self, Outputs};
use crate::pool::{Entered, Pool};

/// A place on the shared session, with its own memory and its own terminate flag.
pub(super) struct OrtLane {
    session: Arc<Session>,
    pool: Arc<Pool>,
    /// Used by requests that bring no run options.
    control: Arc<OrtControl>,
    feeds: Feeds,
    /// Wanted names (into `session`) and what the engine gave for them; kept for their capacity.
    output_names: Vec<*const c_char>,
    outputs: Vec<*mut OrtValue>,
}

/// Names (into the session) and values of what is fed; kept for their capacity.
#[derive(Default)]
struct Feeds {
    names: Vec<*const c_char>,
    values: Vec<*mut OrtValue>,
}

// SAFETY: between runs the vectors are empty; the rest is Send.
unsafe impl Send for OrtLane {}

impl OrtLane {
    pub(super) fn new(session: Arc<Session>, cache: usize) -> Result<OrtLane, Error> {
        let control = Arc::new(OrtControl::new(session.runtime, &RunConfig::default())?);
        let pool = Pool::new(cache);
        let (output_names, outputs) = (Vec::new(), Vec::new());
        Ok(OrtLane { session, pool, control, feeds: Feeds::default(), output_names, outputs })
    }

    fn run_one(&mut self, entered: Option<&Entered>, job: &Job) -> Result<Values, Error> {
        let Inputs::Feeds(values) = &job.inputs else {
            return Err(Error::new(ErrorKind::Engine, "bindings are not supported by this engine yet"));
        };
        let options = match &job.options {
            None => self.control.raw(),
            Some(control) => options_of(control.as_ref())?,
        };
        // SAFETY: the job keeps its inputs' memory, and the caller releases the feeds before it lets the job go.
        unsafe { self.feeds.fill(&self.session, values) }?;
        self.want(&job.wanted)?;
        self.call(options)?;
        let from = Outputs { runtime: self.session.runtime, pool: &self.pool, entered };
        let take = |at: usize, value: *mut OrtValue| {
            let node = &self.session.info.outputs[at];
            // SAFETY: the run just gave this value, and only this lane has it.
            unsafe { from.take(&node.name, self.session.output_kinds[at], value) }
        };
        match &job.wanted {
            Wanted::All => self.outputs.iter().enumerate().map(|(at, &value)| take(at, value)).collect(),
            Wanted::Some(indices) => {
                indices.iter().zip(&self.outputs).map(|(&at, &value)| take(at as usize, value)).collect()
            }
        }
    }

    /// Fills the names of the wanted outputs.
    fn want(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let names = &self.session.output_names;
        match wanted {
            Wanted::All => self.output_names.extend(names.iter().map(|name| name.as_ptr())),
            Wanted::Some(indices) => {
                for &at in indices {
                    let name = names.get(at as usize).ok_or_else(|| no_output(at, names.len()))?;
                    self.output_names.push(name.as_ptr());
                }
            }
        }
        self.outputs.resize(self.output_names.len(), ptr::null_mut());
        Ok(())
    }

    fn call(&mut self, options: *const OrtRunOptions) -> Result<(), Error> {
        let api = &self.session.runtime.api;
        let (names, feeds) = (&self.feeds.names, &self.feeds.values);
        // SAFETY: all arrays have the lengths told; names and session live as long as `self.session`; the options are
        // held by the job or by this lane.
        let status = unsafe {
            (api.run)(
                self.session.raw,
                options,
                names.as_ptr(),
                feeds.as_ptr().cast(),
                names.len(),
                self.output_names.as_ptr(),
                self.output_names.len(),
                self.outputs.as_mut_ptr(),
            )
        };
        api.check_run(status)
    }

    /// Releases every engine value of the request, on this thread.
    fn release(&mut self) {
        let api = &self.session.runtime.api;
        for value in self.feeds.values.drain(..).chain(self.outputs.drain(..)) {
            if !value.is_null() {
                // SAFETY: made for this request, released once.
                unsafe { (api.release_value)(value) };
            }
        }
        self.feeds.names.clear();
        self.output_names.clear();
    }
}

impl Lane for OrtLane {
    fn run(&mut self, jobs: &mut [Job]) {
        // Nobody else enters a lane's pool; were it so, outputs would only be copied.
        let entered = self.pool.enter();
        for job in jobs {
            let result = self.run_one(entered.as_ref(), job);
            self.release();
            job.result = Some(result);
        }
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.control) as Arc<dyn Control>)
    }
}

impl Drop for OrtLane {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl Feeds {
    /// # Safety
    /// The values' memory stays readable until the feeds are released.
    unsafe fn fill(&mut self, session: &Session, values: &[Value]) -> Result<(), Error> {
        if values.len() > session.input_names.len() {
            return Err(too_many(values.len(), session.input_names.len()));
        }
        let mut missing = values.len() < session.info.inputs.len();
        for (at, value) in values.iter().enumerate() {
            let tensor = match value {
                Value::Tensor(tensor) => tensor,
                Value::None => {
                    missing |= session.info.inputs.get(at).is_some_and(needed);
                    continue;
                }
                Value::Opaque(_) => return Err(not_a_tensor(&session.node(at).name)),
            };
            // SAFETY: passed on.
            let made = unsafe { values::make(session.runtime, &session.node(at).name, tensor) }?;
            self.names.push(session.input_names[at].as_ptr());
            self.values.push(made);
        }
        if missing { check_missing(session, values) } else { Ok(()) }
    }
}

impl Session {
    /// Input number `at`, counting on into the initializers.
    fn node(&self, at: usize) -> &NodeInfo {
        let inputs = &self.info.inputs;
        inputs.get(at).unwrap_or_else(|| &self.info.initializers[at - inputs.len()])
    }
}

/// True for an input that the engine cannot run without.
fn needed(node: &NodeInfo) -> bool {
    node.required && !matches!(&node.kind, ValueType::Other(words) if words.starts_with("optional("))
}

#[cold]
fn check_missing(session: &Session, values: &[Value]) -> Result<(), Error> {
    let fed = |at: usize| values.get(at).is_some_and(|value| !matches!(value, Value::None));
    let inputs = session.info.inputs.iter().enumerate();
    let quoted = |name: &str| format!("'{name}'");
    let missing: Vec<_> = inputs
        .clone()
        .filter(|&(at, node)| needed(node) && !fed(at))
        .map(|(_, node)| quoted(&node.name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let given: Vec<_> = inputs.filter(|&(at, _)| fed(at)).map(|(_, node)| quoted(&node.name)).collect();
    let (missing, given) = (missing.join(", "), given.join(", "));
    let text = format!("Required inputs ([{missing}]) are missing from input feed ([{given}]).");
    Err(Error::new(ErrorKind::Input, text))
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

#[cold]
fn too_many(got: usize, most: usize) -> Error {
    Error::new(ErrorKind::Input, format!("{got} values were given, but the model takes at most {most}"))
}

#[cold]
fn not_a_tensor(name: &str) -> Error {
    Error::new(ErrorKind::Input, format!("input {name:?}: expected a tensor"))
}
