//! The C functions of loading, asking, and running through copies.

use std::ffi::{CStr, CString, c_char, c_void};
use std::slice;
use std::sync::{Arc, PoisonError};

use crate::abi::*;
use crate::compute::Model;
use crate::context::{Context, Inner, Side, form};
use crate::file;
use crate::numbers::Kind;
use crate::tensors::{View, format_of, picture, scale_of, store, unstore};
use crate::world::{Inside, code, world};

fn inner(inside: &Inside) -> std::sync::MutexGuard<'_, Inner> {
    inside.inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_init(
    out: *mut u64,
    model: *mut c_void,
    size: u32,
    flags: u32,
    extend: *mut InitExtend,
) -> i32 {
    // SAFETY: the C interface's promises.
    code(unsafe { init(out, model, size, flags, extend) })
}

unsafe fn init(
    out: *mut u64,
    model: *mut c_void,
    size: u32,
    flags: u32,
    extend: *mut InitExtend,
) -> Result<(), i32> {
    world().call("rknn_init")?;
    if out.is_null() || model.is_null() {
        return Err(PARAM_INVALID);
    }
    let bytes = match size {
        // SAFETY: no size means a path.
        0 => match unsafe { CStr::from_ptr(model.cast::<c_char>()) }.to_str().map(std::fs::read) {
            Ok(Ok(bytes)) => bytes,
            _ => return Err(MODEL_INVALID),
        },
        // SAFETY: the caller gave as many bytes.
        _ => unsafe { slice::from_raw_parts(model.cast::<u8>(), size as usize) }.to_vec(),
    };
    let (description, payload) = file::read(&bytes).ok_or(MODEL_INVALID)?;
    let shares = flags & FLAG_SHARE != 0;
    // SAFETY: null or the structure.
    let master = match (shares, unsafe { extend.as_ref() }) {
        (true, Some(extend)) => Some(extend.ctx),
        (true, None) => return Err(PARAM_INVALID),
        (false, _) => None,
    };
    if description.remove_weight && master.is_none() {
        return Err(MODEL_INVALID);
    }
    if master.is_some_and(|master| world().with(|state| !state.contexts.contains_key(&master))) {
        return Err(CTX_INVALID);
    }
    let model = Model::load(description, &payload).ok_or(MODEL_INVALID)?;
    // SAFETY: checked for null above.
    unsafe { *out = add(Arc::new(model), flags, master) };
    world().with(|state| state.counts.weight_loads += u64::from(!shares));
    Ok(())
}

