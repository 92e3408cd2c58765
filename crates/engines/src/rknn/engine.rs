//! Loading a model: every check and every context first, threads later.

use std::any::Any;
use std::ffi::c_void;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::engine::{Engine, Lane, ModelInfo};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::{Data, Value};

use super::api;
use super::attr::{TensorAttr, element_of};
use super::bound::Bound;
use super::context::{Context, Source};
use super::lane::{Fed, Ready, RknnLane};
use super::model::{InputPlan, Plans};
use super::options::{Form, LanePlace, Priority, RknnOptions};
use super::raw::{flag, query};
use crate::library;
use crate::pool::Pool;

/// Free memory that a lane keeps between runs.
const LANE_CACHE: usize = 64 << 20;

/// Where the model comes from.
#[derive(Debug, Clone)]
pub enum RknnSource<'a> {
    /// A file.
    Path(PathBuf),
    /// A file's contents; not needed any more once loading has returned.
    Bytes(&'a [u8]),
}

/// What every lane needs of a loaded model.
pub(super) struct Loaded {
    pub(super) plans: Plans,
    pub(super) info: ModelInfo,
    pub(super) perf: bool,
    pub(super) perf_text: Mutex<Option<String>>,
    pub(super) buffers: usize,
    pub(super) zero_copy: bool,
    pub(super) memory: Form,
    /// Contexts that no lane has.
    idle: Mutex<Vec<Ready>>,
}

/// What the runtime says of itself and of the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RknnFacts {
    /// The runtime's file.
    pub library: PathBuf,
    /// The runtime's version.
    pub api_version: String,
    /// The driver's version.
    pub driver_version: String,
    /// Inputs as the runtime says them.
    pub inputs: Vec<TensorAttr>,
    /// Outputs as the runtime says them.
    pub outputs: Vec<TensorAttr>,
    /// Inputs as the NPU has them in memory.
    pub native_inputs: Vec<TensorAttr>,
    /// Outputs as the NPU has them in memory.
    pub native_outputs: Vec<TensorAttr>,
    /// Bytes of weights, internal tensors, DMA memory, SRAM, free SRAM; `None` where the runtime does not say.
    pub memory: Option<[u64; 5]>,
}

/// A model loaded by Rockchip's runtime.
pub struct RknnEngine {
    loaded: Arc<Loaded>,
    facts: RknnFacts,
    /// Whose weights others may share. Only keeps the context alive.
    first: Arc<Context>,
}

impl RknnEngine {
    /// Loads the runtime (once for each process) and the model, and makes a context for every lane. What was made is
    /// unmade on any error.
    ///
    /// # Errors
    /// `Load`, with the runtime's code when it was the runtime that refused.
    pub fn load(source: RknnSource<'_>, options: &RknnOptions) -> Result<RknnEngine, Error> {
        let source = match &source {
            RknnSource::Path(path) => {
                check_file(path)?;
                Source::Path(path)
            }
            RknnSource::Bytes(bytes) => {
                check_magic(bytes, "the model's bytes")?;
                Source::Bytes(bytes)
            }
        };
        let api = api::load(options.library.as_deref())?;
        let operators = operators(&options.custom_ops)?;
        let maker = Maker { api, source, options, operators, master: master(options)? };
        let places: &[LanePlace] = &options.lanes;
        let mut contexts: Vec<Arc<Context>> = Vec::with_capacity(places.len());
        for place in places {
            let context = maker.context(contexts.first())?;
            if let Some(mask) = place.mask {
                context.set_core_mask(mask, &place.name)?;
            }
            contexts.push(Arc::new(context));
        }
        let Some(first) = contexts.first().cloned() else {
            return Err(Error::new(ErrorKind::Load, "no lanes were asked for"));
        };
        let plans = Plans::read(&first, options.layout, options.outputs)?;
        let facts = facts(&first, &plans);
        let info = plans.info(first.custom_string(), "");
        let zero_copy = options.zero_copy || api.inputs_set.is_none() || api.outputs_get.is_none();
        let loaded = Loaded {
            info,
            perf: options.perf,
            perf_text: Mutex::new(None),
            buffers: options.buffers,
            zero_copy,
            memory: options.form,
            plans,
            idle: Mutex::new(Vec::new()),
        };
        let mut idle = Vec::with_capacity(contexts.len());
        for (number, (context, place)) in contexts.into_iter().zip(places).enumerate() {
            idle.push(loaded.ready(context, number, place.name.clone())?);
        }
        *loaded.idle.lock().unwrap_or_else(PoisonError::into_inner) = idle;
        Ok(RknnEngine { loaded: Arc::new(loaded), facts, first })
    }

