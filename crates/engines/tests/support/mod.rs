//! What the engine tests share.
#![allow(dead_code)] // each test binary uses a part of it

#[cfg(target_os = "linux")]
pub(crate) mod isolated;
mod library;
pub(crate) mod openvino;
mod openvino_library;
pub(crate) mod rknn;
pub(crate) mod subjects;

use std::sync::Arc;

use headway_core::engine::{Engine, Job, Lane};
use headway_core::error::Error;
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value, Values};
use headway_engines::ort::{LibrarySource, LoadOptions, ModelSource, OrtEngine};

pub(crate) use library::{candidates, model};

/// Where the tests' library is.
pub(crate) fn source() -> LibrarySource {
    LibrarySource { explicit: None, candidates: candidates() }
}

/// Loads a model with default options.
pub(crate) fn load(name: &str) -> OrtEngine {
    OrtEngine::load(LoadOptions::new(source(), ModelSource::Path(model(name)))).expect("the model loads")
}

/// A tensor over a copy of `bytes`.
pub(crate) fn tensor(dtype: DType, dims: &[i64], bytes: &[u8]) -> Value {
    let owner: Arc<[u8]> = bytes.into();
    let addr = owner.as_ptr().expose_provenance();
    let memory = Memory { addr, len: owner.len(), owner: Some(Arc::new(owner)) };
    Value::Tensor(Tensor { dtype, dims: Dims::from_slice(dims), data: Data::Memory(memory) })
}

/// A float tensor.
pub(crate) fn floats(dims: &[i64], values: &[f32]) -> Value {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    tensor(DType::F32, dims, &bytes)
}

/// An int64 tensor.
pub(crate) fn ints(dims: &[i64], values: &[i64]) -> Value {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    tensor(DType::I64, dims, &bytes)
}

/// A string tensor.
pub(crate) fn strings(dims: &[i64], values: &[&str]) -> Value {
    let data = Data::Strings(values.iter().map(|&value| value.into()).collect());
    Value::Tensor(Tensor { dtype: DType::String, dims: Dims::from_slice(dims), data })
}

/// The tensor in a value.
pub(crate) fn as_tensor(value: &Value) -> &Tensor {
    match value {
        Value::Tensor(tensor) => tensor,
        other => panic!("expected a tensor, got {other:?}"),
    }
}

/// A copy of a plain tensor's bytes.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    let Data::Memory(memory) = &as_tensor(value).data else { panic!("expected plain elements") };
    if memory.len == 0 {
        return Vec::new();
    }
    let start = std::ptr::with_exposed_provenance::<u8>(memory.addr);
    // SAFETY: the value keeps its memory alive, and nobody writes to it during the test.
    unsafe { std::slice::from_raw_parts(start, memory.len) }.to_vec()
}

/// A copy of a float tensor's elements.
pub(crate) fn floats_of(value: &Value) -> Vec<f32> {
    let number = |bytes: &[u8]| f32::from_ne_bytes(bytes.try_into().expect("four bytes"));
    bytes_of(value).chunks(4).map(number).collect()
}

/// A copy of a string tensor's elements.
pub(crate) fn strings_of(value: &Value) -> Vec<String> {
    match &as_tensor(value).data {
        Data::Strings(strings) => strings.iter().map(|string| string.to_string()).collect(),
        Data::Memory(_) => panic!("expected strings"),
    }
}

/// A job that feeds `values`.
pub(crate) fn job(values: impl IntoIterator<Item = Value>, wanted: Wanted) -> Job {
    Job { inputs: Inputs::Feeds(values.into_iter().collect()), wanted, options: None, result: None }
}

/// Runs one request on a lane.
pub(crate) fn run(
    lane: &mut dyn Lane,
    values: impl IntoIterator<Item = Value>,
    wanted: Wanted,
) -> Result<Values, Error> {
    let mut jobs = [job(values, wanted)];
    lane.run(&mut jobs);
    let [job] = jobs;
    job.result.expect("a lane leaves a result")
}

/// Runs one request on a fresh lane and expects it to succeed.
pub(crate) fn run_once(engine: &dyn Engine, values: impl IntoIterator<Item = Value>) -> Values {
    let mut lane = engine.open_lane(0).expect("a lane");
    run(lane.as_mut(), values, Wanted::All).expect("the request succeeds")
}

/// Overwrites a plain tensor's bytes.
pub(crate) fn spoil(value: &Value) {
    let Data::Memory(memory) = &as_tensor(value).data else { panic!("expected plain elements") };
    let start = std::ptr::with_exposed_provenance_mut::<u8>(memory.addr);
    // SAFETY: an output's memory belongs to its holder alone.
    unsafe { std::ptr::write_bytes(start, 0xff, memory.len) };
}

/// Pages of memory that the process has in use; `None` where the system does not say.
pub(crate) fn resident_pages() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}
