//! Empty sequences. The C table makes a sequence out of its elements only, so the engine is asked for one in its own
//! language: a model of the one operator `SequenceEmpty`, made once for each element type.

use std::ptr;
use std::sync::{Mutex, PoisonError};

use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::composite_in::about;
use super::feeds::strip;
use super::raw::*;
use super::runtime::Runtime;
use super::values::wrong;

/// Sessions by element type. They live as long as the process, as the runtime does.
static MODELS: Mutex<Vec<(DType, Model)>> = Mutex::new(Vec::new());

#[derive(Clone, Copy)]
struct Model(*mut OrtSession);

// SAFETY: a session may run on many threads at once, and this one is never released.
unsafe impl Send for Model {}

/// An empty sequence of `element` (`tensor(float)`).
pub(super) fn sequence(runtime: &Runtime, name: &str, element: &str) -> Result<*mut OrtValue, Error> {
    let refused = format!("an empty seq({element}) cannot be made");
    let dtype = strip(element, "tensor(").and_then(dtype_of).ok_or_else(|| wrong(name, &refused))?;
    made(runtime, dtype).map_err(|mut error| {
        error.message = format!("{refused}: {}", error.message);
        about(name, error)
    })
}

fn made(runtime: &Runtime, dtype: DType) -> Result<*mut OrtValue, Error> {
    let model = model(runtime, dtype)?;
    let (mut value, output) = (ptr::null_mut(), c"s".as_ptr());
    // SAFETY: the session lives for ever; it has no inputs and one output of this name.
    let status = unsafe {
        (runtime.api.run)(model.0, ptr::null(), ptr::null(), ptr::null(), 0, &output, 1, &mut value)
    };
    runtime.api.check(status, ErrorKind::Input)?;
    Ok(value)
}

fn model(runtime: &Runtime, dtype: DType) -> Result<Model, Error> {
    let known =
        |models: &[(DType, Model)]| models.iter().find(|(known, _)| *known == dtype).map(|&(_, model)| model);
    let models = || MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(model) = known(&models()) {
        return Ok(model);
    }
    // Without the lock: the engine loads for as long as it likes. Of two that meet here, one is thrown away.
    let made = load(runtime, runtime.environment()?.raw, dtype)?;
    let mut models = models();
    if let Some(model) = known(&models) {
        drop(models);
        // SAFETY: made above, and given to nobody.
        unsafe { (runtime.api.release_session)(made.0) };
        return Ok(model);
    }
    models.push((dtype, made));
    Ok(made)
}

/// Makes a session of one such model and releases it: the library sets up its operators with its first session.
pub(super) fn try_one(runtime: &Runtime, environment: *mut OrtEnv) {
    // Whatever is wrong with it, the program's own session meets it too, and says so.
    if let Ok(model) = load(runtime, environment, DType::F32) {
        // SAFETY: just made, and given to nobody.
        unsafe { (runtime.api.release_session)(model.0) };
    }
}

fn load(runtime: &Runtime, environment: *mut OrtEnv, dtype: DType) -> Result<Model, Error> {
    let api = &runtime.api;
    let check = |status| api.check(status, ErrorKind::Input);
    let mut options = ptr::null_mut();
    // SAFETY: an out parameter.
    check(unsafe { (api.create_session_options)(&mut options) })?;
    let bytes = encode(dtype);
    let mut session = ptr::null_mut();
    // No threads: there is nothing to do for them.
    // SAFETY: the options were just made.
    let made = check(unsafe { (api.set_intra_op_threads)(options, 1) }).and_then(|()| {
        // SAFETY: as above; the bytes are read during the call; an out parameter.
        check(unsafe {
            (api.create_session_from_array)(
                environment,
                bytes.as_ptr().cast(),
                bytes.len(),
                options,
                &mut session,
            )
        })
    });
    // SAFETY: made above, released once; a session keeps none of its options.
    unsafe { (api.release_session_options)(options) };
    made.map(|()| Model(session))
}

fn dtype_of(word: &str) -> Option<DType> {
    (0..128).filter_map(DType::from_onnx).find(|dtype| dtype.as_str() == word)
}

/// The model's bytes. Numbers stay below 128, so that each of them, and each length, is one byte.
fn encode(dtype: DType) -> Vec<u8> {
    let dtype = dtype as u8;
    let attribute = [text(1, "dtype"), number(3, dtype), number(20, 2)].concat();
    let node = [text(2, "s"), text(4, "SequenceEmpty"), part(5, &attribute)].concat();
    let sequence = part(4, &part(1, &part(1, &number(1, dtype))));
    let output = [text(1, "s"), part(2, &sequence)].concat();
    let graph = [part(1, &node), text(2, "empty"), part(12, &output)].concat();
    // The first version with sequences of each sort, so that any library reads it.
    [number(1, 6), part(7, &graph), part(8, &number(2, 11))].concat()
}

fn number(field: u8, value: u8) -> Vec<u8> {
    match u8::try_from(u16::from(field) << 3) {
        Ok(key) if key < 128 => vec![key, value],
        _ => vec![(field << 3) | 128, field >> 4, value],
    }
}

fn part(field: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[(field << 3) | 2, length], bytes].concat()
}

fn text(field: u8, text: &str) -> Vec<u8> {
    part(field, text.as_bytes())
}
