//! A request that brings the places of its outputs with it: what an IO binding comes to at the moment of the call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headway_core::value::{Tensor, Values};

use super::made::Made;

/// Where an output goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// Into Headway's own pooled memory, as for a plain request.
    Fresh,
    /// Into this memory, which must be as long as the output.
    Into(Tensor),
    /// Into memory of a device: `("Cuda", 0)`, in the engine's own words for it.
    Device(String, i32),
}

/// What is bound, the same from run to run until the binding changes. The targets stand beside the request's wanted
/// outputs, in their order.
#[derive(Debug)]
pub struct Places {
    /// As in `Inputs::Feeds`.
    pub(super) inputs: Values,
    /// One for each wanted output.
    pub(super) targets: Vec<Target>,
    /// The engine's values over them, once a run has made them.
    pub(super) made: OnceLock<Made>,
    /// There will be one run: nothing of it is kept for another.
    pub(super) once: bool,
    /// Some outputs do not go into memory of the caller's.
    told: bool,
}

impl Places {
    /// Inputs in the model's order, and a target for each wanted output.
    pub fn new(inputs: Values, targets: Vec<Target>) -> Self {
        let told = targets.iter().any(|target| !matches!(target, Target::Into(_)));
        Places { inputs, targets, made: OnceLock::new(), once: false, told }
    }

    /// The same for a single run: one that brings arrays for its outputs (`out=`).
    pub fn once(inputs: Values, targets: Vec<Target>) -> Self {
        Places { once: true, ..Places::new(inputs, targets) }
    }

    /// True when a run leaves results: outputs that are not in memory of the caller's.
    pub fn leaves_results(&self) -> bool {
        self.told
    }

    /// The inputs, for an engine that is not ONNX Runtime.
    pub(crate) fn inputs(&self) -> &Values {
        &self.inputs
    }

    /// Where each wanted output goes.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }
}

/// What `Inputs::Binding` holds for this engine.
#[derive(Debug)]
pub struct Bound {
    /// What is bound.
    pub places: Arc<Places>,
    /// The binding's turn.
    pub turn: Turn,
    /// The outputs, put here by the lane before the outcome is known. Nothing is put here when all of them went into
    /// memory of the caller's.
    pub results: Arc<Mutex<Option<Values>>>,
    /// Nobody wants the outputs for the answer itself: whoever runs it knows where they are.
    pub silent: bool,
}

impl Bound {
    /// A request of its own: nobody else has a turn on it, or looks for its outputs afterwards.
    pub fn once(inputs: Values, targets: Vec<Target>) -> Self {
        let turn = Turn { taken: Arc::default(), over: AtomicBool::new(true) };
        Bound {
            places: Arc::new(Places::once(inputs, targets)),
            turn,
            results: Arc::default(),
            silent: false,
        }
    }
}

/// One use of a binding at a time. Given back as soon as the engine has returned, and at the latest when it is dropped.
#[derive(Debug)]
pub struct Turn {
    taken: Arc<AtomicBool>,
    over: AtomicBool,
}

impl Turn {
    /// Takes the turn; `None` while somebody else has it.
    pub fn take(taken: &Arc<AtomicBool>) -> Option<Turn> {
        if taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Turn { taken: Arc::clone(taken), over: AtomicBool::new(false) })
    }

    /// Takes it again, for a request whose memory is used once more: nobody else has had it since.
    pub fn renew(&mut self) {
        self.taken.store(true, Ordering::Relaxed);
        *self.over.get_mut() = false;
    }

    /// Gives it back; later calls do nothing.
    pub fn end(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.taken.store(false, Ordering::Release);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}

impl Bound {
    /// Leaves the outputs for the binding, then ends its turn. What lies in memory of the caller's needs no telling.
    pub fn finish(&self, results: Option<&Values>) {
        if self.places.told {
            *self.results.lock().unwrap_or_else(PoisonError::into_inner) = results.cloned();
        }
        self.turn.end();
    }
}
