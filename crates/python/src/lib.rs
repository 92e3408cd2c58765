//! The one door between Python and the flow: `headway._core`.
//!
//! The tour: [`model`] loads an engine; [`session`] is the class; [`run`] and [`submit`] are the ways in, on
//! [`feeds`] and [`array`]; [`wait`] and [`future`] are the ways to an answer, on [`outputs`]; [`callback`]
//! and [`bell`] are delivery; [`load_python`] and [`pyfeed`] drive Python lanes; [`life`] is exit and fork; [`graveyard`] frees
//! what native threads may not; [`errors`] makes exceptions; [`describe`] shows; [`testing`] fakes.
//!
//! No native worker ever enters Python: everything here runs on threads that Python made.

mod array;
mod asked;
mod batching;
mod bell;
mod binding;
mod callback;
mod composite;
mod composite_in;
mod core;
mod describe;
mod device;
mod env;
mod errors;
mod errors_in;
mod facts;
mod feeds;
mod flags;
mod flows;
mod future;
mod graveyard;
#[cfg(target_os = "linux")]
mod isolated;
mod kinds;
mod life;
mod load_openvino;
mod load_python;
mod load_rknn;
mod model;
mod once;
mod opening;
mod options;
mod ortvalue;
mod out;
mod outputs;
mod placement;
mod prepared;
mod profiler;
mod pyfeed;
mod room;
mod run;
#[cfg(target_os = "linux")]
mod served;
mod session;
mod sparse;
mod submit;
mod testing;
mod wait;

use pyo3::prelude::*;

/// Headway's native half.
// Nothing here needs a GIL: classes are frozen and lock for themselves (`Deliveries` belongs to one thread), and where
// a lock is waited for attached, its holder runs no Python code.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::once::fill_foreign_cells(module.py())
    }

    #[pymodule_export]
    use crate::asked::check_call;
    #[pymodule_export]
    use crate::bell::Bell;
    #[pymodule_export]
    use crate::binding::IoBinding;
    #[pymodule_export]
    use crate::callback::Deliveries;
    #[pymodule_export]
    use crate::env::{
        available_providers, build_info, engine_log, ep_devices, onnxruntime_version,
        register_provider_library, set_log_severity, set_shared_pool_sizes, set_telemetry, set_thread_budget,
        thread_budget, unregister_provider_library,
    };
    #[pymodule_export]
    use crate::flags::{LoadFlag, LoraAdapter, RunFlag};
    #[pymodule_export]
    use crate::flows::Flow;
    #[pymodule_export]
    use crate::future::InferenceFuture;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use crate::isolated::{lane_processes, load_isolated};
    #[pymodule_export]
    use crate::life::{exit, forked, forking, usable_cores};
    #[pymodule_export]
    use crate::load_openvino::{load_openvino, openvino_devices, openvino_profile};
    #[pymodule_export]
    use crate::load_python::{Terminations, load_python};
    #[pymodule_export]
    use crate::load_rknn::{load_rknn, rknn_perf_detail};
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::ortvalue::OrtValue;
    #[pymodule_export]
    use crate::prepared::PreparedCall;
    #[pymodule_export]
    use crate::profiler::{Profiler, set_dynamic_options};
    #[pymodule_export]
    use crate::pyfeed::Lane;
    #[pymodule_export]
    use crate::room::line_up_instead;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use crate::served::ServedLane;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::testing::{FakeControl, ManualClock, core_round_trip};
}
