//! Inputs and outputs in memory that is bound to a context: the runtime copies nothing.
//!
//! Each output has a ring of buffers. Where the NPU writes what callers get, bit for bit, a buffer is handed out as it
//! is, and the next request is written to another; a buffer comes back when its array has gone.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Memory, Values};

use super::attr::{Format, TensorAttr, element_of};
use super::context::{Context, NpuMemory};
use super::convert::{Conversion, Scale};
use super::engine::Loaded;
use super::error::check;
use super::lane::{Fed, tensor};
use super::layout::{Places, count};
use super::options::Form;
use super::raw::*;
use crate::pool::Pool;

/// Everything that is bound to one context.
pub(super) struct Bound {
    inputs: Vec<BoundInput>,
    outputs: Vec<BoundOutput>,
    /// Buffers of former shapes that callers hold. Freed by the lane: on a caller's thread it might be inside the context.
    retired: Vec<Arc<NpuMemory>>,
}

struct BoundInput {
    memory: NpuMemory,
    /// The attribute that it was bound with first.
    raw: RawAttr,
    /// The element type that it is bound for now.
    dtype: DType,
    native: TensorAttr,
    places: Places,
}

struct BoundOutput {
    /// The attribute that every buffer is bound with.
    raw: RawAttr,
    native: TensorAttr,
    places: Places,
    ring: Vec<Arc<NpuMemory>>,
    /// The buffer that is bound now.
    now: usize,
    /// The NPU writes just what callers get.
    as_it_is: bool,
}

impl Bound {
    /// Makes and binds memory for every input and output. `current`: shapes were set.
    pub(super) fn new(
        loaded: &Loaded,
        context: &Arc<Context>,
        outputs: &[TensorAttr],
        set: usize,
        current: bool,
    ) -> Result<Bound, Error> {
        let inputs = loaded.plans.inputs.iter().map(|plan| {
            let raw = native(context, Side::Input, &plan.attr, loaded.memory, current)?;
            let (memory, native, places) = bind(context, raw, "input", &plan.shape(set), plan.fed)?;
            Ok(BoundInput { memory, raw, dtype: native.dtype, native, places })
        });
        let inputs = inputs.collect::<Result<_, Error>>()?;
        let outputs = loaded.plans.outputs.iter().zip(outputs).map(|(plan, attr)| {
            let raw = native(context, Side::Output, attr, loaded.memory, current)?;
            let (memory, native, places) = bind(context, raw, "output", &attr.dims, attr.format)?;
            let mut ring = vec![Arc::new(memory)];
            let as_it_is = places.is_plain()
                && native.dtype == plan.dtype
                && (plan.dtype != DType::F32 || same(&native));
            for _ in 0..if as_it_is { loaded.buffers } else { 0 } {
                ring.push(Arc::new(context.create_memory(native.size_with_stride)?));
            }
            Ok(BoundOutput { raw, native, places, ring, now: 0, as_it_is })
        });
        Ok(Bound { inputs, outputs: outputs.collect::<Result<_, Error>>()?, retired: Vec::new() })
    }

    /// Takes over what callers hold of the memory that this one replaces.
    pub(super) fn replace(&mut self, old: Bound) {
        let rings = old.outputs.into_iter().flat_map(|output| output.ring);
        self.retired.extend(old.retired.into_iter().chain(rings).filter(|memory| !is_free(memory)));
    }