fn add(model: Arc<Model>, flags: u32, master: Option<u64>) -> u64 {
    let id = world().with(|state| {
        state.next += 1;
        state.counts.flags.push(flags);
        0x5d00_0000 + state.next
    });
    let context = Arc::new(Context::new(id, model, flags, master));
    world().with(|state| state.contexts.insert(id, context));
    id
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_dup_context(from: *mut u64, out: *mut u64) -> i32 {
    let duplicate = || {
        if from.is_null() || out.is_null() {
            return Err(PARAM_INVALID);
        }
        // SAFETY: checked for null above.
        let inside = world().enter("rknn_dup_context", unsafe { *from })?;
        // SAFETY: as above.
        unsafe { *out = add(Arc::clone(&inside.model), inside.flags, Some(inside.id)) };
        Ok(())
    };
    code(duplicate())
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_destroy(id: u64) -> i32 {
    let destroy = || {
        let inside = world().enter("rknn_destroy", id)?;
        world().with(|state| {
            if state.contexts.values().any(|other| other.master == Some(id)) {
                state.violation(format!("context {id} was destroyed before those that share its weights"));
            }
            if state.memories.values().any(|memory| memory.context == id) {
                state.violation(format!("context {id} was destroyed before its memory"));
            }
            state.contexts.remove(&id);
        });
        drop(inside);
        Ok(())
    };
    code(destroy())
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_set_core_mask(id: u64, mask: i32) -> i32 {
    let set = || {
        let inside = world().enter("rknn_set_core_mask", id)?;
        let cores = world().with(|state| state.cores.speeds.len());
        let mask = match mask {
            _ if cores < 2 => return Err(PLATFORM_UNMATCH),
            0xffff => (1_u32 << cores) - 1,
            0 | 1 | 2 | 3 | 4 | 7 => mask as u32,
            _ => return Err(PARAM_INVALID),
        };
        if mask >> cores != 0 {
            return Err(PARAM_INVALID);
        }
        inner(&inside).mask = mask;
        Ok(())
    };
    code(set())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_register_custom_ops(id: u64, operators: *mut c_void, count: u32) -> i32 {
    let register = || {
        let inside = world().enter("rknn_register_custom_ops", id)?;
        if operators.is_null() || count == 0 {
            return Err(PARAM_INVALID);
        }
        inner(&inside).operators += count as usize;
        Ok(())
    };
    code(register())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_query(id: u64, question: u32, answer: *mut c_void, size: u32) -> i32 {
    let ask = || {
        let inside = world().enter("rknn_query", id)?;
        if answer.is_null() {
            return Err(PARAM_INVALID);
        }
        // SAFETY: the caller's structure, whose size is looked at before it is written.
        unsafe { query(&inside, question, answer, size as usize) }
    };
    code(ask())
}

unsafe fn query(inside: &Inside, question: u32, answer: *mut c_void, size: usize) -> Result<(), i32> {
    let sized = |expected: usize| if size == expected { Ok(()) } else { Err(PARAM_INVALID) };
    let description = &inside.model.description;
    let set = inner(inside).set;
    let current = if matches!(question, 14..=17) { set } else { 0 };
    let view = match question {
        1 | 14 => Some((Side::Input, View::Plain)),
        2 | 15 => Some((Side::Output, View::Plain)),
        8 | 16 => Some((Side::Input, View::Native)),
        9 | 17 => Some((Side::Output, View::Native)),
        10 => Some((Side::Input, View::NativeNhwc)),
        11 => Some((Side::Output, View::NativeNhwc)),
        _ => None,
    };
    if let Some((side, view)) = view {
        sized(size_of::<TensorAttr>())?;
        let answer = answer.cast::<TensorAttr>();
        // SAFETY: the size is that of the structure.
        let index = unsafe { (*answer).index };
        let attr = inside.attr(side, index, view, current).ok_or(PARAM_INVALID)?;
        // SAFETY: as above.
        unsafe { answer.write(attr) };
        return Ok(());
    }
    // SAFETY: each arm looks at the size first.
    unsafe {
        match question {
            0 => {
                sized(8)?;
                answer
                    .cast::<[u32; 2]>()
                    .write([description.inputs.len() as u32, description.outputs.len() as u32]);
            }
            3 if inside.flags & FLAG_PERF != 0 => {
                sized(16)?;
                let mut inner = inner(inside);
                inner.perf = CString::new(format!("total time: {} us", inner.last_run)).unwrap_or_default();
                answer
                    .cast::<(*const c_char, u64)>()
                    .write((inner.perf.as_ptr(), inner.perf.as_bytes().len() as u64));
            }
            5 => {
                sized(512)?;
                write_text(answer, 0, "2.4.1 (stand-in)", 256);
                write_text(answer, 256, "0.9.9", 256);
            }
            6 => {
                sized(64)?;
                answer
                    .cast::<[u32; 16]>()
                    .write([1000, 2000, 3000, 0, 4000, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
            7 => {
                sized(1024)?;
                write_text(answer, 0, &description.custom_string, 1024);
            }
            13 => {
                sized(size_of::<InputRange>())?;
                return ranges(inside, &mut *answer.cast::<InputRange>());
            }
            _ => return Err(PARAM_INVALID),
        }
    }
    Ok(())
}

unsafe fn write_text(answer: *mut c_void, at: usize, text: &str, room: usize) {
    let text = &text.as_bytes()[..text.len().min(room - 1)];
    // SAFETY: the caller's structure has `room` bytes there.
    unsafe {
        let start = answer.cast::<u8>().add(at);
        start.write_bytes(0, room);
        start.copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
}

fn ranges(inside: &Inside, range: &mut InputRange) -> Result<(), i32> {
    let description = &inside.model.description;
    let index = range.index as usize;
    let tensor = description.inputs.get(index).ok_or(PARAM_INVALID)?;
    if description.shapes.is_empty() {
        return Err(PARAM_INVALID);
    }
    range.shape_number = description.shapes.len() as u32;
    range.fmt = format_of(tensor);
    range.n_dims = tensor.dims.len() as u32;
    for (row, set) in range.dyn_range.iter_mut().zip(&description.shapes) {
        row[..tensor.dims.len()].copy_from_slice(&set.inputs[index]);
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_set_input_shapes(id: u64, count: u32, attrs: *mut TensorAttr) -> i32 {
    let set = || {
        let inside = world().enter("rknn_set_input_shapes", id)?;
        let description = &inside.model.description;
        if attrs.is_null() || count as usize != description.inputs.len() || description.shapes.is_empty() {
            return Err(PARAM_INVALID);
        }
        // SAFETY: the caller gave as many.
        let attrs = unsafe { slice::from_raw_parts(attrs, count as usize) };
        if attrs.iter().zip(&description.inputs).any(|(attr, tensor)| attr.fmt != format_of(tensor)) {
            return Err(PARAM_INVALID);
        }
        let same = |set: &file::ShapeSet| {
            set.inputs
                .iter()
                .zip(attrs)
                .all(|(dims, attr)| attr.n_dims as usize == dims.len() && attr.dims[..dims.len()] == dims[..])
        };
        let found = description.shapes.iter().position(same).ok_or(PARAM_INVALID)?;
        let mut inner = inner(&inside);
        inner.set = found;
        inner.inputs.clear();
        inner.outputs = None;
        inner.bound_inputs.clear();
        inner.bound_outputs.clear();
        Ok(())
    };
    code(set())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_inputs_set(id: u64, count: u32, inputs: *mut Input) -> i32 {
    let set = || {
        let inside = world().enter("rknn_inputs_set", id)?;
        let tensors = &inside.model.description.inputs;
        if inputs.is_null() || count as usize != tensors.len() {
            return Err(PARAM_INVALID);
        }
        // SAFETY: the caller gave as many.
        let inputs = unsafe { slice::from_raw_parts(inputs, count as usize) };
        let mut inner = inner(&inside);
        let mut stored = vec![None; tensors.len()];
        for input in inputs {
            let tensor = tensors.get(input.index as usize).ok_or(INPUT_INVALID)?;
            let kind = Kind::of(input.kind).ok_or(INPUT_INVALID)?;
            let dims = inside.dims(Side::Input, input.index as usize, inner.set);
            let elements: u32 = dims.iter().product();
            let is_picture = picture(&dims, format_of(tensor)).is_some();
            let known = if is_picture { matches!(input.fmt, NCHW | NHWC) } else { input.fmt == UNDEFINED };
            if input.buf.is_null() || input.size as usize != elements as usize * kind.bytes() || !known {
                return Err(INPUT_INVALID);
            }
            // SAFETY: the caller gave as many bytes.
            let bytes = unsafe { slice::from_raw_parts(input.buf.cast::<u8>(), input.size as usize) };
            stored[input.index as usize] = store(tensor, &dims, bytes, form(kind, input.fmt));
        }
        inner.inputs = stored;
        inner.outputs = None;
        Ok(())
    };
    code(set())
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_run(id: u64, extend: *mut c_void) -> i32 {
    let run = || {
        let inside = world().enter("rknn_run", id)?;
        if !extend.is_null() {
            return Err(PARAM_INVALID);
        }
        inside.run(&mut inner(&inside))
    };
    code(run())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_outputs_get(
    id: u64,
    count: u32,
    outputs: *mut Output,
    extend: *mut c_void,
) -> i32 {
    let get = || {
        let inside = world().enter("rknn_outputs_get", id)?;
        let tensors = &inside.model.description.outputs;
        if outputs.is_null() || count as usize != tensors.len() || !extend.is_null() {
            return Err(PARAM_INVALID);
        }
        // SAFETY: the caller gave as many.
        let outputs = unsafe { slice::from_raw_parts_mut(outputs, count as usize) };
        let mut inner = inner(&inside);
        let stored = inner.outputs.take().ok_or(OUTPUT_INVALID)?;
        for output in outputs {
            let at = output.index as usize;
            let (tensor, stored) = tensors.get(at).zip(stored.get(at)).ok_or(OUTPUT_INVALID)?;
            let kind = if output.want_float != 0 { Kind::Float32 } else { tensor.kind };
            let dims = inside.dims(Side::Output, at, inner.set);
            let bytes = dims.iter().product::<u32>() as usize * kind.bytes();
            if output.is_prealloc == 0 {
                let mut own = vec![0_u8; bytes].into_boxed_slice();
                (output.buf, output.size) = (own.as_mut_ptr().cast(), bytes as u32);
                inner.lent.push(own);
            } else if output.buf.is_null() || output.size as usize != bytes {
                return Err(OUTPUT_INVALID);
            }
            // SAFETY: the caller's buffer, or the one just made.
            let to = unsafe { slice::from_raw_parts_mut(output.buf.cast::<u8>(), bytes) };
            if kind == tensor.kind && scale_of(tensor) != (0.0, 1.0) && output.want_float != 0 {
                return Err(OUTPUT_INVALID);
            }
            unstore(tensor, &dims, stored, to, form(kind, format_of(tensor)));
        }
        world().with(|state| state.unreleased += count as usize);
        Ok(())
    };
    code(get())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_outputs_release(id: u64, count: u32, outputs: *mut Output) -> i32 {
    let release = || {
        let inside = world().enter("rknn_outputs_release", id)?;
        if outputs.is_null() {
            return Err(PARAM_INVALID);
        }
        inner(&inside).lent.clear();
        world().with(|state| match state.unreleased.checked_sub(count as usize) {
            Some(rest) => {
                state.unreleased = rest;
                Ok(())
            }
            None => Err(OUTPUT_INVALID),
        })
    };
    code(release())
}