    /// What the runtime says of itself and of the model.
    pub fn facts(&self) -> &RknnFacts {
        &self.facts
    }

    /// Times of every layer of the last run, as the runtime writes them; with `perf` only.
    pub fn perf_detail(&self) -> Option<String> {
        self.loaded.perf_text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Engine for RknnEngine {
    fn name(&self) -> &'static str {
        "rknn"
    }

    fn info(&self) -> &ModelInfo {
        &self.loaded.info
    }

    fn open_lane(&self, id: usize) -> Result<Box<dyn Lane>, Error> {
        let ready = {
            let mut idle = self.loaded.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let own = idle.iter().position(|ready| ready.number == id).or_else(|| idle.len().checked_sub(1));
            own.map(|at| idle.remove(at))
        };
        let Some(ready) = ready else {
            let text = format!("there is no lane number {id}: every context of this model has one");
            return Err(Error::new(ErrorKind::Load, text));
        };
        let pool = Pool::new(LANE_CACHE);
        Ok(Box::new(RknnLane { loaded: Arc::clone(&self.loaded), ready: Some(ready), pool }))
    }

    fn can_cancel(&self) -> bool {
        false
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Loaded {
    fn ready(&self, context: Arc<Context>, number: usize, place: String) -> Result<Ready, Error> {
        let outputs: Vec<TensorAttr> = self.plans.outputs.iter().map(|plan| plan.attr.clone()).collect();
        let bound = match self.zero_copy {
            true => Some(Bound::new(self, &context, &outputs, 0, false)?),
            false => None,
        };
        Ok(Ready { context, place, number, set: 0, outputs, bound })
    }

    /// A lane has gone: its context may have another. What callers hold of its memory stays in its rings.
    pub(super) fn take_back(&self, ready: Ready) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(ready);
    }

    /// What was fed, after a look at everything that the runtime would believe.
    pub(super) fn check<'a>(&self, values: &'a [Value]) -> Result<Vec<Fed<'a>>, Error> {
        let wrong = |text: String| Error::new(ErrorKind::Input, text);
        let inputs = &self.plans.inputs;
        if values.len() != inputs.len() {
            return Err(wrong(format!("expected {} inputs, got {}", inputs.len(), values.len())));
        }
        let one = |(plan, value): (&InputPlan, &'a Value)| {
            let name = &plan.attr.name;
            let Value::Tensor(tensor) = value else {
                return Err(wrong(format!("input {name:?}: expected a tensor in the CPU's memory")));
            };
            let (Data::Memory(memory), Some(_)) = (&tensor.data, element_of(tensor.dtype)) else {
                return Err(wrong(format!("input {name:?}: the NPU takes no {}", tensor.dtype.as_str())));
            };
            if memory.len != tensor.dtype.byte_len(tensor.count()) {
                return Err(wrong(format!(
                    "input {name:?}: its memory is not as large as its dimensions say"
                )));
            }
            let start = std::ptr::with_exposed_provenance(memory.addr);
            Ok(Fed { dtype: tensor.dtype, dims: &tensor.dims, start })
        };
        inputs.iter().zip(values).map(one).collect()
    }
}

/// Makes contexts of one model.
struct Maker<'a> {
    api: &'static api::Api,
    source: Source<'a>,
    options: &'a RknnOptions,
    operators: Vec<*mut c_void>,
    master: Option<Arc<Context>>,
}

