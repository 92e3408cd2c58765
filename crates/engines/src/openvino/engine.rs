//! Loading a model, and the engine that the flow sees.

use std::any::Any;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::engine::{Engine, Lane, ModelInfo};
use headway_core::error::Error;

use super::lane::OpenVinoLane;
use super::model::{self, Compiled, ModelSource};
use super::profile::NodeTiming;
use super::request::Requests;
use super::runtime::Runtime;
use crate::trim;

/// Free memory that a lane keeps between runs.
const LANE_CACHE: usize = 256 << 20;

/// Everything that loading needs.
#[derive(Debug, Clone)]
pub struct LoadOptions<'a> {
    /// Places of OpenVINO's C library, tried in this order.
    pub candidates: Vec<PathBuf>,
    /// The model.
    pub model: ModelSource<'a>,
    /// `CPU`, `GPU`, `NPU`, `AUTO`, ... by OpenVINO's names.
    pub device: String,
    /// OpenVINO's properties and their values in words.
    pub properties: Vec<(String, String)>,
}

impl<'a> LoadOptions<'a> {
    /// Loads `model` on the CPU with OpenVINO's defaults.
    pub fn new(candidates: Vec<PathBuf>, model: ModelSource<'a>) -> Self {
        LoadOptions { candidates, model, device: "CPU".into(), properties: Vec::new() }
    }
}

/// The compiled model and what every lane needs of it.
pub(super) struct Session {
    pub(super) compiled: Arc<Compiled>,
    pub(super) requests: Requests,
    pub(super) info: ModelInfo,
    pub(super) can_cancel: bool,
    pub(super) lane_cache: usize,
    /// What the nodes of the last request took; `None` when that is not counted.
    pub(super) profile: Option<Mutex<Vec<NodeTiming>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        trim::give_back();
    }
}

/// A model compiled by OpenVINO.
pub struct OpenVinoEngine {
    session: Arc<Session>,
}

impl OpenVinoEngine {
    /// Loads the library (once for each process) and the model.
    ///
    /// # Errors
    /// `Load`, with OpenVINO's code when it was OpenVINO that refused.
    pub fn load(options: LoadOptions<'_>) -> Result<OpenVinoEngine, Error> {
        Self::load_on(Runtime::get(&options.candidates)?, options)
    }

    /// Loads the model on a library that is there.
    pub(super) fn load_on(
        runtime: &'static Runtime,
        options: LoadOptions<'_>,
    ) -> Result<OpenVinoEngine, Error> {
        let read = model::read(runtime, &options.model)?;
        let compiled = read.compile(&options.device, &options.properties)?;
        let info = read.info(&compiled)?;
        let counts = |(name, value): &(String, String)| {
            name == "PERF_COUNT" && matches!(value.to_ascii_uppercase().as_str(), "YES" | "TRUE" | "1" | "ON")
        };
        let session = Session {
            compiled: Arc::new(compiled),
            requests: Requests::default(),
            info,
            // The others accept `cancel` and go on.
            can_cancel: options.device.eq_ignore_ascii_case("CPU"),
            lane_cache: LANE_CACHE,
            profile: options.properties.iter().any(counts).then(Mutex::default),
        };
        Ok(OpenVinoEngine { session: Arc::new(session) })
    }

    /// The library that runs this model.
    pub fn runtime(&self) -> &'static Runtime {
        self.session.compiled.runtime
    }

    /// The value of one of the compiled model's properties, in OpenVINO's words.
    ///
    /// # Errors
    /// The device has no such property.
    pub fn property(&self, name: &str) -> Result<String, Error> {
        self.session.compiled.property(name)
    }

    /// What the nodes took in the last request that ended on any lane; `None` when the model was compiled without
    /// `PERF_COUNT`. Empty before the first request.
    pub fn profile(&self) -> Option<Vec<NodeTiming>> {
        let kept = self.session.profile.as_ref()?;
        Some(kept.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Engine for OpenVinoEngine {
    fn name(&self) -> &'static str {
        "openvino"
    }

    fn info(&self) -> &ModelInfo {
        &self.session.info
    }

    fn open_lane(&self, _id: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(OpenVinoLane::new(Arc::clone(&self.session))?))
    }

    fn can_cancel(&self) -> bool {
        self.session.can_cancel
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
