//! A context of the runtime: one model, loaded, on a set of cores. Never used by two threads at once.

use std::ffi::{CStr, CString, c_void};
use std::mem::size_of;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::error::{Error, ErrorKind};

use super::api::Api;
use super::attr::{TensorAttr, text};
use super::error::{check, missing};
use super::raw::*;

/// Where the model comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Path(&'a Path),
    Bytes(&'a [u8]),
}

/// A context that is destroyed when it goes.
///
/// Whoever runs on it has it alone (a lane); others only keep it alive.
pub(super) struct Context {
    pub(super) api: &'static Api,
    raw: RawContext,
    /// Freeing memory of the context, which outputs that outlive their lane do on any thread, is done one at a time.
    freeing: Mutex<()>,
    /// Whose weights it uses: goes after it.
    _weights: Option<Arc<Context>>,
}

impl Context {
    /// Loads a model. `weights` is a context of another model whose weights this one uses.
    pub(super) fn init(
        api: &'static Api,
        source: Source<'_>,
        flags: u32,
        weights: Option<&Arc<Context>>,
    ) -> Result<Context, Error> {
        let path;
        let (model, size) = match source {
            Source::Bytes(bytes) => {
                let size = u32::try_from(bytes.len())
                    .map_err(|_| Error::new(ErrorKind::Load, "a model of more than 4 GB cannot be loaded"))?;
                (bytes.as_ptr().cast_mut().cast::<c_void>(), size)
            }
            Source::Path(given) => {
                let wrong = |_| Error::new(ErrorKind::Load, "the model's path has a zero in it");
                path = CString::new(given.as_os_str().as_encoded_bytes()).map_err(wrong)?;
                (path.as_ptr().cast_mut().cast::<c_void>(), 0)
            }
        };
        // SAFETY: numbers and an array of them.
        let mut extend: RawInitExtend = unsafe { zeroed() };
        let mut flags = flags;
        if let Some(master) = weights {
            extend.context = master.raw;
            flags |= flag::SHARE_WEIGHT_MEM;
        }
        let extend = if weights.is_some() { &raw mut extend } else { ptr::null_mut() };
        let mut raw = 0;
        // SAFETY: the model is `size` bytes, or a path; the runtime reads it only during the call.
        let code = unsafe { (api.init)(&mut raw, model, size, flags, extend) };
        check(ErrorKind::Load, "rknn_init", code)?;
        Ok(Context { api, raw, freeing: Mutex::new(()), _weights: weights.cloned() })
    }

    /// Another context of the same model, which shares its weights. `None` where the runtime cannot do that.
    pub(super) fn duplicate(self: &Arc<Context>) -> Option<Result<Context, Error>> {
        let duplicate = self.api.dup_context?;
        let (mut from, mut raw) = (self.raw, 0);
        // SAFETY: the context is live; an out parameter.
        let code = unsafe { duplicate(&mut from, &mut raw) };
        let made = check(ErrorKind::Load, "rknn_dup_context", code).map(|()| Context {
            api: self.api,
            raw,
            freeing: Mutex::new(()),
            _weights: Some(Arc::clone(self)),
        });
        Some(made)
    }

    pub(super) fn raw(&self) -> RawContext {
        self.raw
    }

    /// Binds it to cores.
    pub(super) fn set_core_mask(&self, mask: i32, place: &str) -> Result<(), Error> {
        let Some(set) = self.api.set_core_mask else {
            return Err(missing(
                ErrorKind::Load,
                "rknn_set_core_mask",
                "this chip's NPU has one core; leave schedule and tp_mode out",
            ));
        };
        // SAFETY: the context is live.
        let code = unsafe { set(self.raw, mask) };
        check(ErrorKind::Load, "rknn_set_core_mask", code).map_err(|error| {
            let message = format!(
                "{place}: {}. This chip may not have it: RK3588 has cores 0 to 2, RK3576 has 0 and 1, others have one \
                 core and take neither schedule nor tp_mode",
                error.message
            );
            Error { message, ..error }
        })
    }

    /// Registers a custom operator. The operator's library is never unloaded.
    pub(super) fn register(&self, operator: *mut c_void) -> Result<(), Error> {
        let Some(register) = self.api.register_custom_ops else {
            return Err(missing(
                ErrorKind::Load,
                "rknn_register_custom_ops",
                "custom_ops cannot be used with it",
            ));
        };
        // SAFETY: the context is live, and the library that owns the operator stays loaded.
        let code = unsafe { register(self.raw, operator, 1) };
        check(ErrorKind::Load, "rknn_register_custom_ops", code)
    }

    /// Asks the runtime; `T` is the structure that the question wants.
    ///
    /// # Safety
    /// `T` is that structure.
    pub(super) unsafe fn query<T>(&self, question: u32, answer: &mut T) -> Result<(), Error> {
        let size = size_of::<T>() as u32;
        // SAFETY: the context is live; the caller's promise.
        let code = unsafe { (self.api.query)(self.raw, question, ptr::from_mut(answer).cast(), size) };
        check(ErrorKind::Load, "rknn_query", code)
    }

    pub(super) fn counts(&self) -> Result<RawCounts, Error> {
        let mut counts = RawCounts::default();
        // SAFETY: the structure of this question.
        unsafe { self.query(query::IN_OUT_NUM, &mut counts) }?;
        Ok(counts)
    }

    pub(super) fn raw_attr(&self, question: u32, index: u32) -> Result<RawAttr, Error> {
        // SAFETY: numbers and arrays of them.
        let mut attr: RawAttr = unsafe { zeroed() };
        attr.index = index;
        // SAFETY: all attribute questions take this structure.
        unsafe { self.query(question, &mut attr) }?;
        Ok(attr)
    }

