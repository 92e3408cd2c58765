//! ONNX Runtime, through its C table.
//!
//! `runtime` loads the library and makes the one environment, `api` is the table, `options`, `providers` and `model`
//! serve `session`, which loads a model and opens lanes; `lane` runs requests, `values` carries tensors across,
//! `allocator` gives the engine Headway's pooled memory, `log` catches what the engine says.

mod allocator;
mod api;
mod bound;
mod composite;
mod lane;
mod log;
mod model;
mod options;
mod providers;
mod raw;
mod run_options;
mod runtime;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod values;

pub use self::bound::{Bound, Target, Turn};
pub use self::composite::{Composite, SparseIndices, SparseTensor};
pub use self::log::{LogLine, drain_log, log_waiting};
pub use self::options::SessionConfig;
pub use self::providers::Provider;
pub use self::run_options::RunConfig;
pub use self::runtime::{LIBRARY_VARIABLE, LibrarySource, Runtime};
pub use self::session::{LoadOptions, ModelSource, OrtEngine};
