//! Execution providers: each appended to the session options in its own form.

use std::ptr;

use headway_core::error::Error;

use super::options::Options;
use super::runtime::Runtime;
use super::text::{Pairs, c_string};

/// A provider's name, as in `CUDAExecutionProvider`, and its options.
pub type Provider = (String, Vec<(String, String)>);

/// Appends the providers in the order of preference. The CPU is always there and needs no word.
pub(super) fn append(runtime: &Runtime, options: &Options, providers: &[Provider]) -> Result<(), Error> {
    for (name, pairs) in providers {
        let pairs = Pairs::new(pairs)?;
        match name.as_str() {
            "CPUExecutionProvider" => {}
            "CUDAExecutionProvider" => append_cuda(runtime, options, &pairs)?,
            "TensorrtExecutionProvider" => append_tensorrt(runtime, options, &pairs)?,
            other => append_by_name(runtime, options, other, &pairs)?,
        }
    }
    Ok(())
}

fn append_cuda(runtime: &Runtime, options: &Options, pairs: &Pairs) -> Result<(), Error> {
    let api = &runtime.api;
    let mut cuda = ptr::null_mut();
    // SAFETY: an out parameter.
    options.check(unsafe { (api.create_cuda_options)(&mut cuda) })?;
    // SAFETY: `cuda` was just made; the engine copies the strings.
    let status =
        pairs.with(|keys, values, count| unsafe { (api.update_cuda_options)(cuda, keys, values, count) });
    let appended = options.check(status).and_then(|()| {
        // SAFETY: both objects live; the engine copies the options.
        options.check(unsafe { (api.append_cuda)(options.raw, cuda) })
    });
    // SAFETY: released once.
    unsafe { (api.release_cuda_options)(cuda) };
    appended
}

fn append_tensorrt(runtime: &Runtime, options: &Options, pairs: &Pairs) -> Result<(), Error> {
    let api = &runtime.api;
    let mut tensorrt = ptr::null_mut();
    // SAFETY: an out parameter.
    options.check(unsafe { (api.create_tensorrt_options)(&mut tensorrt) })?;
    // SAFETY: `tensorrt` was just made; the engine copies the strings.
    let status = pairs
        .with(|keys, values, count| unsafe { (api.update_tensorrt_options)(tensorrt, keys, values, count) });
    let appended = options.check(status).and_then(|()| {
        // SAFETY: both objects live; the engine copies the options.
        options.check(unsafe { (api.append_tensorrt)(options.raw, tensorrt) })
    });
    // SAFETY: released once.
    unsafe { (api.release_tensorrt_options)(tensorrt) };
    appended
}

fn append_by_name(runtime: &Runtime, options: &Options, name: &str, pairs: &Pairs) -> Result<(), Error> {
    let name = c_string(short_name(name), headway_core::error::ErrorKind::Load)?;
    options.check(pairs.with(|keys, values, count| {
        // SAFETY: the options live; the engine copies the strings.
        unsafe { (runtime.api.append_provider)(options.raw, name.as_ptr(), keys, values, count) }
    }))
}

/// The word by which the engine's general call knows a provider.
fn short_name(name: &str) -> &str {
    match name.strip_suffix("ExecutionProvider").unwrap_or(name) {
        "Azure" => "AZURE",
        "Xnnpack" => "XNNPACK",
        "Dml" => "DML",
        "WebGpu" => "WebGPU",
        "Js" => "JS",
        "NvTensorRTRTX" => "NvTensorRtRtx",
        other => other,
    }
}
