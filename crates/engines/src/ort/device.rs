//! Tensors that stay where the engine made them: on a device.

use std::ffi::{CStr, c_void};
use std::ptr;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Tensor};

use super::allocator::shared_pool;
use super::raw::*;
use super::runtime::Runtime;

/// A tensor in the engine's own memory, on whatever device. Held as `Value::Opaque`, it can be an input of any run.
pub struct DeviceValue {
    runtime: &'static Runtime,
    raw: *mut OrtValue,
    dtype: DType,
    dims: Dims,
    device: String,
    device_id: i32,
    data: usize,
}

// SAFETY: the engine's value is counted and never changed after the run that made it; it is released once, and the
// C API allows that on any thread.
unsafe impl Send for DeviceValue {}
// SAFETY: as above.
unsafe impl Sync for DeviceValue {}

impl std::fmt::Debug for DeviceValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?} on {} {}", self.word(), self.dims.as_slice(), self.device, self.device_id)
    }
}

impl DeviceValue {
    /// Takes the value over, whatever comes of it.
    ///
    /// # Safety
    /// `raw` is a live tensor of plain elements that the caller owns and gives away.
    pub(super) unsafe fn new(runtime: &'static Runtime, raw: *mut OrtValue) -> Result<DeviceValue, Error> {
        let api = &runtime.api;
        let owned = runtime.own(raw);
        // SAFETY: the caller's promise; out parameters, here and below.
        let (element, dims) = unsafe { runtime.type_and_dims(raw) }?;
        let dtype = DType::from_onnx(element).ok_or_else(|| {
            Error::new(ErrorKind::Engine, format!("a tensor of element type number {element} on a device"))
        })?;
        let (mut data, mut info) = (ptr::null_mut(), ptr::null());
        // SAFETY: as above.
        api.check_run(unsafe { (api.tensor_data)(raw, &mut data) })?;
        // SAFETY: as above; the description lives as long as the value.
        api.check_run(unsafe { (api.value_memory_info)(raw, &mut info) })?;
        let (mut name, mut device_id) = (ptr::null(), 0);
        // SAFETY: as above.
        api.check_run(unsafe { (api.memory_info_name)(info, &mut name) })?;
        // SAFETY: as above.
        api.check_run(unsafe { (api.memory_info_id)(info, &mut device_id) })?;
        // SAFETY: a C string that lives as long as the description.
        let device = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let raw = owned.into_raw();
        Ok(DeviceValue { runtime, raw, dtype, dims, device, device_id, data: data.expose_provenance() })
    }

    pub(super) fn raw(&self) -> *mut OrtValue {
        self.raw
    }

    pub(super) fn word(&self) -> String {
        format!("tensor({})", self.dtype.as_str())
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// The device's name in the engine's words: `Cpu`, `Cuda`.
    pub fn device_name(&self) -> &str {
        &self.device
    }

    /// Which device of that name.
    pub fn device_id(&self) -> i32 {
        self.device_id
    }

    /// Where the elements start, in the device's address space.
    pub fn data_ptr(&self) -> usize {
        self.data
    }

    /// How many bytes the elements take.
    pub fn byte_len(&self) -> usize {
        super::values::count(&self.dims).map_or(0, |count| self.dtype.byte_len(count))
    }

    /// A copy in Headway's own memory. Blocks until it is there.
    ///
    /// # Errors
    /// `Engine` when the library is older than 1.23, or knows no way from this device.
    pub fn to_cpu(&self) -> Result<Tensor, Error> {
        let len = self.byte_len();
        let block = shared_pool().try_alloc(len);
        let block = block.ok_or_else(|| Error::new(ErrorKind::Engine, "no memory for a copy"))?;
        if self.device == "Cpu" {
            let data = ptr::with_exposed_provenance::<u8>(self.data);
            // SAFETY: the engine's tensor has `len` bytes on this same device, and the fresh block too.
            unsafe { ptr::copy_nonoverlapping(data, block.as_ptr(), len) };
        } else {
            // SAFETY: the block is as long as the tensor and nobody else has it.
            unsafe { self.transfer(block.as_ptr().cast(), len) }?;
        }
        Ok(Tensor { dtype: self.dtype, dims: self.dims.clone(), data: Data::Memory(block.memory()) })
    }

    /// Copies by the engine's own means, which it has only between devices of providers that it loaded as plug-ins.
    ///
    /// # Safety
    /// `to` has `len` writable bytes, which are as many as the tensor has.
    pub(super) unsafe fn transfer(&self, to: *mut c_void, len: usize) -> Result<(), Error> {
        let api = &self.runtime.api;
        let copy = api.copy_tensors.ok_or_else(|| self.stuck())?;
        let environment = self.runtime.environment()?;
        let (dims, rank) = (self.dims.as_ptr(), self.dims.len());
        let (cpu, dtype) = (self.runtime.cpu, self.dtype as i32);
        let mut target = ptr::null_mut();
        // SAFETY: the caller's promise; the engine's view of the memory goes at the end of this function.
        let status = unsafe { (api.create_tensor_over)(cpu, to, len, dims, rank, dtype, &mut target) };
        api.check_run(status)?;
        let target = self.runtime.own(target);
        let (from, to) = (self.raw.cast_const(), target.raw());
        // SAFETY: one live tensor each, of the same type and dimensions; no stream, so the call waits.
        let status = unsafe { copy(environment.raw, &from, &to, ptr::null_mut(), 1) };
        api.check_run(status).map_err(|mut error| {
            let device = &self.device;
            error.message.push_str(&format!(" (copying from {device}; bind the output to the CPU instead)"));
            error
        })
    }

    #[cold]
    fn stuck(&self) -> Error {
        let (version, device) = (self.runtime.version(), &self.device);
        let text = format!(
            "copying a tensor from {device} needs ONNX Runtime 1.23 or newer, this is {version}; bind the output to \
             the CPU instead"
        );
        Error::new(ErrorKind::Engine, text)
    }
}

impl Drop for DeviceValue {
    fn drop(&mut self) {
        // SAFETY: owned since `new`; a run that uses it holds its `Arc`.
        unsafe { (self.runtime.api.release_value)(self.raw) };
    }
}
