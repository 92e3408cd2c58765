//! The C functions of memory that is bound to a context.

use std::ffi::c_void;
use std::ptr;
use std::sync::PoisonError;

use crate::abi::*;
use crate::context::{Bound, Context, Side};
use crate::memory::Memory;
use crate::numbers::Kind;
use crate::tensors::{Form, View};
use crate::world::{code, world};

#[unsafe(no_mangle)]
pub extern "C" fn rknn_create_mem(id: u64, size: u32) -> *mut TensorMem {
    let Ok(inside) = world().enter("rknn_create_mem", id) else { return ptr::null_mut() };
    let Some(mut memory) = Memory::new(inside.id, size) else { return ptr::null_mut() };
    let head = ptr::from_mut(memory.head.as_mut());
    world().with(|state| state.memories.insert(head.addr(), memory));
    head
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_create_mem_from_fd(id: u64, _: i32, _: *mut c_void, _: u32, _: i32) -> *mut TensorMem {
    // Not simulated: a board's own descriptors are not here.
    let _ = world().enter("rknn_create_mem_from_fd", id);
    ptr::null_mut()
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_destroy_mem(id: u64, memory: *mut TensorMem) -> i32 {
    let destroy = || {
        let inside = world().enter("rknn_destroy_mem", id)?;
        owned(inside.id, memory)?;
        let gone = world().with(|state| state.memories.remove(&memory.addr()));
        drop(gone);
        Ok(())
    };
    code(destroy())
}

#[unsafe(no_mangle)]
pub extern "C" fn rknn_mem_sync(id: u64, memory: *mut TensorMem, direction: i32) -> i32 {
    let sync = || {
        let inside = world().enter("rknn_mem_sync", id)?;
        if !(1..=3).contains(&direction) {
            return Err(PARAM_INVALID);
        }
        owned(inside.id, memory)?;
        world().with(|state| {
            if let Some(memory) = state.memories.get_mut(&memory.addr()) {
                memory.sync(direction);
            }
        });
        Ok(())
    };
    code(sync())
}

/// The memory is there, and of this context.
fn owned(id: u64, memory: *mut TensorMem) -> Result<(), i32> {
    world().with(|state| match state.memories.get(&memory.addr()) {
        Some(memory) if memory.context == id => Ok(()),
        _ => {
            state.counts.bad_memories += 1;
            Err(PARAM_INVALID)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rknn_set_io_mem(id: u64, memory: *mut TensorMem, attr: *mut TensorAttr) -> i32 {
    let set = || {
        let inside = world().enter("rknn_set_io_mem", id)?;
        // SAFETY: null or the structure.
        let attr = unsafe { attr.as_ref() }.ok_or(PARAM_INVALID)?;
        owned(inside.id, memory)?;
        let mut inner = inside.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (side, at) = named(&inside, attr).ok_or(PARAM_INVALID)?;
        let views = [View::Plain, View::Native, View::NativeNhwc];
        let like = |known: &TensorAttr| {
            (known.fmt, known.n_dims, known.dims) == (attr.fmt, attr.n_dims, attr.dims)
                && (known.w_stride, known.h_stride, known.size_with_stride)
                    == (attr.w_stride, attr.h_stride, attr.size_with_stride)
        };
        let known =
            views.into_iter().filter_map(|view| inside.attr(side, at as u32, view, inner.set)).find(like);
        let known = known.ok_or(PARAM_INVALID)?;
        let kind = Kind::of(attr.kind).ok_or(PARAM_INVALID)?;
        // What is passed through must be as it is stored; what is converted must have an order that people know.
        if (attr.pass_through != 0 && attr.kind != known.kind)
            || (attr.pass_through == 0 && attr.fmt == NC1HWC2)
        {
            return Err(PARAM_INVALID);
        }
        let own = Kind::of(known.kind).map_or(1, Kind::bytes);
        let needed = known.size_with_stride as usize / own * kind.bytes();
        if world().with(|state| {
            state.memories.get(&memory.addr()).is_none_or(|it| (it.head.size as usize) < needed)
        }) {
            return Err(PARAM_INVALID);
        }
        let c2 = if attr.fmt == NC1HWC2 { attr.dims[4] } else { 1 };
        let form = Form { kind, fmt: attr.fmt, w_stride: attr.w_stride, h_stride: attr.h_stride, c2 };
        let bound = Some(Bound { memory: memory.addr(), form });
        let count = inside.tensors(side).len();
        let list = match side {
            Side::Input => &mut inner.bound_inputs,
            Side::Output => &mut inner.bound_outputs,
        };
        list.resize(count, None);
        list[at] = bound;
        world().with(|state| state.counts.bound.push(attr.fmt));
        Ok(())
    };
    code(set())
}

/// The tensor that an attribute is about, by its name.
fn named(context: &Context, attr: &TensorAttr) -> Option<(Side, usize)> {
    let name = attr.name.iter().take_while(|&&byte| byte != 0).copied().collect::<Vec<u8>>();
    [Side::Input, Side::Output].into_iter().find_map(|side| {
        let at = context.tensors(side).iter().position(|tensor| tensor.name.as_bytes() == name)?;
        (at == attr.index as usize).then_some((side, at))
    })
}