impl Maker<'_> {
    /// A duplicate of `first` where that is possible, else the model once more.
    fn context(&self, first: Option<&Arc<Context>>) -> Result<Context, Error> {
        // Neither operators nor another model's weights come along with a duplicate.
        let may = self.options.duplicate && self.operators.is_empty() && self.master.is_none();
        if let Some(made) = first.filter(|_| may).and_then(Context::duplicate) {
            return made;
        }
        let context = Context::init(self.api, self.source, self.flags(), self.master.as_ref())?;
        for &operator in &self.operators {
            context.register(operator)?;
        }
        Ok(context)
    }

    fn flags(&self) -> u32 {
        let priority = match self.options.priority {
            Priority::High => flag::PRIORITY_HIGH,
            Priority::Medium => flag::PRIORITY_MEDIUM,
            Priority::Low => flag::PRIORITY_LOW,
        };
        let sram = if self.options.sram { flag::ENABLE_SRAM } else { 0 };
        let perf = if self.options.perf { flag::COLLECT_PERF } else { 0 };
        priority | sram | perf
    }
}

fn master(options: &RknnOptions) -> Result<Option<Arc<Context>>, Error> {
    let Some(engine) = &options.share_weights else { return Ok(None) };
    match engine.as_any().downcast_ref::<RknnEngine>() {
        Some(engine) => Ok(Some(Arc::clone(&engine.first))),
        None => Err(Error::new(ErrorKind::Load, "share_weights: expected a session on the rknn engine")),
    }
}

/// The operators that the libraries bring. They are never unloaded.
fn operators(paths: &[PathBuf]) -> Result<Vec<*mut c_void>, Error> {
    let one = |path: &PathBuf| {
        let (library, _) =
            library::open("custom_ops", std::slice::from_ref(path), "Name the operator's library file.")?;
        let wrong =
            |text: &str| Error::new(ErrorKind::Load, format!("custom_ops: {}: {text}", path.display()));
        // SAFETY: the type that the runtime's reference gives the symbol.
        let get = unsafe { library.get::<unsafe extern "C" fn() -> *mut c_void>(b"get_rknn_custom_op\0") };
        let get = get.map_err(|_| wrong("it has no function get_rknn_custom_op"))?;
        // SAFETY: takes nothing.
        let operator = unsafe { get() };
        if operator.is_null() { Err(wrong("get_rknn_custom_op gave nothing")) } else { Ok(operator) }
    };
    paths.iter().map(one).collect()
}

fn facts(context: &Context, plans: &Plans) -> RknnFacts {
    let (api_version, driver_version) = context.versions();
    let native = |question, count: usize, fallback| {
        context.attrs(question, count as u32, fallback).unwrap_or_default()
    };
    RknnFacts {
        library: context.api.path.clone(),
        api_version,
        driver_version,
        native_inputs: native(query::NATIVE_INPUT_ATTR, plans.inputs.len(), "input"),
        native_outputs: native(query::NATIVE_OUTPUT_ATTR, plans.outputs.len(), "output"),
        inputs: plans.inputs.iter().map(|plan| plan.attr.clone()).collect(),
        outputs: plans.outputs.iter().map(|plan| plan.attr.clone()).collect(),
        memory: context.memory().map(|size| {
            [
                u64::from(size.weights),
                u64::from(size.internal),
                size.dma,
                u64::from(size.sram),
                u64::from(size.free_sram),
            ]
        }),
    }
}

fn check_file(path: &Path) -> Result<(), Error> {
    let wrong = |reason: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Load, format!("{}: the model cannot be read: {reason}", path.display()))
    };
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(4).read_to_end(&mut head).map_err(|error| wrong(&error))?;
    check_magic(&head, &path.display().to_string())
}

/// A clear word before the runtime's own, which is only a number.
fn check_magic(head: &[u8], what: &str) -> Result<(), Error> {
    let text = match head.get(..4) {
        Some(b"RKNN") => return Ok(()),
        Some(b"RKNX") => {
            "it is a model of the RKNX kind (RKNPU3), which librknnrt does not run; convert it for RK3588, RK3576, \
             RK3568 or another chip of that family"
        }
        _ => "it does not start as an RKNN model does; make one with rknn-toolkit2",
    };
    Err(Error::new(ErrorKind::Load, format!("{what}: {text}")))
}
