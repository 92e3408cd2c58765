//! Session and run options, from the dicts that Python makes of them.

use std::path::PathBuf;
use std::sync::Arc;

use headway_core::engine::{Control, Engine};
use headway_core::value::{Memory, Tensor};
use headway_engines::ort::{ExternalFile, OrtEngine, RunConfig, SessionConfig, ThreadChoice};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors;
use crate::facts::Held;
use crate::flags::{LoadFlag, LoraAdapter, RunFlag};
use crate::graveyard::PyOwner;
use crate::ortvalue::OrtValue;

fn get<'py, T: for<'a> FromPyObject<'a, 'py, Error = PyErr>>(
    dict: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<Option<T>> {
    match dict.get_item(name)? {
        Some(value) if !value.is_none() => Ok(Some(value.extract()?)),
        _ => Ok(None),
    }
}

/// The pairs `(name, object)` under a key, each object read by `read`.
fn named<T>(
    dict: &Bound<'_, PyDict>,
    key: &str,
    read: impl Fn(&str, &Bound<'_, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let pairs: Vec<(String, Bound<'_, PyAny>)> = get(dict, key)?.unwrap_or_default();
    pairs.iter().map(|(name, object)| read(name, object)).collect()
}

pub(crate) fn session_config(dict: &Bound<'_, PyDict>) -> PyResult<SessionConfig> {
    let initializer = |name: &str, value: &Bound<'_, PyAny>| Ok((name.to_owned(), tensor_of(value)?));
    Ok(SessionConfig {
        intra_op_num_threads: get(dict, "intra_op_num_threads")?,
        inter_op_num_threads: get(dict, "inter_op_num_threads")?,
        execution_mode: get(dict, "execution_mode")?,
        graph_optimization_level: get(dict, "graph_optimization_level")?,
        enable_cpu_mem_arena: get(dict, "enable_cpu_mem_arena")?,
        enable_mem_pattern: get(dict, "enable_mem_pattern")?,
        profile_file_prefix: get(dict, "profile_file_prefix")?,
        optimized_model_filepath: get(dict, "optimized_model_filepath")?,
        logid: get(dict, "logid")?,
        log_severity_level: get(dict, "log_severity_level")?,
        log_verbosity_level: get(dict, "log_verbosity_level")?,
        use_deterministic_compute: get(dict, "use_deterministic_compute")?,
        config_entries: get(dict, "config_entries")?.unwrap_or_default(),
        free_dimensions_by_name: get(dict, "free_dimensions_by_name")?.unwrap_or_default(),
        free_dimensions_by_denotation: get(dict, "free_dimensions_by_denotation")?.unwrap_or_default(),
        custom_op_libraries: get(dict, "custom_op_libraries")?.unwrap_or_default(),
        threads: thread_choice(dict)?,
        initializers: named(dict, "initializers", initializer)?,
        external_initializers: named(dict, "external_initializers", initializer)?,
        external_files: named(dict, "external_files", external_file)?,
        device_providers: get(dict, "device_providers")?.unwrap_or_default(),
        selection_policy: get(dict, "selection_policy")?,
        load_flag: load_flag(dict)?,
        lane_cache_bytes: None,
    })
}

fn thread_choice(dict: &Bound<'_, PyDict>) -> PyResult<ThreadChoice> {
    match get::<String>(dict, "threads")?.as_deref() {
        None | Some("own") => Ok(ThreadChoice::Own),
        Some("shared_if_equal") => Ok(ThreadChoice::SharedIfEqual),
        Some("shared") => Ok(ThreadChoice::Shared),
        Some(other) => Err(PyValueError::new_err(format!("there is no choice of threads {other:?}"))),
    }
}

fn load_flag(dict: &Bound<'_, PyDict>) -> PyResult<Option<headway_engines::ort::LoadFlag>> {
    let Some(flag) = dict.get_item("load_flag")? else { return Ok(None) };
    Ok(Some(flag.cast::<LoadFlag>()?.get().0.clone()))
}

/// A file's contents, over the bytes object's own memory.
fn external_file(name: &str, contents: &Bound<'_, PyAny>) -> PyResult<ExternalFile> {
    let bytes = contents.cast::<PyBytes>()?;
    let (addr, len) = (bytes.as_bytes().as_ptr().expose_provenance(), bytes.as_bytes().len());
    let owner = Arc::new(PyOwner::new(bytes.clone().into_any().unbind()));
    Ok(ExternalFile { name: PathBuf::from(name), contents: Memory { addr, len, owner: Some(owner) } })
}

/// The CPU tensor of an `OrtValue`, which keeps its own memory.
fn tensor_of(value: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let Ok(value) = value.cast::<OrtValue>() else {
        let text = format!("expected headway.OrtValue, got {}", value.get_type().name()?);
        return Err(PyTypeError::new_err(text));
    };
    match value.get().held() {
        Held::Tensor(tensor) => Ok(tensor.clone()),
        _ => Err(PyTypeError::new_err("an initializer is a tensor on the CPU")),
    }
}

pub(crate) fn ort_options(given: &Bound<'_, PyAny>, engine: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    let Ok(fields) = given.call_method0("_fields") else {
        let (kind, mut text) =
            (given.get_type(), String::from("run_options: expected headway.RunOptions, got "));
        text.push_str(&kind.name()?.to_string());
        if kind.name()? == "RunOptions" {
            // Somebody else's class of this name.
            text.push_str(&format!(" of {}", kind.module()?));
        }
        return Err(PyTypeError::new_err(text));
    };
    let config = run_config(fields.cast::<PyDict>()?)?;
    let Some(engine) = engine.as_any().downcast_ref::<OrtEngine>() else {
        return Err(PyTypeError::new_err("run_options: this engine takes none"));
    };
    engine.run_options(&config).map_err(|error| errors::raise(given.py(), &error, "onnxruntime"))
}

fn run_config(fields: &Bound<'_, PyDict>) -> PyResult<RunConfig> {
    let adapters: Vec<Bound<'_, PyAny>> = get(fields, "adapters")?.unwrap_or_default();
    let adapter = |one: &Bound<'_, PyAny>| Ok(Arc::clone(&one.cast::<LoraAdapter>()?.get().0));
    let flag = fields.get_item("flag")?.filter(|flag| !flag.is_none());
    Ok(RunConfig {
        log_severity_level: get(fields, "log_severity_level")?,
        log_verbosity_level: get(fields, "log_verbosity_level")?,
        logid: get(fields, "logid")?,
        config_entries: get(fields, "config_entries")?.unwrap_or_default(),
        adapters: adapters.iter().map(adapter).collect::<PyResult<_>>()?,
        flag: flag.map(|flag| Ok::<_, PyErr>(flag.cast::<RunFlag>()?.get().0.clone())).transpose()?,
    })
}
