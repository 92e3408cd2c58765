//! The C side of `librknnrt.so`: numbers and structures, written from Rockchip's public API reference.

use std::ffi::{c_char, c_void};

/// A context's handle.
#[cfg(target_pointer_width = "64")]
pub(super) type RawContext = u64;
/// A context's handle.
#[cfg(not(target_pointer_width = "64"))]
pub(super) type RawContext = u32;

/// Dimensions of a tensor, at most.
pub(super) const MAX_DIMS: usize = 16;
/// Bytes of a name, its final zero included.
pub(super) const MAX_NAME: usize = 256;
/// Shapes that a dynamic input may list, at most.
pub(super) const MAX_SHAPES: usize = 512;

/// What `rknn_query` is asked.
pub(super) mod query {
    pub(in super::super) const IN_OUT_NUM: u32 = 0;
    pub(in super::super) const INPUT_ATTR: u32 = 1;
    pub(in super::super) const OUTPUT_ATTR: u32 = 2;
    pub(in super::super) const PERF_DETAIL: u32 = 3;
    pub(in super::super) const SDK_VERSION: u32 = 5;
    pub(in super::super) const MEM_SIZE: u32 = 6;
    pub(in super::super) const CUSTOM_STRING: u32 = 7;
    pub(in super::super) const NATIVE_INPUT_ATTR: u32 = 8;
    pub(in super::super) const NATIVE_OUTPUT_ATTR: u32 = 9;
    pub(in super::super) const NATIVE_NHWC_INPUT_ATTR: u32 = 10;
    pub(in super::super) const NATIVE_NHWC_OUTPUT_ATTR: u32 = 11;
    pub(in super::super) const INPUT_DYNAMIC_RANGE: u32 = 13;
    pub(in super::super) const CURRENT_OUTPUT_ATTR: u32 = 15;
    pub(in super::super) const CURRENT_NATIVE_INPUT_ATTR: u32 = 16;
    pub(in super::super) const CURRENT_NATIVE_OUTPUT_ATTR: u32 = 17;
}

/// Flags of `rknn_init`.
pub(super) mod flag {
    pub(in super::super) const PRIORITY_HIGH: u32 = 0;
    pub(in super::super) const PRIORITY_MEDIUM: u32 = 1;
    pub(in super::super) const PRIORITY_LOW: u32 = 2;
    pub(in super::super) const COLLECT_PERF: u32 = 8;
    pub(in super::super) const SHARE_WEIGHT_MEM: u32 = 0x20;
    pub(in super::super) const ENABLE_SRAM: u32 = 0x800;
}

/// Element types.
pub(super) mod element {
    pub(in super::super) const F32: i32 = 0;
    pub(in super::super) const F16: i32 = 1;
    pub(in super::super) const I8: i32 = 2;
    pub(in super::super) const U8: i32 = 3;
    pub(in super::super) const I16: i32 = 4;
    pub(in super::super) const U16: i32 = 5;
    pub(in super::super) const I32: i32 = 6;
    pub(in super::super) const U32: i32 = 7;
    pub(in super::super) const I64: i32 = 8;
    pub(in super::super) const BOOL: i32 = 9;
    pub(in super::super) const BF16: i32 = 11;
}

/// Orders of dimensions in memory.
pub(super) mod format {
    pub(in super::super) const NCHW: i32 = 0;
    pub(in super::super) const NHWC: i32 = 1;
    pub(in super::super) const NC1HWC2: i32 = 2;
    pub(in super::super) const UNDEFINED: i32 = 3;
}

/// Ways of quantising.
pub(super) mod quantisation {
    pub(in super::super) const DYNAMIC_FIXED_POINT: i32 = 1;
    pub(in super::super) const AFFINE: i32 = 2;
}

/// Directions of `rknn_mem_sync`.
pub(super) mod sync {
    pub(in super::super) const TO_DEVICE: i32 = 1;
    pub(in super::super) const FROM_DEVICE: i32 = 2;
}

/// How many inputs and outputs a model has.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct RawCounts {
    pub(super) inputs: u32,
    pub(super) outputs: u32,
}

/// What the runtime says of a tensor.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RawAttr {
    pub(super) index: u32,
    pub(super) n_dims: u32,
    pub(super) dims: [u32; MAX_DIMS],
    pub(super) name: [c_char; MAX_NAME],
    pub(super) n_elems: u32,
    pub(super) size: u32,
    pub(super) fmt: i32,
    pub(super) element: i32,
    pub(super) quantisation: i32,
    pub(super) fl: i8,
    pub(super) zp: i32,
    pub(super) scale: f32,
    pub(super) w_stride: u32,
    pub(super) size_with_stride: u32,
    pub(super) pass_through: u8,
    pub(super) h_stride: u32,
}

