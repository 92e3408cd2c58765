//! OpenVINO, through the C interface of its package.
//!
//! `runtime` loads the library and makes the one core, `api` is its functions on the declarations of `raw`, `types` finds
//! out its numbers of element types. `model` reads and compiles, with the names that `onnx` finds in the file; `engine`
//! is what the flow sees. `lane` runs a `request`, with `tensor` over the inputs and `outputs` in pooled memory;
//! `profile` is what the nodes took.

mod api;
mod engine;
mod lane;
mod model;
mod onnx;
mod outputs;
mod profile;
mod raw;
mod request;
mod runtime;
mod tensor;
#[cfg(test)]
mod tests;
mod types;

pub use self::engine::{LoadOptions, OpenVinoEngine};
pub use self::model::ModelSource;
pub use self::profile::NodeTiming;
pub(crate) use self::runtime::hold_loading;
pub use self::runtime::{LIBRARY_VARIABLE, Runtime};
