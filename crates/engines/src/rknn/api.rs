//! The runtime's functions, found by name.

use std::any::Any;
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use headway_core::error::Error;
use libloading::Library;

use super::raw::*;
use crate::library;

/// Environment variable: the runtime's file, and no other.
pub const LIBRARY_VARIABLE: &str = "HEADWAY_RKNN_LIBRARY";

const WHAT: &str = "the RKNN runtime (librknnrt.so)";

#[cfg(target_os = "linux")]
const HINT: &str = "Install Rockchip's runtime: copy librknnrt.so (rknpu2/runtime/Linux/librknn_api/aarch64 of \
    airockchip/rknn-toolkit2) to /usr/lib, or set HEADWAY_RKNN_LIBRARY to its file.";
#[cfg(not(target_os = "linux"))]
const HINT: &str =
    "RKNN models run on Linux boards with a Rockchip NPU; on other systems use the model's ONNX file.";

macro_rules! functions {
    (
        needed { $($name:ident = $symbol:literal: fn($($arg:ty),*) -> $ret:ty;)* }
        optional { $($oname:ident = $osymbol:literal: fn($($oarg:ty),*) -> $oret:ty;)* }
    ) => {
        /// Functions of one loaded runtime. Optional ones are missing on small chips' runtimes.
        pub(super) struct Api {
            pub(super) path: PathBuf,
            $(pub(super) $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
            $(pub(super) $oname: Option<unsafe extern "C" fn($($oarg),*) -> $oret>,)*
        }

        impl Api {
            fn read(library: &'static Library, path: PathBuf) -> Result<Api, String> {
                Ok(Api {
                    path,
                    $($name: {
                        // SAFETY: the type that the runtime's reference gives the symbol.
                        *unsafe { library.get::<unsafe extern "C" fn($($arg),*) -> $ret>($symbol) }
                            .map_err(|_| format!("it has no function {}", text($symbol)))?
                    },)*
                    $($oname: {
                        // SAFETY: as above.
                        unsafe { library.get::<unsafe extern "C" fn($($oarg),*) -> $oret>($osymbol) }.ok().map(|it| *it)
                    },)*
                })
            }
        }
    };
}

functions! {
    needed {
        init = b"rknn_init\0": fn(*mut RawContext, *mut c_void, u32, u32, *mut RawInitExtend) -> i32;
        destroy = b"rknn_destroy\0": fn(RawContext) -> i32;
        query = b"rknn_query\0": fn(RawContext, u32, *mut c_void, u32) -> i32;
        run = b"rknn_run\0": fn(RawContext, *mut c_void) -> i32;
        create_mem = b"rknn_create_mem\0": fn(RawContext, u32) -> *mut RawMemory;
        destroy_mem = b"rknn_destroy_mem\0": fn(RawContext, *mut RawMemory) -> i32;
        set_io_mem = b"rknn_set_io_mem\0": fn(RawContext, *mut RawMemory, *mut RawAttr) -> i32;
    }
    optional {
        dup_context = b"rknn_dup_context\0": fn(*mut RawContext, *mut RawContext) -> i32;
        set_core_mask = b"rknn_set_core_mask\0": fn(RawContext, i32) -> i32;
        inputs_set = b"rknn_inputs_set\0": fn(RawContext, u32, *mut RawInput) -> i32;
        outputs_get = b"rknn_outputs_get\0": fn(RawContext, u32, *mut RawOutput, *mut c_void) -> i32;
        outputs_release = b"rknn_outputs_release\0": fn(RawContext, u32, *mut RawOutput) -> i32;
        set_input_shapes = b"rknn_set_input_shapes\0": fn(RawContext, u32, *mut RawAttr) -> i32;
        mem_sync = b"rknn_mem_sync\0": fn(RawContext, *mut RawMemory, i32) -> i32;
        register_custom_ops = b"rknn_register_custom_ops\0": fn(RawContext, *mut c_void, u32) -> i32;
    }
}

fn text(symbol: &[u8]) -> String {
    String::from_utf8_lossy(symbol).trim_end_matches('\0').to_owned()
}

/// Runtimes by file: each is opened once and never unloaded.
static LOADED: Mutex<Option<HashMap<PathBuf, &'static Api>>> = Mutex::new(None);

/// Keeps a fork from catching this lock; see [`crate::fork`].
pub(crate) fn hold_loading() -> impl Any {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where Linux distributions and Rockchip's images put the runtime.
fn usual_places() -> Vec<PathBuf> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let folders =
        ["/usr/lib", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/lib", "/oem/usr/lib", "/vendor/lib64"];
    let search = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let searched: Vec<PathBuf> =
        std::env::split_paths(&search).filter(|folder| !folder.as_os_str().is_empty()).collect();
    let folders = searched.into_iter().chain(folders.iter().map(PathBuf::from));
    // RV1103 and RV1106 call theirs by another name.
    folders.flat_map(|folder| [folder.join("librknnrt.so"), folder.join("librknnmrt.so")]).collect()
}

/// The runtime: at `explicit`, else where the environment variable says, else in the usual places.
///
/// # Errors
/// `Load`: what was looked for, where, and what to install.
pub(super) fn load(explicit: Option<&Path>) -> Result<&'static Api, Error> {
    let variable = || std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let paths = match explicit.map(Path::to_path_buf).or_else(variable) {
        Some(path) => vec![path],
        None => usual_places(),
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(api) = paths.iter().find_map(|path| loaded.get(path)) {
        return Ok(api);
    }
    let (library, path) = library::open(WHAT, &paths, HINT)?;
    let api = Api::read(library, path.clone())
        .map_err(|reason| library::not_loaded(WHAT, &[(path.as_path(), reason)], HINT))?;
    let api: &'static Api = Box::leak(Box::new(api));
    loaded.insert(path, api);
    Ok(api)
}