    /// Runs one request through the bound memory.
    ///
    /// # Safety
    /// The memory of what was fed stays there until this has returned, and is as large as its dimensions say.
    pub(super) unsafe fn run(
        &mut self,
        loaded: &Loaded,
        context: &Arc<Context>,
        attrs: &[TensorAttr],
        pool: &Arc<Pool>,
        fed: &[Fed<'_>],
        wanted: &[usize],
    ) -> Result<Values, Error> {
        self.retired.retain(|memory| !is_free(memory));
        for (bound, input) in self.inputs.iter_mut().zip(fed) {
            // SAFETY: the caller's promise.
            unsafe { bound.fill(context, input) }?;
            bound.memory.sync(sync::TO_DEVICE)?;
        }
        for output in &mut self.outputs {
            output.turn(context)?;
        }
        context.run()?;
        let mut values = Vec::with_capacity(self.outputs.len());
        for ((output, plan), attr) in self.outputs.iter().zip(&loaded.plans.outputs).zip(attrs) {
            output.ring[output.now].sync(sync::FROM_DEVICE)?;
            values.push(tensor(plan.dtype, &attr.dims, output.take(plan.dtype, &attr.dims, pool)));
        }
        Ok(wanted.iter().map(|&at| values[at].clone()).collect())
    }
}

impl BoundInput {
    /// Writes what was fed to the bound memory.
    ///
    /// # Safety
    /// The input is as large as its dimensions say.
    unsafe fn fill(&mut self, context: &Arc<Context>, input: &Fed<'_>) -> Result<(), Error> {
        if self.native.format == Format::Nc1hwc2 {
            let stored = (self.native.dtype, scale_of(&self.native));
            // Numbers of the stored type are stored ones already.
            let from = if input.dtype == self.native.dtype { stored } else { (input.dtype, Scale::ONE) };
            // SAFETY: the caller's promise; `bind` looked at the size of the memory, and nobody else writes to it.
            unsafe { self.convert(Conversion { from, to: stored }, input) };
            return Ok(());
        }
        if input.dtype != self.dtype {
            self.rebind(context, input.dtype)?;
        }
        // The runtime converts, and knows the mean and the deviation that the model was converted with.
        let same = (input.dtype, Scale::ONE);
        // SAFETY: as above; `rebind` made the memory as large as this type needs.
        unsafe { self.convert(Conversion { from: same, to: same }, input) };
        Ok(())
    }

    /// # Safety
    /// The input is as large as its dimensions say, and the memory has room for it.
    unsafe fn convert(&self, conversion: Conversion, input: &Fed<'_>) {
        let to = self.memory.start();
        if conversion.is_copy() && self.places.is_plain() {
            let bytes = input.dtype.byte_len(self.places.reach());
            // SAFETY: the caller's promise.
            unsafe { input.start.copy_to_nonoverlapping(to, bytes) };
        } else {
            // SAFETY: as above.
            unsafe { conversion.apply(input.start, to, self.places.iter().enumerate()) };
        }
    }

    /// Binds memory for another element type, which the runtime converts from.
    fn rebind(&mut self, context: &Arc<Context>, dtype: DType) -> Result<(), Error> {
        let elements = self.native.size_with_stride as usize * 8 / self.native.dtype.bits().max(1);
        let bytes = dtype.byte_len(elements) as u32;
        let memory =
            context.create_memory(bytes).map_err(|error| Error { kind: ErrorKind::Engine, ..error })?;
        let mut raw = self.raw;
        raw.pass_through = u8::from(dtype == self.native.dtype);
        raw.element = element_of(dtype).unwrap_or(raw.element);
        // SAFETY: context and memory are live, and this lane alone uses them.
        let code = unsafe { (context.api.set_io_mem)(context.raw(), memory.raw(), &mut raw) };
        check(ErrorKind::Engine, "rknn_set_io_mem", code)?;
        (self.memory, self.dtype) = (memory, dtype);
        Ok(())
    }
}

impl BoundOutput {
    /// Binds a buffer that no caller holds, when the one that is bound is held.
    fn turn(&mut self, context: &Arc<Context>) -> Result<(), Error> {
        if is_free(&self.ring[self.now]) {
            return Ok(());
        }
        // There is one: a buffer is handed out only while another is free.
        let Some(next) = self.ring.iter().position(is_free) else {
            return Err(Error::new(ErrorKind::Engine, "no output buffer is free"));
        };
        let mut raw = self.raw;
        // SAFETY: context and memory are live, and this lane alone uses them.
        let code = unsafe { (context.api.set_io_mem)(context.raw(), self.ring[next].raw(), &mut raw) };
        check(ErrorKind::Engine, "rknn_set_io_mem", code)?;
        self.now = next;
        Ok(())
    }

