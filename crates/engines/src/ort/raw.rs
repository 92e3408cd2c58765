//! The C side's types, all opaque, and its numbers.

use std::ffi::{c_char, c_void};

macro_rules! opaque {
    ($($name:ident)*) => {
        $(
            #[repr(C)]
            pub(super) struct $name {
                _opaque: [u8; 0],
            }
        )*
    };
}

opaque! {
    OrtEnv OrtStatus OrtSession OrtSessionOptions OrtRunOptions OrtValue OrtTypeInfo OrtTensorInfo OrtMemoryInfo
    OrtModelMetadata OrtMapInfo OrtSequenceInfo OrtOptionalInfo OrtCudaOptions OrtTensorRtOptions OrtIoBinding
    OrtSyncStream
    OrtThreadingOptions OrtLoraAdapter OrtKeyValues OrtEpDevice OrtHardwareDevice
}

/// Null on success.
pub(super) type Status = *mut OrtStatus;

/// A character of a path.
#[cfg(not(windows))]
pub(super) type OsChar = c_char;
/// A character of a path.
#[cfg(windows)]
pub(super) type OsChar = u16;

/// severity, category, log id, code location, message
pub(super) type LogFunction =
    unsafe extern "system" fn(*mut c_void, i32, *const c_char, *const c_char, *const c_char, *const c_char);

/// The head of an allocator as the library reads it. `version` says how far: 18 to 22 is up to `reserve`.
#[repr(C)]
pub(super) struct OrtAllocator {
    pub(super) version: u32,
    pub(super) alloc: Option<unsafe extern "system" fn(*mut OrtAllocator, usize) -> *mut c_void>,
    pub(super) free: Option<unsafe extern "system" fn(*mut OrtAllocator, *mut c_void)>,
    pub(super) info: Option<unsafe extern "system" fn(*const OrtAllocator) -> *const OrtMemoryInfo>,
    pub(super) reserve: Option<unsafe extern "system" fn(*mut OrtAllocator, usize) -> *mut c_void>,
    /// What later versions added; never read at this `version`, null for good measure.
    pub(super) later: [*const c_void; 4],
}

/// `ONNXType`
pub(super) mod class {
    pub(in super::super) const TENSOR: i32 = 1;
    pub(in super::super) const SEQUENCE: i32 = 2;
    pub(in super::super) const MAP: i32 = 3;
    pub(in super::super) const SPARSE_TENSOR: i32 = 5;
    pub(in super::super) const OPTIONAL: i32 = 6;
}

/// `OrtSparseFormat`
pub(super) mod sparse_format {
    pub(in super::super) const COO: i32 = 1;
    pub(in super::super) const CSR: i32 = 2;
    pub(in super::super) const BLOCK_SPARSE: i32 = 4;
}

/// `OrtSparseIndicesFormat`
pub(super) mod sparse_indices {
    pub(in super::super) const COO: i32 = 0;
    pub(in super::super) const CSR_INNER: i32 = 1;
    pub(in super::super) const CSR_OUTER: i32 = 2;
    pub(in super::super) const BLOCK_SPARSE: i32 = 3;
}

/// `OrtAllocatorType`: an allocator that is not an arena.
pub(super) const DEVICE_ALLOCATOR: i32 = 0;
/// `OrtMemType`: the default.
pub(super) const MEM_TYPE_DEFAULT: i32 = 0;
