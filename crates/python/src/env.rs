//! Calls on the engine's library and environment, of which each process has one.
//!
//! Their locks are waited for detached only, however short it is: a thread that forks holds them (`life::forking`) while
//! other hooks of the fork run in Python, each of which may give the GIL away; and a fork without a GIL first waits until
//! every attached thread has stopped.

use std::path::PathBuf;

use headway_core::error::Error;
use headway_engines::ort::{self, EpDevice, LibrarySource, Runtime, drain_log};
use pyo3::prelude::*;

use crate::errors;
use crate::life::{away, inside};

/// Calls the library, found as its candidates say, detached.
fn on_library<R: Send>(
    py: Python<'_>,
    candidates: Vec<PathBuf>,
    call: impl FnOnce(&'static Runtime) -> Result<R, Error> + Send,
) -> PyResult<R> {
    let _inside = inside(py);
    let source = LibrarySource { explicit: None, candidates };
    let result = away(py, || Runtime::get(&source).and_then(call));
    result.map_err(|error| errors::raise(py, &error, "onnxruntime"))
}

/// Providers that the onnxruntime library at hand was built with.
#[pyfunction]
pub(crate) fn available_providers(py: Python<'_>, candidates: Vec<PathBuf>) -> PyResult<Vec<String>> {
    on_library(py, candidates, Runtime::available_providers)
}

/// The version of the onnxruntime library at hand.
#[pyfunction]
pub(crate) fn onnxruntime_version(py: Python<'_>, candidates: Vec<PathBuf>) -> PyResult<String> {
    on_library(py, candidates, |runtime| Ok(runtime.version().to_owned()))
}

/// How the onnxruntime library at hand was built.
#[pyfunction]
pub(crate) fn build_info(py: Python<'_>, candidates: Vec<PathBuf>) -> PyResult<String> {
    on_library(py, candidates, |runtime| Ok(runtime.build_info()))
}

/// Turns the library's telemetry on or off.
#[pyfunction]
pub(crate) fn set_telemetry(py: Python<'_>, on: bool, candidates: Vec<PathBuf>) -> PyResult<()> {
    on_library(py, candidates, |runtime| runtime.set_telemetry(on))
}

/// Registers a library of execution providers.
#[pyfunction]
pub(crate) fn register_provider_library(
    py: Python<'_>,
    name: String,
    path: PathBuf,
    candidates: Vec<PathBuf>,
) -> PyResult<()> {
    on_library(py, candidates, |runtime| runtime.register_provider_library(&name, &path))
}

/// Unregisters a library of execution providers.
#[pyfunction]
pub(crate) fn unregister_provider_library(
    py: Python<'_>,
    name: String,
    candidates: Vec<PathBuf>,
) -> PyResult<()> {
    on_library(py, candidates, |runtime| runtime.unregister_provider_library(&name))
}

type Pairs = Vec<(String, String)>;
/// `(kind, vendor, vendor_id, device_id, metadata)`
type Hardware = (i32, String, u32, u32, Pairs);
/// `(name, vendor, metadata, options, hardware, handle)`
type Device = (String, String, Pairs, Pairs, Hardware, usize);

/// Every device that a provider can run on.
#[pyfunction]
pub(crate) fn ep_devices(py: Python<'_>, candidates: Vec<PathBuf>) -> PyResult<Vec<Device>> {
    let devices = on_library(py, candidates, Runtime::ep_devices)?;
    Ok(devices.into_iter().map(device).collect())
}

fn device(device: EpDevice) -> Device {
    let hardware = device.hardware;
    let hardware =
        (hardware.kind, hardware.vendor, hardware.vendor_id, hardware.device_id, hardware.metadata);
    (device.name, device.vendor, device.metadata, device.options, hardware, device.handle)
}

/// From which severity on the engine logs: 0 verbose to 4 fatal.
#[pyfunction]
pub(crate) fn set_log_severity(py: Python<'_>, severity: i32) -> PyResult<()> {
    let _inside = inside(py);
    away(py, || ort::set_log_severity(severity)).map_err(|error| errors::raise(py, &error, "onnxruntime"))
}

/// Sizes of the thread pools that sessions may share.
#[pyfunction]
pub(crate) fn set_shared_pool_sizes(py: Python<'_>, intra: i32, inter: i32) -> PyResult<()> {
    let _inside = inside(py);
    let set = away(py, || ort::set_shared_pool_sizes(intra, inter));
    set.map_err(|error| errors::raise(py, &error, "onnxruntime"))
}

/// The threads that this process's sessions are meant to use in all.
#[pyfunction]
pub(crate) fn thread_budget(py: Python<'_>) -> usize {
    let _inside = inside(py);
    away(py, ort::thread_budget)
}

/// Sets the thread budget; None is the usable cores.
#[pyfunction]
pub(crate) fn set_thread_budget(py: Python<'_>, budget: Option<usize>) {
    let _inside = inside(py);
    away(py, || ort::set_thread_budget(budget));
}

/// Engine log lines since the last call: `(severity, category, message)`.
#[pyfunction]
pub(crate) fn engine_log(py: Python<'_>) -> Vec<(i32, String, String)> {
    let _inside = inside(py);
    away(py, drain_log).into_iter().map(|line| (line.severity, line.category, line.message)).collect()
}
