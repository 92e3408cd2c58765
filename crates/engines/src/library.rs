//! Opening an engine's dynamic library.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use headway_core::error::{Error, ErrorKind};
use libloading::Library;

/// Opens the first of `paths` that is a library, for the rest of the process's life.
///
/// `what` names the engine, `hint` says what a user without it can do.
///
/// # Errors
/// `Load`: names every path with its own reason.
pub(crate) fn open(what: &str, paths: &[PathBuf], hint: &str) -> Result<(&'static Library, PathBuf), Error> {
    let mut reasons = Vec::new();
    for path in paths {
        match open_one(path) {
            // Never closed: engines leave thread-locals and exit handlers behind that point into their code.
            Ok(library) => return Ok((Box::leak(Box::new(library)), path.clone())),
            Err(reason) => reasons.push((path.as_path(), reason)),
        }
    }
    Err(not_loaded(what, &reasons, hint))
}

/// The error for a library that could not be loaded: one line a path.
pub(crate) fn not_loaded(what: &str, reasons: &[(&Path, String)], hint: &str) -> Error {
    let mut text = format!("{what} cannot be loaded");
    if reasons.is_empty() {
        text.push_str(": no installed package brings its library, and no path to it was given");
    }
    for (path, reason) in reasons {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n  {}: {reason}", path.display());
    }
    let _ = write!(text, "\n{hint}");
    Error::new(ErrorKind::Load, text)
}

fn open_one(path: &Path) -> Result<Library, String> {
    if !path.is_file() {
        return Err(if path.exists() { "not a file".into() } else { "no such file".into() });
    }
    // SAFETY: loading runs the library's initialisers; the caller names an engine's library and means to run it.
    unsafe { open_file(path) }.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    })
}

#[cfg(unix)]
unsafe fn open_file(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix;
    // All symbols now, so that a missing one fails here; local, so that two engines' copies of one library stay apart.
    // SAFETY: passed on to the caller.
    unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map(Library::from)
}

#[cfg(not(unix))]
unsafe fn open_file(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: passed on to the caller.
    unsafe { Library::new(path) }
}
