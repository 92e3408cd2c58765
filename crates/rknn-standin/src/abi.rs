//! The structures and numbers of the interface, written apart from the engine's own so that each checks the other.

use std::ffi::c_void;

pub const SUCCESS: i32 = 0;
pub const FAIL: i32 = -1;
pub const PARAM_INVALID: i32 = -5;
pub const MODEL_INVALID: i32 = -6;
pub const CTX_INVALID: i32 = -7;
pub const INPUT_INVALID: i32 = -8;
pub const OUTPUT_INVALID: i32 = -9;
pub const PLATFORM_UNMATCH: i32 = -13;

pub const NCHW: i32 = 0;
pub const NHWC: i32 = 1;
pub const NC1HWC2: i32 = 2;
pub const UNDEFINED: i32 = 3;

pub const FLAG_PERF: u32 = 8;
pub const FLAG_SHARE: u32 = 0x20;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct TensorAttr {
    pub index: u32,
    pub n_dims: u32,
    pub dims: [u32; 16],
    pub name: [u8; 256],
    pub n_elems: u32,
    pub size: u32,
    pub fmt: i32,
    pub kind: i32,
    pub qnt_type: i32,
    pub fl: i8,
    pub zp: i32,
    pub scale: f32,
    pub w_stride: u32,
    pub size_with_stride: u32,
    pub pass_through: u8,
    pub h_stride: u32,
}

#[repr(C)]
pub struct InputRange {
    pub index: u32,
    pub shape_number: u32,
    pub fmt: i32,
    pub name: [u8; 256],
    pub dyn_range: [[u32; 16]; 512],
    pub n_dims: u32,
}

#[repr(C)]
pub struct TensorMem {
    pub virt_addr: *mut c_void,
    pub phys_addr: u64,
    pub fd: i32,
    pub offset: i32,
    pub size: u32,
    pub flags: u32,
    pub priv_data: *mut c_void,
}

#[repr(C)]
pub struct Input {
    pub index: u32,
    pub buf: *mut c_void,
    pub size: u32,
    pub pass_through: u8,
    pub kind: i32,
    pub fmt: i32,
}

#[repr(C)]
pub struct Output {
    pub want_float: u8,
    pub is_prealloc: u8,
    pub index: u32,
    pub buf: *mut c_void,
    pub size: u32,
}

#[repr(C)]
pub struct InitExtend {
    pub ctx: u64,
    pub real_model_offset: i32,
    pub real_model_size: u32,
    pub model_buffer_fd: i32,
    pub model_buffer_flags: u32,
    pub reserved: [u8; 112],
}

const _: () = assert!(size_of::<TensorAttr>() == 376);
const _: () = assert!(size_of::<InputRange>() == 33_040);
const _: () = assert!(size_of::<TensorMem>() == 40);
const _: () = assert!(size_of::<Input>() == 32);
const _: () = assert!(size_of::<Output>() == 24);
const _: () = assert!(size_of::<InitExtend>() == 136);
