//! The one OpenVINO of this process: library, functions, core.

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use headway_core::error::{Error, ErrorKind};
use headway_core::timer;

use super::api::Api;
use super::raw::*;
use super::types::Types;
use crate::library;

/// Names the library file to use, before any other place.
pub const LIBRARY_VARIABLE: &str = "HEADWAY_OPENVINO_LIBRARY";

const WHAT: &str = "OpenVINO";
const HINT: &str = "Install it with `pip install \"headway[openvino]\"` (2025.0 or newer), or set \
    HEADWAY_OPENVINO_LIBRARY to its C library file.";

/// The oldest release that this was written for.
const OLDEST: (u32, u32) = (2025, 0);

/// The loaded library. One for each process, never unloaded: its threads and plugins live as long as the process.
pub struct Runtime {
    pub(super) api: Api,
    pub(super) types: Types,
    /// One for all models, so that they share plugins and thread pools. Never freed.
    pub(super) core: *mut OvCore,
    pub(super) version: String,
    /// The process that loaded it, by `headway_core::timer`.
    pub(super) generation: u64,
}

// SAFETY: the core is never freed, and the C API allows its use from any thread.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

static LOADED: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Keeps a fork from catching this lock; see [`crate::fork`].
pub(crate) fn hold_loading() -> impl Any {
    LOADING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runtime {
    /// The process's runtime, loaded now if it is not yet.
    ///
    /// # Errors
    /// `Load`: no path leads to a usable library, or the process is a fork of one that had loaded it.
    pub fn get(candidates: &[PathBuf]) -> Result<&'static Runtime, Error> {
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = LOADED.get() {
            return runtime.unless_forked();
        }
        let variable = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty());
        let runtime = match variable {
            Some(path) => Runtime::load(&[PathBuf::from(path)]),
            None => Runtime::load(candidates),
        }?;
        Ok(LOADED.get_or_init(|| runtime))
    }

    /// The library's version, such as `2026.4.1-22982-...`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The devices that this machine has, by OpenVINO's names.
    ///
    /// # Errors
    /// What OpenVINO says.
    pub fn devices(&self) -> Result<Vec<String>, Error> {
        let mut found = Devices { names: ptr::null_mut(), count: 0 };
        // SAFETY: the core lives for ever; an out parameter.
        self.api.check(unsafe { (self.api.devices)(self.core, &mut found) }, ErrorKind::Engine)?;
        let names = (0..found.count)
            // SAFETY: the library gave `count` C strings.
            .map(|at| unsafe { CStr::from_ptr(*found.names.add(at)) }.to_string_lossy().into_owned())
            .collect();
        // SAFETY: given back once.
        unsafe { (self.api.free_devices)(&mut found) };
        Ok(names)
    }

    fn unless_forked(&'static self) -> Result<&'static Runtime, Error> {
        if self.generation == timer::generation() {
            return Ok(self);
        }
        let text = "OpenVINO was loaded before this process was forked: its threads do not exist here. Start the \
                    process by `spawn` or `forkserver`, or load the first model after the fork";
        Err(Error::new(ErrorKind::Load, text))
    }

    fn load(paths: &[PathBuf]) -> Result<Runtime, Error> {
        let (library, path) = library::open(WHAT, paths, HINT)?;
        let refuse = |reason: String| library::not_loaded(WHAT, &[(&path, reason)], HINT);
        // SAFETY: the version below is what vouches for the rest; a library without these names is refused.
        let api = unsafe { Api::read(library) }
            .map_err(|name| refuse(format!("it is a library but not OpenVINO's C library (no {name})")))?;
        let version = version_of(&api)?;
        if parse_version(&version).is_none_or(|number| number < OLDEST) {
            return Err(refuse(format!(
                "version {version}, but {}.{} or newer is needed",
                OLDEST.0, OLDEST.1
            )));
        }
        let types = Types::probe(&api).map_err(|what| refuse(format!("version {version}: {what}")))?;
        let mut core = ptr::null_mut();
        // SAFETY: an out parameter.
        api.check(unsafe { (api.create_core)(&mut core) }, ErrorKind::Load)?;
        Ok(Runtime { api, types, core, version, generation: timer::generation() })
    }
}

fn version_of(api: &Api) -> Result<String, Error> {
    let mut version = Version { build: ptr::null::<c_char>(), description: ptr::null() };
    // SAFETY: an out parameter.
    api.check(unsafe { (api.version)(&mut version) }, ErrorKind::Load)?;
    let text = if version.build.is_null() {
        String::new()
    } else {
        // SAFETY: a C string that lives until it is freed below.
        unsafe { CStr::from_ptr(version.build) }.to_string_lossy().into_owned()
    };
    // SAFETY: filled above, freed once.
    unsafe { (api.free_version)(&mut version) };
    Ok(text)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("2026.4.1-22982-e213a147257-releases/2026/4"), Some((2026, 4)));
        assert_eq!(parse_version("2025.0.0-17942-1f68be9f594"), Some((2025, 0)));
        assert_eq!(parse_version("nightly"), None);
        assert!(parse_version("2024.6.0-17404") < Some((2025, 0)));
    }
}
