//! What a session, its futures and its threads share on the Python side of the door.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headway_core::close::CloseReport;
use headway_core::engine::{BatchAxes, Control, Engine, ModelInfo};
use headway_core::error::Error;
use headway_core::runtime::Shared;
use headway_core::threads::Threads;
use headway_core::timer;
use headway_core::value::Memory;
use headway_engines::pool::Pool;
use pyo3::prelude::*;

use crate::errors::Voice;
use crate::feeds::FeedNames;
use crate::pyfeed::PyNames;
use crate::{life, wait};

/// Cached bytes that a session keeps for copied inputs.
const INPUT_POOL_BYTES: usize = 64 << 20;

/// Makes an engine's run options from a Python object.
pub(crate) type RunOptionsReader = fn(&Bound<'_, PyAny>, &dyn Engine) -> PyResult<Arc<dyn Control>>;

/// How requests reach the engine.
pub(crate) enum Kind {
    /// A native engine: feeds become tensors, lanes are native threads.
    Native(FeedNames),
    /// A Python engine: feeds stay Python objects, lanes are Python threads.
    Python(Box<PyNames>),
}

/// The settings that the door itself applies.
pub(crate) struct Settings {
    /// Asynchronous calls copy their inputs.
    pub(crate) copy_inputs: bool,
    /// Default deadline of a request.
    pub(crate) timeout: Option<Duration>,
    /// How long submitting calls wait for room; `None` for ever.
    pub(crate) submit_timeout: Option<Duration>,
    /// Called with `(ticket, reason)` for every dropped request.
    /// Forgotten at close, since it may hold the session.
    pub(crate) on_drop: Mutex<Option<Py<PyAny>>>,
    /// Along which axes requests are joined, where they are.
    pub(crate) batch_axes: Option<BatchAxes>,
    /// Callbacks of failed requests get `None` for results, as EZ RKNN Async gives it, not an empty list.
    pub(crate) none_on_failure: bool,
    /// A run may not return: the thread that waits for an answer never runs the engine itself.
    pub(crate) watched: bool,
}

/// A session's insides. Dropped only by threads that hold the GIL.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kind: Kind,
    pub(crate) info: ModelInfo,
    pub(crate) voice: Voice<'static>,
    pub(crate) settings: Settings,
    pub(crate) run_options: Option<RunOptionsReader>,
    pub(crate) pool: Arc<Pool>,
    /// The process that made it, see `life`.
    pub(crate) generation: u64,
    threads: Mutex<Option<Threads>>,
    /// What the first close did.
    report: Mutex<Option<CloseReport>>,
    delivery_started: AtomicBool,
}

impl Core {
    pub(crate) fn new(
        shared: Arc<Shared>,
        kind: Kind,
        info: ModelInfo,
        voice: Voice<'static>,
        settings: Settings,
        run_options: Option<RunOptionsReader>,
    ) -> Result<Arc<Self>, Error> {
        // Before anything has a deadline: without the thread it would never pass.
        timer::start()?;
        let threads = match kind {
            Kind::Native(_) => Some(Threads::start(&shared)?),
            Kind::Python(_) => None,
        };
        let core = Arc::new(Core {
            shared,
            kind,
            info,
            voice,
            settings,
            run_options,
            pool: Pool::new(INPUT_POOL_BYTES),
            generation: timer::generation(),
            threads: Mutex::new(threads),
            report: Mutex::new(None),
            delivery_started: AtomicBool::new(false),
        });
        life::register(Arc::downgrade(&core));
        Ok(core)
    }

    /// Whom to tell of drops.
    pub(crate) fn on_drop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let on_drop = self.settings.on_drop.lock().unwrap_or_else(PoisonError::into_inner);
        on_drop.as_ref().map(|on_drop| on_drop.clone_ref(py))
    }

    /// Nobody is told of drops any more.
    pub(crate) fn forget_on_drop(&self) {
        let on_drop = self.settings.on_drop.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(on_drop);
    }

    /// Memory for a copied input.
    pub(crate) fn alloc(&self, len: usize) -> Memory {
        self.pool.alloc_memory(len)
    }

    /// True for the first caller only.
    pub(crate) fn starts_delivery(&self) -> bool {
        !self.delivery_started.swap(true, Ordering::AcqRel)
    }

    /// The first caller got no thread: the next one is the first.
    pub(crate) fn delivery_failed(&self) {
        self.delivery_started.store(false, Ordering::Release);
    }

    /// Gives every lane a thread: a list of requests uses them all.
    pub(crate) fn staff(&self, py: Python<'_>) -> PyResult<()> {
        self.enter(py)?;
        if let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            threads.staff(&self.shared);
        }
        Ok(())
    }

    /// Ends the lanes: waits for running work, joins the threads, frees the engine. Later calls give the first report.
    pub(crate) fn close_lanes(&self, timeout: Option<Duration>) -> CloseReport {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = &*report {
            return report.clone();
        }
        let done = self.shared.finish_close(timeout);
        if let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take() {
            threads.join(&done);
        }
        self.pool.close();
        *report = Some(done.clone());
        done
    }

    /// Stops admission, drains or cancels, waits: `(drained, cancelled, abandoned, delivered)`.
    pub(crate) fn close(
        &self,
        drain: bool,
        timeout: Option<Duration>,
        delivering: bool,
    ) -> (bool, u64, Vec<usize>, bool) {
        let until = wait::instant_after(timeout);
        self.shared.begin_close(drain);
        let report = self.close_lanes(timeout);
        // The delivery thread cannot wait for itself: what is left is delivered when its callback returns.
        let delivered = delivering || self.shared.wait_delivered(until);
        (report.drained && drain, report.cancelled, report.abandoned, delivered)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.generation != timer::generation() {
            // In a forked child: neither joined nor freed. The parent's threads do not exist here.
            std::mem::forget(Arc::clone(&self.shared));
            std::mem::forget(self.threads.lock().map(|mut threads| threads.take()));
        }
    }
}
