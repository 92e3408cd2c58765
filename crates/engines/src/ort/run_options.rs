//! Run options: the terminate flag, and what a caller may set for one request.

use std::any::Any;
use std::borrow::Cow;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use headway_core::engine::Control;
use headway_core::error::{Error, ErrorKind};

use super::adapter::LoraAdapter;
use super::raw::OrtRunOptions;
use super::runtime::Runtime;
use super::text::c_string;

/// Run options of one request. What is `None` is left as the engine has it.
#[derive(Debug, Clone, Default)]
pub struct RunConfig {
    /// 0 verbose to 4 fatal.
    pub log_severity_level: Option<i32>,
    /// Verbose logging's level.
    pub log_verbosity_level: Option<i32>,
    /// Names the run in the log.
    pub logid: Option<String>,
    /// Free key-value entries.
    pub config_entries: Vec<(String, String)>,
    /// Adapters whose parameters the run uses.
    pub adapters: Vec<Arc<LoraAdapter>>,
    /// Terminates the run when it is set.
    pub flag: Option<RunFlag>,
}

/// A caller's terminate flag: it reaches every request that was made with it and has not ended.
#[derive(Debug, Clone, Default)]
pub struct RunFlag(Arc<Mutex<Reach>>);

#[derive(Debug, Default)]
struct Reach {
    set: bool,
    controls: Vec<Weak<OrtControl>>,
}

impl RunFlag {
    fn locked(&self) -> MutexGuard<'_, Reach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when requests are to stop.
    pub fn get(&self) -> bool {
        self.locked().set
    }

    /// Stops the requests that were made with this flag, and those that will be; false lets them run.
    pub fn set(&self, set: bool) {
        let mut reach = self.locked();
        reach.set = set;
        for control in reach.controls.iter().filter_map(Weak::upgrade) {
            control.ask(|asked| asked.caller = set);
        }
    }

    /// Makes a request's control one of those that the flag sets.
    pub(super) fn reach(&self, control: &Arc<OrtControl>) {
        let mut reach = self.locked();
        if reach.controls.len() == reach.controls.capacity() {
            reach.controls.retain(|one| one.strong_count() > 0);
            // At least as many again until the next look: a full list of living ones must not be walked at every push.
            let living = reach.controls.len();
            reach.controls.reserve(living);
        }
        reach.controls.push(Arc::downgrade(control));
        control.ask(|asked| asked.caller = reach.set);
    }
}

/// What the engine is told for an entry; None when nothing is left to tell. The CPU's memory is Headway's own pool,
/// which is bounded anyway: asked to shrink an arena that is not there, the engine would refuse the request.
fn served<'a>(key: &str, value: &'a str) -> Option<Cow<'a, str>> {
    if key != "memory.enable_memory_arena_shrinkage" || !value.split(';').any(|device| device == "cpu:0") {
        return Some(Cow::Borrowed(value));
    }
    let others: Vec<&str> = value.split(';').filter(|device| *device != "cpu:0").collect();
    (!others.is_empty()).then(|| Cow::Owned(others.join(";")))
}

/// Who wants a request to stop. Either is enough, and neither takes back what the other asked for.
#[derive(Debug, Default)]
struct Asked {
    flow: bool,
    caller: bool,
}

/// The engine's run options, and so the terminate flag of a request.
pub(super) struct OrtControl {
    runtime: &'static Runtime,
    raw: *mut OrtRunOptions,
    asked: Mutex<Asked>,
    adapters: Vec<Arc<LoraAdapter>>,
}

impl std::fmt::Debug for OrtControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrtControl")
    }
}

// SAFETY: the object may be used from any thread; while a run reads it, only its flag is written, which is what the
// engine made the flag for.
unsafe impl Send for OrtControl {}
// SAFETY: as above.
unsafe impl Sync for OrtControl {}

impl OrtControl {
    pub(super) fn new(runtime: &'static Runtime, config: &RunConfig) -> Result<OrtControl, Error> {
        let api = &runtime.api;
        let check = |status| api.check(status, ErrorKind::Input);
        let mut raw = ptr::null_mut();
        // SAFETY: an out parameter.
        check(unsafe { (api.create_run_options)(&mut raw) })?;
        let adapters = config.adapters.clone();
        let control = OrtControl { runtime, raw, asked: Mutex::default(), adapters };
        if let Some(level) = config.log_severity_level {
            // SAFETY: `raw` lives as long as `control`.
            check(unsafe { (api.set_run_log_severity)(raw, level) })?;
        }
        if let Some(level) = config.log_verbosity_level {
            // SAFETY: as above.
            check(unsafe { (api.set_run_log_verbosity)(raw, level) })?;
        }
        if let Some(id) = &config.logid {
            let id = c_string(id, ErrorKind::Input)?;
            // SAFETY: as above; the engine copies the string.
            check(unsafe { (api.set_run_tag)(raw, id.as_ptr()) })?;
        }
        for (key, value) in &config.config_entries {
            let Some(value) = served(key, value) else { continue };
            let (key, value) = (c_string(key, ErrorKind::Input)?, c_string(&value, ErrorKind::Input)?);
            // SAFETY: as above.
            check(unsafe { (api.add_run_config)(raw, key.as_ptr(), value.as_ptr()) })?;
        }
        control.addadapters()?;
        Ok(control)
    }

    fn addadapters(&self) -> Result<(), Error> {
        for adapter in &self.adapters {
            let slot = self.runtime.api.newer.add_adapter;
            let add = self.runtime.needs(slot, "an adapter", "1.20")?;
            // SAFETY: `raw` lives as long as `self`, which keeps the adapter.
            self.runtime.api.check(unsafe { add(self.raw, adapter.raw()) }, ErrorKind::Input)?;
        }
        Ok(())
    }

    fn ask(&self, change: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut asked);
        let api = &self.runtime.api;
        let set = if asked.flow || asked.caller { api.set_terminate } else { api.unset_terminate };
        // SAFETY: `raw` lives as long as `self`. The call only stores a bool; a status would mean a broken library,
        // and nobody could act on it.
        drop(api.check(unsafe { set(self.raw) }, ErrorKind::Engine));
    }

    pub(super) fn raw(&self) -> *const OrtRunOptions {
        self.raw
    }
}

impl Control for OrtControl {
    fn terminate(&self) {
        self.ask(|asked| asked.flow = true);
    }

    fn reset(&self) {
        self.ask(|asked| asked.flow = false);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for OrtControl {
    fn drop(&mut self) {
        // SAFETY: made in `new`, released once; a run holds its control.
        unsafe { (self.runtime.api.release_run_options)(self.raw) };
    }
}
