//! The C side's types and numbers, from OpenVINO's public reference.

use std::ffi::c_char;

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

opaque! { OvCore OvModel OvCompiled OvPort OvRequest OvTensor }

/// 0 on success, negative otherwise.
pub(super) type Status = i32;

/// Success.
pub(super) const OK: Status = 0;
/// A request that was cancelled says so.
pub(super) const CANCELLED: Status = -13;
/// From here down the C layer itself refuses a call, and leaves the last message as it was.
pub(super) const REFUSED_BY_C: Status = -14;

/// Dimensions of a tensor.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) rank: i64,
    pub(super) dims: *mut i64,
}

/// A dimension, or a rank: both ends inclusive, -1 as the upper end means none.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Dimension {
    pub(super) min: i64,
    pub(super) max: i64,
}

/// Dimensions of a port.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct PartialShape {
    pub(super) rank: Dimension,
    pub(super) dims: *mut Dimension,
}

/// What the library says of itself.
#[repr(C)]
pub(super) struct Version {
    pub(super) build: *const c_char,
    pub(super) description: *const c_char,
}

/// Names of devices.
#[repr(C)]
pub(super) struct Devices {
    pub(super) names: *mut *mut c_char,
    pub(super) count: usize,
}

/// What one node of a request took.
#[repr(C)]
pub(super) struct NodeProfile {
    pub(super) status: i32,
    pub(super) real_us: i64,
    pub(super) cpu_us: i64,
    pub(super) node: *const c_char,
    pub(super) execution: *const c_char,
    pub(super) kind: *const c_char,
}

/// What all nodes of a request took.
#[repr(C)]
pub(super) struct Profiles {
    pub(super) list: *mut NodeProfile,
    pub(super) count: usize,
}