    /// The memory that callers get: the buffer itself, or a copy where the ring has no other for the next request. The
    /// ring never lets go of a buffer, or a caller's thread would free it while the lane is inside the context.
    fn take(&self, dtype: DType, dims: &[u32], pool: &Arc<Pool>) -> Memory {
        let memory = &self.ring[self.now];
        let bytes = dtype.byte_len(count(dims));
        let other = self.ring.iter().enumerate().any(|(at, memory)| at != self.now && is_free(memory));
        if self.as_it_is && other {
            let addr = memory.start().expose_provenance();
            return Memory { addr, len: bytes, owner: Some(Arc::clone(memory) as _) };
        }
        let block = pool.alloc(bytes);
        let stored = (self.native.dtype, scale_of(&self.native));
        let to = if dtype == self.native.dtype { stored } else { (dtype, Scale::ONE) };
        let conversion = Conversion { from: stored, to };
        // SAFETY: `bind` looked at the size of the memory; the block is as large as the plain tensor.
        unsafe { conversion.apply(memory.start(), block.as_ptr(), self.places.iter().enumerate().map(swap)) };
        block.memory()
    }
}

/// Nobody but the ring holds it.
fn is_free(memory: &Arc<NpuMemory>) -> bool {
    let free = Arc::strong_count(memory) == 1;
    // What its last holder read is read before the NPU writes to it again.
    fence(Ordering::Acquire);
    free
}

fn swap((plain, native): (usize, usize)) -> (usize, usize) {
    (native, plain)
}

/// Stored numbers are the real ones.
fn same(native: &TensorAttr) -> bool {
    scale_of(native) == Scale::ONE
}

pub(super) fn scale_of(attr: &TensorAttr) -> Scale {
    let (zero, scale) = attr.quantisation.affine();
    Scale { zero: f64::from(zero), scale: f64::from(scale) }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

/// The tensor as the NPU has it: in the wanted form where that can be had, else in the other.
fn native(
    context: &Context,
    side: Side,
    attr: &TensorAttr,
    form: Form,
    current: bool,
) -> Result<RawAttr, Error> {
    let mut questions = match (side, current) {
        (Side::Input, false) => [query::NATIVE_NHWC_INPUT_ATTR, query::NATIVE_INPUT_ATTR],
        (Side::Output, false) => [query::NATIVE_NHWC_OUTPUT_ATTR, query::NATIVE_OUTPUT_ATTR],
        (Side::Input, true) => [query::CURRENT_NATIVE_INPUT_ATTR; 2],
        (Side::Output, true) => [query::CURRENT_NATIVE_OUTPUT_ATTR; 2],
    };
    if form == Form::Native {
        questions.reverse();
    }
    let first = context.raw_attr(questions[0], attr.index);
    first.or_else(|_| context.raw_attr(questions[1], attr.index))
}

/// Makes memory for a tensor and binds it.
fn bind(
    context: &Arc<Context>,
    mut raw: RawAttr,
    fallback: &str,
    dims: &[u32],
    format: Format,
) -> Result<(NpuMemory, TensorAttr, Places), Error> {
    // The bytes are the NPU's own: the runtime converts nothing.
    raw.pass_through = 1;
    let native = TensorAttr::of(&raw, fallback)?;
    let places = Places::new(dims, format, &native)
        .filter(|places| native.dtype.byte_len(places.reach()) <= native.size_with_stride as usize);
    let Some(places) = places else {
        let message = format!(
            "{fallback} {:?}: {dims:?} {} does not fit into what the NPU has, {:?} {} of {} bytes; use zero_copy=False",
            native.name,
            format.as_str(),
            native.dims,
            native.format.as_str(),
            native.size_with_stride,
        );
        return Err(Error::new(ErrorKind::Load, message));
    };
    let memory = context.create_memory(native.size_with_stride)?;
    // SAFETY: context and memory are live; the attribute is the runtime's own.
    let code = unsafe { (context.api.set_io_mem)(context.raw(), memory.raw(), &mut raw) };
    check(ErrorKind::Load, "rknn_set_io_mem", code)?;
    Ok((memory, native, places))
}