    pub(super) fn attrs(&self, question: u32, count: u32, fallback: &str) -> Result<Vec<TensorAttr>, Error> {
        (0..count).map(|index| TensorAttr::of(&self.raw_attr(question, index)?, fallback)).collect()
    }

    /// The shapes that an input may have; empty for a model whose shapes are fixed.
    pub(super) fn shapes(&self, index: u32) -> Vec<Vec<u32>> {
        // SAFETY: numbers and arrays of them.
        let mut range: Box<RawRange> = Box::new(unsafe { zeroed() });
        range.index = index;
        // SAFETY: the structure of this question.
        if unsafe { self.query(query::INPUT_DYNAMIC_RANGE, range.as_mut()) }.is_err() {
            // Runtimes answer an error for a model with fixed shapes.
            return Vec::new();
        }
        let (count, rank) = ((range.shapes as usize).min(MAX_SHAPES), (range.n_dims as usize).min(MAX_DIMS));
        range.dims[..count].iter().map(|dims| dims[..rank].to_vec()).collect()
    }

    /// Versions of runtime and driver; empty where it does not say.
    pub(super) fn versions(&self) -> (String, String) {
        // SAFETY: arrays of numbers.
        let mut versions: RawVersions = unsafe { zeroed() };
        // SAFETY: the structure of this question.
        match unsafe { self.query(query::SDK_VERSION, &mut versions) } {
            Ok(()) => (text(&versions.api), text(&versions.driver)),
            Err(_) => Default::default(),
        }
    }

    /// Bytes of weights, of internal tensors, of DMA memory, of SRAM, of SRAM that is free.
    pub(super) fn memory(&self) -> Option<RawMemorySize> {
        // SAFETY: numbers and an array of them.
        let mut size: RawMemorySize = unsafe { zeroed() };
        // SAFETY: the structure of this question.
        unsafe { self.query(query::MEM_SIZE, &mut size) }.ok().map(|()| size)
    }

    /// A text that the model carries.
    pub(super) fn custom_string(&self) -> Option<String> {
        // SAFETY: an array of numbers.
        let mut string: RawCustomString = unsafe { zeroed() };
        // SAFETY: the structure of this question.
        unsafe { self.query(query::CUSTOM_STRING, &mut string) }.ok()?;
        Some(text(&string.text)).filter(|text| !text.is_empty())
    }

    /// Times of every layer of the last run, as the runtime writes them. Needs the flag at `init`.
    pub(super) fn perf_detail(&self) -> Option<String> {
        // SAFETY: a number and a pointer.
        let mut detail: RawPerfDetail = unsafe { zeroed() };
        // SAFETY: the structure of this question.
        unsafe { self.query(query::PERF_DETAIL, &mut detail) }.ok()?;
        if detail.text.is_null() {
            return None;
        }
        // SAFETY: the context owns the text, which lives until its next run.
        Some(unsafe { CStr::from_ptr(detail.text) }.to_string_lossy().into_owned())
    }

    /// Runs what is set or bound.
    pub(super) fn run(&self) -> Result<(), Error> {
        // SAFETY: the context is live and its lane alone uses it; the runtime takes no more than null.
        check(ErrorKind::Engine, "rknn_run", unsafe { (self.api.run)(self.raw, ptr::null_mut()) })
    }

    /// Memory of this context.
    pub(super) fn create_memory(self: &Arc<Context>, size: u32) -> Result<NpuMemory, Error> {
        // SAFETY: the context is live.
        let raw = unsafe { (self.api.create_mem)(self.raw, size) };
        let made = NpuMemory { context: Arc::clone(self), raw };
        // SAFETY: null or the runtime's structure.
        let there = unsafe { raw.as_ref() }.is_some_and(|memory| !memory.virt_addr.is_null());
        if !there {
            let message = format!("rknn_create_mem gave no memory for {size} bytes");
            return Err(Error::new(ErrorKind::Load, message).with_code(-4));
        }
        Ok(made)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the last holder is going; destroyed once. There is nothing to do about a failure.
        unsafe { (self.api.destroy)(self.raw) };
    }
}

/// Memory that the NPU can reach; freed when it goes, whoever holds it last.
pub(super) struct NpuMemory {
    context: Arc<Context>,
    raw: *mut RawMemory,
}

// SAFETY: the structure is the runtime's, and is read only; what it points to is used under its holder's rules.
unsafe impl Send for NpuMemory {}
// SAFETY: as above.
unsafe impl Sync for NpuMemory {}

impl NpuMemory {
    pub(super) fn raw(&self) -> *mut RawMemory {
        self.raw
    }

    /// Where the CPU sees it.
    pub(super) fn start(&self) -> *mut u8 {
        // SAFETY: `create_memory` gave it away only when it was there.
        unsafe { (*self.raw).virt_addr.cast() }
    }

    /// Makes what the CPU wrote visible to the NPU, or the other way round.
    pub(super) fn sync(&self, direction: i32) -> Result<(), Error> {
        let Some(sync) = self.context.api.mem_sync else { return Ok(()) };
        // SAFETY: memory and context are live.
        let code = unsafe { sync(self.context.raw(), self.raw, direction) };
        check(ErrorKind::Engine, "rknn_mem_sync", code)
    }
}

impl Drop for NpuMemory {
    fn drop(&mut self) {
        if self.raw.is_null() {
            return;
        }
        let _one = self.context.freeing.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: made by this context, freed once.
        unsafe { (self.context.api.destroy_mem)(self.context.raw(), self.raw) };
    }
}
