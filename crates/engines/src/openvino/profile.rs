//! What each node of a request took, where the model was compiled with `PERF_COUNT`.

use std::ffi::{CStr, c_char};
use std::ptr;

use headway_core::error::Error;

use super::raw::Profiles;
use super::request::Request;

/// What one node of the last request took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTiming {
    /// The node's name.
    pub node: String,
    /// Its operation: `Convolution`.
    pub kind: String,
    /// How the device ran it: `jit_avx512_f32`.
    pub execution: String,
    /// `NOT_RUN`, `OPTIMIZED_OUT` or `EXECUTED`.
    pub status: &'static str,
    /// Microseconds from its begin to its end.
    pub real_us: i64,
    /// Microseconds of the host's CPU.
    pub cpu_us: i64,
}

/// The timings of a request that has run.
pub(super) fn read(request: &Request) -> Result<Vec<NodeTiming>, Error> {
    let api = &request.compiled.runtime.api;
    let mut found = Profiles { list: ptr::null_mut(), count: 0 };
    // SAFETY: the request is live and does not run; an out parameter.
    api.check_run(unsafe { (api.profile)(request.raw, &mut found) })?;
    let timings = (0..found.count)
        .map(|at| {
            // SAFETY: the library gave `count` of them.
            let one = unsafe { &*found.list.add(at) };
            let status = match one.status {
                0 => "NOT_RUN",
                1 => "OPTIMIZED_OUT",
                _ => "EXECUTED",
            };
            // SAFETY: each is null or a C string that lives until the list is freed.
            let [node, kind, execution] =
                [one.node, one.kind, one.execution].map(|text| unsafe { copy(text) });
            NodeTiming { node, kind, execution, status, real_us: one.real_us, cpu_us: one.cpu_us }
        })
        .collect();
    // SAFETY: filled above, freed once.
    unsafe { (api.free_profile)(&mut found) };
    Ok(timings)
}

/// # Safety
/// `text` is null or a C string.
unsafe fn copy(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
