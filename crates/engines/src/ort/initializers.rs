//! Initializers that the program brings: their values and memory live as long as the session.

use std::ffi::c_char;
use std::fmt;
use std::path::PathBuf;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{Memory, Tensor};

use super::options::{Options, SessionConfig};
use super::raw::OrtValue;
use super::runtime::Runtime;
use super::text::{OsText, c_string};
use super::values;

/// The contents of a file with a model's external data.
#[derive(Clone)]
pub struct ExternalFile {
    /// The file's name, as the model has it.
    pub name: PathBuf,
    /// What would be in it.
    pub contents: Memory,
}

impl fmt::Debug for ExternalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name.display(), self.contents.len)
    }
}

/// What a session reads for as long as it lives.
pub(super) struct Kept {
    runtime: &'static Runtime,
    values: Vec<*mut OrtValue>,
    _tensors: Vec<Tensor>,
    _files: Vec<ExternalFile>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        for &value in &self.values {
            // SAFETY: made in `add`, released once, after the session.
            unsafe { (self.runtime.api.release_value)(value) };
        }
    }
}

impl Kept {
    /// Gives the options every initializer of `config`.
    pub(super) fn add(
        runtime: &'static Runtime,
        options: &Options,
        config: &SessionConfig,
    ) -> Result<Kept, Error> {
        let tensors = config.initializers.iter().chain(&config.external_initializers);
        let mut kept = Kept {
            runtime,
            values: Vec::new(),
            _tensors: tensors.map(|(_, tensor)| tensor.clone()).collect(),
            _files: config.external_files.clone(),
        };
        for (name, tensor) in &config.initializers {
            let value = kept.value(name, tensor)?;
            let name = c_string(name, ErrorKind::Load)?;
            // SAFETY: the options live; the value lives as long as the session.
            options.check(unsafe { (runtime.api.add_initializer)(options.raw, name.as_ptr(), value) })?;
        }
        kept.add_external(options, &config.external_initializers)?;
        add_files(runtime, options, &config.external_files)?;
        Ok(kept)
    }

    fn value(&mut self, name: &str, tensor: &Tensor) -> Result<*mut OrtValue, Error> {
        // SAFETY: the tensor is kept beside its value, which goes first.
        let value = unsafe { values::make(self.runtime, name, tensor) }?;
        self.values.push(value);
        Ok(value)
    }

    fn add_external(&mut self, options: &Options, given: &[(String, Tensor)]) -> Result<(), Error> {
        if given.is_empty() {
            return Ok(());
        }
        let mut values: Vec<*const OrtValue> = Vec::new();
        let mut names = Vec::new();
        for (name, tensor) in given {
            values.push(self.value(name, tensor)?);
            names.push(c_string(name, ErrorKind::Load)?);
        }
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let add = self.runtime.api.add_external_initializers;
        // SAFETY: both arrays have the length told; the engine copies the names, the values are kept.
        options.check(unsafe { add(options.raw, names.as_ptr(), values.as_ptr(), values.len()) })
    }
}

fn add_files(runtime: &Runtime, options: &Options, files: &[ExternalFile]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let slot = runtime.api.newer.add_external_files;
    let add = runtime.needs(slot, "giving external files from memory", "1.18")?;
    let names: Vec<_> = files.iter().map(|file| OsText::new(&file.name)).collect();
    let names: Vec<_> = names.iter().map(OsText::as_ptr).collect();
    let at = |file: &ExternalFile| std::ptr::with_exposed_provenance_mut::<c_char>(file.contents.addr);
    let contents: Vec<_> = files.iter().map(at).collect();
    let lengths: Vec<_> = files.iter().map(|file| file.contents.len).collect();
    // SAFETY: the three arrays have the length told; the engine copies the names and only reads the contents, which
    // are kept as long as the session.
    options
        .check(unsafe { add(options.raw, names.as_ptr(), contents.as_ptr(), lengths.as_ptr(), files.len()) })
}