/// The shapes that a dynamic input may have.
#[repr(C)]
#[derive(Clone)]
pub(super) struct RawRange {
    pub(super) index: u32,
    pub(super) shapes: u32,
    pub(super) fmt: i32,
    pub(super) name: [c_char; MAX_NAME],
    pub(super) dims: [[u32; MAX_DIMS]; MAX_SHAPES],
    pub(super) n_dims: u32,
}

/// Memory that the NPU can reach.
#[repr(C)]
pub(super) struct RawMemory {
    pub(super) virt_addr: *mut c_void,
    pub(super) phys_addr: u64,
    pub(super) fd: i32,
    pub(super) offset: i32,
    pub(super) size: u32,
    pub(super) flags: u32,
    pub(super) private: *mut c_void,
}

/// One input of a copying run.
#[repr(C)]
pub(super) struct RawInput {
    pub(super) index: u32,
    pub(super) buf: *mut c_void,
    pub(super) size: u32,
    pub(super) pass_through: u8,
    pub(super) element: i32,
    pub(super) fmt: i32,
}

/// One output of a copying run.
#[repr(C)]
pub(super) struct RawOutput {
    pub(super) want_float: u8,
    pub(super) is_prealloc: u8,
    pub(super) index: u32,
    pub(super) buf: *mut c_void,
    pub(super) size: u32,
}

/// More for `rknn_init`.
#[repr(C)]
pub(super) struct RawInitExtend {
    pub(super) context: RawContext,
    pub(super) model_offset: i32,
    pub(super) model_size: u32,
    pub(super) model_fd: i32,
    pub(super) model_flags: u32,
    pub(super) reserved: [u8; 112],
}

/// Versions of the runtime and of the kernel's driver.
#[repr(C)]
pub(super) struct RawVersions {
    pub(super) api: [c_char; MAX_NAME],
    pub(super) driver: [c_char; MAX_NAME],
}

/// Bytes that a context uses.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RawMemorySize {
    pub(super) weights: u32,
    pub(super) internal: u32,
    pub(super) dma: u64,
    pub(super) sram: u32,
    pub(super) free_sram: u32,
    pub(super) reserved: [u32; 10],
}

/// A text that the model carries.
#[repr(C)]
pub(super) struct RawCustomString {
    pub(super) text: [c_char; 1024],
}

/// Times of every layer, as text that the context owns.
#[repr(C)]
pub(super) struct RawPerfDetail {
    pub(super) text: *const c_char,
    pub(super) length: u64,
}

/// All zero: valid for each of these structures.
///
/// # Safety
/// `T` is made of numbers, arrays of numbers and raw pointers.
pub(super) unsafe fn zeroed<T>() -> T {
    // SAFETY: the caller's promise.
    unsafe { std::mem::zeroed() }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use super::*;

    #[test]
    fn structures_are_as_large_as_the_runtimes() {
        assert_eq!(size_of::<RawCounts>(), 8);
        assert_eq!(size_of::<RawAttr>(), 376);
        assert_eq!(size_of::<RawRange>(), 33_040);
        assert_eq!(size_of::<RawMemory>(), 40);
        assert_eq!(size_of::<RawInput>(), 32);
        assert_eq!(size_of::<RawOutput>(), 24);
        assert_eq!(size_of::<RawInitExtend>(), 136);
        assert_eq!(size_of::<RawVersions>(), 512);
        assert_eq!(size_of::<RawCustomString>(), 1024);
        assert_eq!(size_of::<RawMemorySize>(), 64);
        assert_eq!(size_of::<RawPerfDetail>(), 16);
        assert_eq!((size_of::<RawContext>(), align_of::<RawContext>()), (8, 8));
    }

    #[test]
    fn fields_are_where_the_runtimes_are() {
        assert_eq!(offset_of!(RawAttr, dims), 8);
        assert_eq!(offset_of!(RawAttr, name), 72);
        assert_eq!(offset_of!(RawAttr, n_elems), 328);
        assert_eq!(offset_of!(RawAttr, fmt), 336);
        assert_eq!(offset_of!(RawAttr, fl), 348);
        assert_eq!(offset_of!(RawAttr, zp), 352);
        assert_eq!(offset_of!(RawAttr, w_stride), 360);
        assert_eq!(offset_of!(RawAttr, pass_through), 368);
        assert_eq!(offset_of!(RawAttr, h_stride), 372);
        assert_eq!((offset_of!(RawInput, buf), offset_of!(RawInput, element)), (8, 24));
        assert_eq!((offset_of!(RawOutput, index), offset_of!(RawOutput, buf)), (4, 8));
        assert_eq!((offset_of!(RawRange, name), offset_of!(RawRange, n_dims)), (12, 33_036));
        assert_eq!((offset_of!(RawMemory, fd), offset_of!(RawMemory, private)), (16, 32));
    }
}
