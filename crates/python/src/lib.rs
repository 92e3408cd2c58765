//! The one door between Python and the flow: `headway._core`.
//!
//! The tour: [`model`] loads an engine; [`session`] is the class; [`run`] and [`submit`] are the ways in, on
//! [`feeds`] and [`array`]; [`wait`] and [`future`] are the ways to an answer, on [`outputs`]; [`callback`]
//! and [`bell`] are delivery; [`pyfeed`] drives Python lanes; [`life`] is exit and fork; [`graveyard`] frees
//! what native threads may not; [`errors`] makes exceptions; [`describe`] shows; [`testing`] fakes.
//!
//! No native worker ever enters Python: everything here runs on threads that Python made.

mod array;
mod bell;
mod callback;
mod core;
mod describe;
mod errors;
mod errors_in;
mod feeds;
mod flows;
mod future;
mod graveyard;
mod life;
mod model;
mod once;
mod outputs;
mod pyfeed;
mod run;
mod session;
mod submit;
mod testing;
mod wait;

use pyo3::prelude::*;

/// Headway's native half.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::bell::Bell;
    #[pymodule_export]
    use crate::callback::Deliveries;
    #[pymodule_export]
    use crate::flows::Flow;
    #[pymodule_export]
    use crate::future::InferenceFuture;
    #[pymodule_export]
    use crate::life::{exit, forked, usable_cores};
    #[pymodule_export]
    use crate::model::{Model, available_providers, engine_log, onnxruntime_version};
    #[pymodule_export]
    use crate::pyfeed::Lane;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::testing::{FakeControl, ManualClock};
}
