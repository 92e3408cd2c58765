//! ONNX Runtime, through its C table.
//!
//! `runtime` loads the library, `environment` makes the one environment, `api` is the table with what is `newer`;
//! `options`, `load_flag`, `initializers`, `providers`, `devices` and `model`
//! serve `session`, which loads a model and opens lanes; `lane` runs requests with `feeds` as their inputs, and `targets`
//! and `binding` those that bring their outputs' places (`bound`). `values` carries tensors across, `composite_in`,
//! `composite_out`, `sparse` and `empty` what is made of tensors (`composite`), `device` is what stays on a device.
//! `batch` joins several requests into one run.
//! `allocator` gives the engine Headway's pooled memory, `log` catches what the engine says.

mod adapter;
mod allocator;
mod api;
mod batch;
mod binding;
mod bound;
mod child;
mod composite;
mod composite_in;
mod composite_out;
mod device;
mod devices;
mod empty;
mod environment;
mod feeds;
mod initializers;
mod lane;
mod load_flag;
mod log;
mod made;
mod model;
mod newer;
mod options;
mod providers;
mod raw;
mod run_options;
mod runtime;
mod session;
mod sparse;
mod sparse_check;
mod targets;
#[cfg(test)]
mod tests;
mod text;
mod values;

pub use self::adapter::LoraAdapter;
pub use self::bound::{Bound, Places, Target, Turn};
pub use self::composite::{Composite, SparseIndices, SparseTensor};
pub use self::device::DeviceValue;
pub use self::devices::{DeviceProvider, EpDevice, HardwareDevice};
pub(crate) use self::environment::hold_wishes;
pub use self::environment::{set_log_severity, set_shared_pool_sizes, set_thread_budget, thread_budget};
pub use self::initializers::ExternalFile;
pub use self::load_flag::LoadFlag;
pub use self::log::{LogLine, drain_log, log_waiting};
pub(crate) use self::log::{hold_log, push as log_line};
pub use self::options::{SessionConfig, ThreadChoice, Threads};
pub use self::providers::Provider;
pub use self::run_options::{RunConfig, RunFlag};
pub(crate) use self::runtime::hold_loading;
pub use self::runtime::{LIBRARY_VARIABLE, LibrarySource, Runtime};
pub use self::session::{LoadOptions, ModelSource, OrtEngine};
