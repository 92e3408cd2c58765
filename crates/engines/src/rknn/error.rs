//! What the runtime's codes mean.

use headway_core::error::{Error, ErrorKind};

/// The name of a code and what it means.
fn meaning(code: i32) -> (&'static str, &'static str) {
    match code {
        -1 => ("RKNN_ERR_FAIL", "the call failed"),
        -2 => ("RKNN_ERR_TIMEOUT", "the NPU took too long"),
        -3 => ("RKNN_ERR_DEVICE_UNAVAILABLE", "there is no NPU, or it does not answer"),
        -4 => ("RKNN_ERR_MALLOC_FAIL", "there is not enough memory"),
        -5 => ("RKNN_ERR_PARAM_INVALID", "an argument is wrong"),
        -6 => ("RKNN_ERR_MODEL_INVALID", "the model is wrong"),
        -7 => ("RKNN_ERR_CTX_INVALID", "the context is wrong"),
        -8 => ("RKNN_ERR_INPUT_INVALID", "an input is wrong"),
        -9 => ("RKNN_ERR_OUTPUT_INVALID", "an output is wrong"),
        -10 => ("RKNN_ERR_DEVICE_UNMATCH", "runtime and driver versions do not match"),
        -11 => ("RKNN_ERR_INCOMPATIBLE_PRE_COMPILE_MODEL", "the model was compiled for another driver"),
        -12 => (
            "RKNN_ERR_INCOMPATIBLE_OPTIMIZATION_LEVEL_VERSION",
            "the model's optimization level does not match the runtime",
        ),
        -13 => ("RKNN_ERR_TARGET_PLATFORM_UNMATCH", "the model or the option is for another chip"),
        _ => ("an unknown code", "the runtime says no more"),
    }
}

/// `Ok` on 0, else what `what` (a function's name) said.
pub(super) fn check(kind: ErrorKind, what: &str, code: i32) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(failed(kind, what, code)) }
}

#[cold]
fn failed(kind: ErrorKind, what: &str, code: i32) -> Error {
    let (name, meaning) = meaning(code);
    Error::new(kind, format!("{what} failed: {name} ({code}): {meaning}")).with_code(code)
}

/// The runtime has no function of this name.
#[cold]
pub(super) fn missing(kind: ErrorKind, function: &str, consequence: &str) -> Error {
    Error::new(kind, format!("this librknnrt has no {function}: {consequence}"))
}
