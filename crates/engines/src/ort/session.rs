//! Loading a model, and the engine that the flow sees.

use std::any::Any;
use std::ffi::CString;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, OnceLock};

use headway_core::engine::{BatchAxes, Control, Engine, Lane, ModelInfo, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::batch::Plan;
use super::initializers::Kept;
use super::lane::OrtLane;
use super::options::{Options, SessionConfig, Threads};
use super::providers::{self, Provider};
use super::raw::OrtSession;
use super::run_options::{OrtControl, RunConfig};
use super::runtime::{LibrarySource, Runtime};
use super::text::{OsText, Pairs, c_string};
use super::{allocator, devices, model};
use crate::trim;

/// Free memory that a lane keeps between runs unless told otherwise.
const LANE_CACHE: usize = 256 << 20;

/// Where the model comes from.
#[derive(Debug, Clone)]
pub enum ModelSource<'a> {
    /// A file.
    Path(PathBuf),
    /// A file's contents; not needed any more once loading has returned.
    Bytes(&'a [u8]),
}

/// Everything that loading needs.
#[derive(Debug, Clone)]
pub struct LoadOptions<'a> {
    /// Where the engine's library is.
    pub library: LibrarySource,
    /// The model.
    pub model: ModelSource<'a>,
    /// Session options.
    pub config: SessionConfig,
    /// Execution providers, best first. The CPU comes last by itself.
    pub providers: Vec<Provider>,
}

impl<'a> LoadOptions<'a> {
    /// Loads `model` with default options on the CPU.
    pub fn new(library: LibrarySource, model: ModelSource<'a>) -> Self {
        LoadOptions { library, model, config: SessionConfig::default(), providers: Vec::new() }
    }
}

/// What kind of values an output gives, as far as the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputKind {
    /// A tensor of plain elements.
    Plain,
    /// A tensor of strings.
    Strings,
    /// Anything else, or unknown: asked of every value.
    Other,
}

/// The engine's session and what every lane needs of it.
pub(super) struct Session {
    pub(super) runtime: &'static Runtime,
    pub(super) raw: *mut OrtSession,
    /// Names of the inputs, then of the overridable initializers, as the C side wants them.
    pub(super) input_names: Vec<CString>,
    pub(super) output_names: Vec<CString>,
    pub(super) output_kinds: Vec<OutputKind>,
    pub(super) info: ModelInfo,
    /// Goes after the engine's session.
    _kept: Kept,
}

// SAFETY: a session may run on many threads at once; it is released once, by the last holder.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the last holder is going, so no lane runs.
        unsafe { (self.runtime.api.release_session)(self.raw) };
        allocator::shared_pool().trim();
        trim::give_back();
    }
}

/// A model loaded by ONNX Runtime.
pub struct OrtEngine {
    session: Arc<Session>,
    lane_cache: usize,
    threads: Threads,
    /// Set before lanes are opened.
    plan: OnceLock<Arc<Plan>>,
}

impl OrtEngine {
    /// Loads the library (once for each process) and the model.
    ///
    /// # Errors
    /// `Load`, with the engine's code when it was the engine that refused.
    pub fn load(options: LoadOptions<'_>) -> Result<OrtEngine, Error> {
        Self::load_on(Runtime::get(&options.library)?, options)
    }

    pub(super) fn load_on(runtime: &'static Runtime, options: LoadOptions<'_>) -> Result<OrtEngine, Error> {
        let native = Options::new(runtime, &options.config)?;
        providers::append(runtime, &native, &options.providers)?;
        devices::append(runtime, &native, &options.config)?;
        let kept = Kept::add(runtime, &native, &options.config)?;
        if matches!(options.model, ModelSource::Bytes(_)) {
            Options::refuse_kept_bytes(&options.config)?;
        }
        let raw = create(runtime, &native, &options.model)?;
        let mut session = Session {
            runtime,
            raw,
            input_names: Vec::new(),
            output_names: Vec::new(),
            output_kinds: Vec::new(),
            info: ModelInfo::default(),
            _kept: kept,
        };
        native.check_canceled()?;
        // SAFETY: just made.
        session.info = unsafe { model::read(runtime, raw) }?;
        session.cache_names()?;
        let lane_cache = options.config.lane_cache_bytes.unwrap_or(LANE_CACHE);
        Ok(OrtEngine {
            session: Arc::new(session),
            lane_cache,
            threads: native.threads,
            plan: OnceLock::new(),
        })
    }

