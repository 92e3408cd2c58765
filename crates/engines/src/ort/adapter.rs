//! LoRA adapters: parameters that a request adds to its model.

use std::fmt;
use std::path::Path;
use std::ptr;

use headway_core::error::{Error, ErrorKind};

use super::raw::OrtLoraAdapter;
use super::runtime::{LibrarySource, Runtime};
use super::text::OsText;

/// A loaded adapter; may be used by any number of requests at once.
pub struct LoraAdapter {
    runtime: &'static Runtime,
    raw: *mut OrtLoraAdapter,
}

// SAFETY: an adapter is not written to after loading.
unsafe impl Send for LoraAdapter {}
// SAFETY: as above.
unsafe impl Sync for LoraAdapter {}

impl fmt::Debug for LoraAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoraAdapter")
    }
}

impl LoraAdapter {
    /// Loads an adapter file.
    ///
    /// # Errors
    /// `Load`: what the engine says, or that this library is older than 1.20.
    pub fn load(library: &LibrarySource, path: &Path) -> Result<LoraAdapter, Error> {
        let runtime = Runtime::get(library)?;
        runtime.environment()?;
        let create = runtime.needs(runtime.api.newer.create_adapter, "an adapter", "1.20")?;
        let mut raw = ptr::null_mut();
        // SAFETY: the path is read during the call; no allocator means that the adapter stays on the CPU.
        let status = unsafe { create(OsText::new(path).as_ptr(), ptr::null_mut(), &mut raw) };
        runtime.api.check(status, ErrorKind::Load)?;
        Ok(LoraAdapter { runtime, raw })
    }

    pub(super) fn raw(&self) -> *const OrtLoraAdapter {
        self.raw
    }
}

impl Drop for LoraAdapter {
    fn drop(&mut self) {
        if let Some(release) = self.runtime.api.newer.release_adapter {
            // SAFETY: made in `load`, released once; a request holds its adapters.
            unsafe { release(self.raw) };
        }
    }
}
