//! What a session's Python half asks of its engine beside requests: the profile, providers' dynamic options.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use headway_core::engine::Engine;
use headway_core::error::{Error, ErrorKind};
use headway_core::timer;
use headway_engines::ort::OrtEngine;
use pyo3::prelude::*;

use crate::life::{self, away, inside};
use crate::session::Session;
use crate::{errors, submit};

/// Ends an engine's profile. It holds the engine only over `close()`, which takes the session's own hold away: an
/// engine that goes ends its profile itself.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Profiler {
    engine: Weak<dyn Engine>,
    /// One for each `close()` under way.
    held: Mutex<Vec<Arc<dyn Engine>>>,
    /// What was told before, for those who ask when the engine has gone: `close()` may run on several threads.
    started: OnceLock<u64>,
    ended: OnceLock<String>,
    generation: u64,
}

impl Profiler {
    pub(crate) fn new(engine: &Arc<dyn Engine>) -> Self {
        Profiler {
            engine: Arc::downgrade(engine),
            held: Mutex::default(),
            started: OnceLock::new(),
            ended: OnceLock::new(),
            generation: timer::generation(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<dyn Engine>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<R: Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&OrtEngine) -> Result<R, Error> + Send,
    ) -> PyResult<R> {
        let _inside = inside(py);
        let raise = |error: Error| errors::raise(py, &error, "onnxruntime");
        life::own(self.generation).map_err(raise)?;
        let engine = self.engine.upgrade().ok_or_else(|| raise(submit::closed()))?;
        // Moved in: it may be the last hold.
        away(py, move || on_ort(engine.as_ref(), ask)).map_err(raise)
    }
}

#[pymethods]
impl Profiler {
    /// When profiling began, in nanoseconds on the engine's clock.
    fn start_ns(&self, py: Python<'_>) -> PyResult<u64> {
        match self.started.get() {
            Some(&nanoseconds) => Ok(nanoseconds),
            None => {
                let nanoseconds = self.ask(py, OrtEngine::profiling_start_ns)?;
                Ok(*self.started.get_or_init(|| nanoseconds))
            }
        }
    }

    /// Ends profiling; the name of the file it wrote.
    fn end(&self, py: Python<'_>) -> PyResult<String> {
        if let Some(name) = self.ended.get() {
            return Ok(name.clone());
        }
        let name = self.ask(py, OrtEngine::end_profiling)?;
        // The engine says the name to the first who asks, and nothing to the rest.
        if name.is_empty() {
            return Ok(self.ended.get().cloned().unwrap_or(name));
        }
        Ok(self.ended.get_or_init(|| name).clone())
    }

    /// Holds the engine until `release`.
    fn hold(&self) {
        let engine = self.engine.upgrade();
        self.held().extend(engine);
    }

    /// Lets go of the engine.
    fn release(&self, py: Python<'_>) {
        let _inside = inside(py);
        if self.generation == timer::generation() {
            let engine = self.held().pop();
            away(py, || drop(engine));
        }
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        if self.generation != timer::generation() {
            // In a forked child the engine is neither joined nor freed.
            std::mem::forget(std::mem::take(&mut *self.held()));
        }
    }
}

fn on_ort<R>(engine: &dyn Engine, ask: impl FnOnce(&OrtEngine) -> Result<R, Error>) -> Result<R, Error> {
    match engine.as_any().downcast_ref::<OrtEngine>() {
        Some(engine) => ask(engine),
        None => Err(Error::new(ErrorKind::Input, "only sessions on the onnxruntime engine have this")),
    }
}

/// Changes options of the execution providers that a session uses.
#[pyfunction]
pub(crate) fn set_dynamic_options(
    py: Python<'_>,
    session: &Session,
    pairs: Vec<(String, String)>,
) -> PyResult<()> {
    let core = session.core(py)?;
    core.enter(py)?;
    let engine = core.shared.engine().ok_or_else(|| core.raise(py, &submit::closed()))?;
    let set = away(py, || on_ort(engine.as_ref(), |engine| engine.set_dynamic_options(&pairs)));
    set.map_err(|error| core.raise(py, &error))
}