    /// Makes run options for one request.
    ///
    /// # Errors
    /// `Input` when the engine refuses an entry.
    pub fn run_options(&self, config: &RunConfig) -> Result<Arc<dyn Control>, Error> {
        let control = Arc::new(OrtControl::new(self.session.runtime, config)?);
        if let Some(flag) = &config.flag {
            flag.reach(&control);
        }
        Ok(control)
    }

    /// The library that runs this model.
    pub fn runtime(&self) -> &'static Runtime {
        self.session.runtime
    }

    /// The threads that its operators run on.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// Changes options of the execution providers in use.
    ///
    /// # Errors
    /// What the engine says; `Load` when this library is older than 1.20.
    pub fn set_dynamic_options(&self, pairs: &[(String, String)]) -> Result<(), Error> {
        let runtime = self.session.runtime;
        let set = runtime.needs(runtime.api.newer.set_dynamic_options, "dynamic options", "1.20")?;
        let status = Pairs::new(pairs)?.with(|keys, values, count| {
            // SAFETY: the session is live; the engine copies the strings.
            unsafe { set(self.session.raw, keys, values, count) }
        });
        runtime.api.check(status, ErrorKind::Engine)
    }

    /// Ends profiling and gives the profile's file name; empty when profiling is off.
    ///
    /// # Errors
    /// What the engine says.
    pub fn end_profiling(&self) -> Result<String, Error> {
        let runtime = self.session.runtime;
        let mut name = ptr::null_mut();
        // SAFETY: the session is live; an out parameter.
        let status = unsafe { (runtime.api.end_profiling)(self.session.raw, runtime.allocator, &mut name) };
        runtime.api.check(status, ErrorKind::Engine)?;
        // SAFETY: made by that allocator just now.
        unsafe { runtime.take_text(name) }
    }

    /// When profiling started, on the engine's own clock, in nanoseconds.
    ///
    /// # Errors
    /// What the engine says.
    pub fn profiling_start_ns(&self) -> Result<u64, Error> {
        let runtime = self.session.runtime;
        let mut nanoseconds = 0;
        // SAFETY: the session is live; an out parameter.
        let status = unsafe { (runtime.api.profiling_start_ns)(self.session.raw, &mut nanoseconds) };
        runtime.api.check(status, ErrorKind::Engine)?;
        Ok(nanoseconds)
    }
}

impl Engine for OrtEngine {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn info(&self) -> &ModelInfo {
        &self.session.info
    }

    fn open_lane(&self, _id: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(OrtLane::new(Arc::clone(&self.session), self.lane_cache, self.plan.get().cloned())?))
    }

    fn can_cancel(&self) -> bool {
        true
    }

    fn batch(&self, axes: &BatchAxes) -> Result<(), Error> {
        let taken = || Error::new(ErrorKind::Input, "batching: the model's axes are set already");
        self.plan.set(Arc::new(Plan::new(axes.clone()))).map_err(|_| taken())
    }

    fn places_outputs(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn create(runtime: &Runtime, options: &Options, model: &ModelSource<'_>) -> Result<*mut OrtSession, Error> {
    let (api, env) = (&runtime.api, runtime.environment()?.raw);
    let mut raw = ptr::null_mut();
    let status = match model {
        ModelSource::Path(path) => {
            let path = OsText::new(path);
            // SAFETY: environment and options are live; the path is read during the call.
            unsafe { (api.create_session)(env, path.as_ptr(), options.raw, &mut raw) }
        }
        ModelSource::Bytes(bytes) => {
            // SAFETY: as above; the options that would keep the bytes were refused.
            unsafe {
                (api.create_session_from_array)(
                    env,
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    options.raw,
                    &mut raw,
                )
            }
        }
    };
    api.check(status, ErrorKind::Load)?;
    Ok(raw)
}

impl Session {
    fn cache_names(&mut self) -> Result<(), Error> {
        let names = |nodes: &[NodeInfo]| {
            nodes.iter().map(|node| c_string(&node.name, ErrorKind::Load)).collect::<Result<Vec<_>, _>>()
        };
        self.input_names = names(&self.info.inputs)?;
        self.input_names.extend(names(&self.info.initializers)?);
        self.output_names = names(&self.info.outputs)?;
        self.output_kinds = self.info.outputs.iter().map(|node| kind(&node.kind)).collect();
        Ok(())
    }
}

fn kind(kind: &ValueType) -> OutputKind {
    match kind {
        ValueType::Tensor(DType::String, _) => OutputKind::Strings,
        ValueType::Tensor(..) => OutputKind::Plain,
        ValueType::Other(_) => OutputKind::Other,
    }
}
