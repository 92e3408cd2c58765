//! Strings on their way to and from the C side.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;

use headway_core::error::{Error, ErrorKind};

use super::raw::OsChar;
use super::runtime::Runtime;

/// `text` for the C side.
///
/// # Errors
/// `kind` when it has a NUL inside.
pub(super) fn c_string(text: &str, kind: ErrorKind) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::new(kind, format!("{text:?} has a NUL character inside")))
}

/// A path for the C side; keep it while the pointer to it is used.
pub(super) struct OsText(Vec<OsChar>);

impl OsText {
    #[cfg(not(windows))]
    pub(super) fn new(path: &Path) -> OsText {
        let bytes = path.as_os_str().as_encoded_bytes();
        OsText(bytes.iter().map(|&byte| byte as OsChar).chain([0]).collect())
    }

    #[cfg(windows)]
    pub(super) fn new(path: &Path) -> OsText {
        use std::os::windows::ffi::OsStrExt;
        OsText(path.as_os_str().encode_wide().chain([0]).collect())
    }

    pub(super) fn as_ptr(&self) -> *const OsChar {
        self.0.as_ptr()
    }
}

impl Runtime {
    /// Takes over a C string that the engine's default allocator made.
    ///
    /// # Safety
    /// `text` is null or such a string, taken over once.
    pub(super) unsafe fn take_text(&self, text: *mut c_char) -> Result<String, Error> {
        if text.is_null() {
            return Ok(String::new());
        }
        // SAFETY: the caller's promise.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: made by this allocator, given back once.
        let status = unsafe { (self.api.allocator_free)(self.allocator, text.cast()) };
        self.api.check(status, ErrorKind::Engine)?;
        Ok(copy)
    }
}

/// Keys and values as the two arrays of C strings that the engine's option calls want.
pub(super) struct Pairs {
    keys: Vec<CString>,
    values: Vec<CString>,
}

impl Pairs {
    pub(super) fn new(pairs: &[(String, String)]) -> Result<Pairs, Error> {
        let keys = pairs.iter().map(|(key, _)| c_string(key, ErrorKind::Load)).collect::<Result<_, _>>()?;
        let values =
            pairs.iter().map(|(_, value)| c_string(value, ErrorKind::Load)).collect::<Result<_, _>>()?;
        Ok(Pairs { keys, values })
    }

    /// Calls `with` with the two arrays and their length.
    pub(super) fn with<T>(
        &self,
        with: impl FnOnce(*const *const c_char, *const *const c_char, usize) -> T,
    ) -> T {
        let keys: Vec<_> = self.keys.iter().map(|key| key.as_ptr()).collect();
        let values: Vec<_> = self.values.iter().map(|value| value.as_ptr()).collect();
        with(keys.as_ptr(), values.as_ptr(), keys.len())
    }
}
