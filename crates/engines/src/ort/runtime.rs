//! The one ONNX Runtime of this process: library and table.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use headway_core::error::{Error, ErrorKind};

use super::api::{API_VERSION, Api, ApiBase};
use super::raw::*;
use crate::library;

/// Names the library file to use, before any other place.
pub const LIBRARY_VARIABLE: &str = "HEADWAY_ONNXRUNTIME_LIBRARY";

const HINT: &str =
    "Install it with `pip install onnxruntime`, or set HEADWAY_ONNXRUNTIME_LIBRARY to its library file.";

/// Where to look for the library.
#[derive(Debug, Clone, Default)]
pub struct LibrarySource {
    /// This file and no other. Beats the environment variable, which beats `candidates`.
    pub explicit: Option<PathBuf>,
    /// Tried in this order.
    pub candidates: Vec<PathBuf>,
}

/// The loaded library. One for each process, never unloaded: its environment (`environment.rs`) owns threads and values.
pub struct Runtime {
    pub(super) api: Api,
    /// Describes plain CPU memory.
    pub(super) cpu: *const OrtMemoryInfo,
    /// The engine's own allocator for names and such.
    pub(super) allocator: *mut OrtAllocator,
    pub(super) path: PathBuf,
    pub(super) version: String,
}

// SAFETY: the pointers are made once and never freed, and the C API allows their use from any thread.
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
    /// The process's runtime, if it has been loaded.
    pub fn loaded() -> Option<&'static Runtime> {
        LOADED.get()
    }

    /// The process's runtime, loaded now if it is not yet.
    ///
    /// # Errors
    /// `Load`: no path leads to a usable library, or an explicit path is not the one already loaded.
    pub fn get(source: &LibrarySource) -> Result<&'static Runtime, Error> {
        let variable =
            || std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let explicit = source.explicit.clone().or_else(variable);
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = LOADED.get() {
            return runtime.unless_other(explicit.as_deref());
        }
        let paths = match explicit {
            Some(path) => vec![path],
            None => source.candidates.clone(),
        };
        let runtime = Runtime::load(&paths)?;
        Ok(LOADED.get_or_init(|| runtime))
    }

    /// The library's version, such as `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The execution providers that this library was built with.
    ///
    /// # Errors
    /// What the engine says.
    pub fn available_providers(&self) -> Result<Vec<String>, Error> {
        let (mut names, mut count): (*mut *mut c_char, c_int) = (ptr::null_mut(), 0);
        // SAFETY: both are out parameters.
        let status = unsafe { (self.api.available_providers)(&mut names, &mut count) };
        self.api.check(status, ErrorKind::Engine)?;
        let texts = (0..usize::try_from(count).unwrap_or(0))
            // SAFETY: the engine gave `count` C strings.
            .map(|at| unsafe { CStr::from_ptr(*names.add(at)) }.to_string_lossy().into_owned())
            .collect();
        // SAFETY: given back once, with the count that came with it.
        self.api.check(unsafe { (self.api.release_available_providers)(names, count) }, ErrorKind::Engine)?;
        Ok(texts)
    }

    fn unless_other(&'static self, wanted: Option<&Path>) -> Result<&'static Runtime, Error> {
        let Some(wanted) = wanted else { return Ok(self) };
        let same = |path: &Path| path.canonicalize().ok();
        if same(wanted).is_some() && same(wanted) == same(&self.path) {
            return Ok(self);
        }
        let (loaded, wanted) = (self.path.display(), wanted.display());
        Err(Error::new(
            ErrorKind::Load,
            format!("ONNX Runtime is already loaded from {loaded}; this process cannot also load {wanted}"),
        ))
    }

    fn load(paths: &[PathBuf]) -> Result<Runtime, Error> {
        let (library, path) = library::open("ONNX Runtime", paths, HINT)?;
        let refuse = |reason: String| library::not_loaded("ONNX Runtime", &[(&path, reason)], HINT);
        // SAFETY: this is the type that every ONNX Runtime exports the symbol with.
        let base = unsafe { library.get::<unsafe extern "system" fn() -> *const ApiBase>(c"OrtGetApiBase") };
        let base =
            base.map_err(|_| refuse("it is a library but not ONNX Runtime's (no OrtGetApiBase)".into()))?;
        // SAFETY: takes nothing, and what it gives is static.
        let base = unsafe { base().as_ref() }.ok_or_else(|| refuse("OrtGetApiBase gave nothing".into()))?;
        let (Some(get_api), Some(get_version)) = (base.get_api, base.version) else {
            return Err(refuse("OrtGetApiBase gave an empty table".into()));
        };
        // SAFETY: gives a static C string.
        let version = unsafe { CStr::from_ptr(get_version()) }.to_string_lossy().into_owned();
        // The version comes first: asking an older library for a newer table makes it print.
        let number = parse_version(&version).filter(|&number| number >= (1, API_VERSION));
        let number = number
            .ok_or_else(|| refuse(format!("version {version}, but 1.{API_VERSION} or newer is needed")))?;
        // SAFETY: any number may be asked for.
        let table = unsafe { get_api(API_VERSION) };
        if table.is_null() {
            return Err(refuse(format!("version {version} gives no table {API_VERSION}")));
        }
        // SAFETY: the table that version 17 promises, from a library at least that new.
        let api =
            unsafe { Api::read(table, number) }.map_err(|slot| refuse(format!("no function `{slot}`")))?;
        Runtime::start(api, path, version)
    }

    /// What can be used before there is an environment.
    fn start(api: Api, path: PathBuf, version: String) -> Result<Runtime, Error> {
        let check = |status| api.check(status, ErrorKind::Load);
        let mut cpu = ptr::null_mut();
        // SAFETY: an out parameter.
        check(unsafe { (api.create_cpu_memory_info)(DEVICE_ALLOCATOR, MEM_TYPE_DEFAULT, &mut cpu) })?;
        let mut default = ptr::null_mut();
        // SAFETY: an out parameter.
        check(unsafe { (api.default_allocator)(&mut default) })?;
        Ok(Runtime { api, cpu, allocator: default, path, version })
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("1.31.1"), Some((1, 31)));
        assert_eq!(parse_version("1.9.0-rc1"), Some((1, 9)));
        assert_eq!(parse_version("nightly"), None);
        assert!(parse_version("1.9.0") < Some((1, 17)));
    }
}
