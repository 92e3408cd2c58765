//! Run options: the terminate flag, and what a caller may set for one request.

use std::any::Any;
use std::ptr;

use headway_core::engine::Control;
use headway_core::error::{Error, ErrorKind};

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
}

/// The engine's run options, and so the terminate flag of a request.
pub(super) struct OrtControl {
    runtime: &'static Runtime,
    raw: *mut OrtRunOptions,
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
        let control = OrtControl { runtime, raw };
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
            let (key, value) = (c_string(key, ErrorKind::Input)?, c_string(value, ErrorKind::Input)?);
            // SAFETY: as above.
            check(unsafe { (api.add_run_config)(raw, key.as_ptr(), value.as_ptr()) })?;
        }
        Ok(control)
    }

    pub(super) fn raw(&self) -> *const OrtRunOptions {
        self.raw
    }

    /// Both flag calls only store a bool; a status would mean a broken library, and nobody could act on it.
    fn discard(&self, status: super::raw::Status) {
        drop(self.runtime.api.check(status, ErrorKind::Engine));
    }
}

impl Control for OrtControl {
    fn terminate(&self) {
        // SAFETY: `raw` lives as long as `self`.
        self.discard(unsafe { (self.runtime.api.set_terminate)(self.raw) });
    }

    fn reset(&self) {
        // SAFETY: `raw` lives as long as `self`.
        self.discard(unsafe { (self.runtime.api.unset_terminate)(self.raw) });
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
