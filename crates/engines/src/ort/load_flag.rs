//! Stopping a model while it loads.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headway_core::error::{Error, ErrorKind};

use super::raw::{OrtSessionOptions, Status};
use super::runtime::Runtime;

type SetFlag = unsafe extern "system" fn(*mut OrtSessionOptions, bool) -> Status;

/// A flag that stops the loads it was given to. May be set from any thread, before and while they run.
#[derive(Clone, Default)]
pub struct LoadFlag(Arc<Mutex<Loads>>);

#[derive(Default)]
struct Loads {
    canceled: bool,
    running: Vec<Load>,
}

/// One load that runs now.
struct Load {
    runtime: &'static Runtime,
    options: *mut OrtSessionOptions,
    set: Option<SetFlag>,
}

// SAFETY: an entry is there only while its options live, and the engine's flag may be set from any thread.
unsafe impl Send for Load {}

impl fmt::Debug for LoadFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadFlag({})", self.get())
    }
}

impl Load {
    fn tell(&self, canceled: bool) -> Result<(), Error> {
        // An older library goes on loading; `Loading::check` refuses what it has loaded.
        let Some(set) = self.set else { return Ok(()) };
        // SAFETY: the options live, see `Loading`.
        self.runtime.api.check(unsafe { set(self.options, canceled) }, ErrorKind::Load)
    }
}

impl LoadFlag {
    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when loads are to stop.
    pub fn get(&self) -> bool {
        self.loads().canceled
    }

    /// Stops the loads that run and those that come; false lets later ones run again.
    ///
    /// # Errors
    /// What the engine says.
    pub fn set(&self, canceled: bool) -> Result<(), Error> {
        let mut loads = self.loads();
        loads.canceled = canceled;
        loads.running.iter().try_for_each(|load| load.tell(canceled))
    }

    /// Makes the flag reach a load, until what this gives is dropped, which must be before the options are.
    pub(super) fn enter(
        &self,
        runtime: &'static Runtime,
        options: *mut OrtSessionOptions,
    ) -> Result<Loading, Error> {
        let mut loads = self.loads();
        let load = Load { runtime, options, set: runtime.api.newer.set_load_cancellation };
        load.tell(loads.canceled)?;
        loads.running.push(load);
        Ok(Loading { flag: self.clone(), options })
    }
}

/// A load within its flag's reach.
pub(super) struct Loading {
    flag: LoadFlag,
    options: *mut OrtSessionOptions,
}

impl Loading {
    /// Refuses a model whose loading was to stop.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.flag.get() {
            const CANCELED: i32 = 12;
            let text =
                "[ONNXRuntimeError] : 12 : MODEL_LOAD_CANCELED : Graph loading canceled due to user request.";
            return Err(Error::new(ErrorKind::Load, text).with_code(CANCELED));
        }
        Ok(())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.flag.loads().running.retain(|load| load.options != self.options);
    }
}
