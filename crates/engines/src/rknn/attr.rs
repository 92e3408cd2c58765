//! What the runtime says of a tensor, in Rust's words.

use std::ffi::c_char;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::raw::*;

/// The order of a tensor's dimensions in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
    /// The NPU's own: channels in groups, the last of them padded.
    Nc1hwc2,
    /// None of these: not a picture.
    Undefined,
}

impl Format {
    fn of(raw: i32) -> Format {
        match raw {
            format::NCHW => Format::Nchw,
            format::NHWC => Format::Nhwc,
            format::NC1HWC2 => Format::Nc1hwc2,
            _ => Format::Undefined,
        }
    }

    pub(super) fn raw(self) -> i32 {
        match self {
            Format::Nchw => format::NCHW,
            Format::Nhwc => format::NHWC,
            Format::Nc1hwc2 => format::NC1HWC2,
            Format::Undefined => format::UNDEFINED,
        }
    }

    /// The runtime's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Nchw => "NCHW",
            Format::Nhwc => "NHWC",
            Format::Nc1hwc2 => "NC1HWC2",
            Format::Undefined => "UNDEFINED",
        }
    }
}

/// How stored numbers stand for real ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantisation {
    /// They are the real ones.
    None,
    /// `real = stored / 2^fraction_bits`
    FixedPoint {
        /// Bits behind the point.
        fraction_bits: i8,
    },
    /// `real = (stored - zero_point) * scale`
    Affine {
        /// The stored number that stands for 0.
        zero_point: i32,
        /// What one step stands for.
        scale: f32,
    },
}

impl Quantisation {
    /// `(zero point, scale)`; `(0, 1)` where nothing is quantised.
    pub fn affine(self) -> (i32, f32) {
        match self {
            Quantisation::None => (0, 1.0),
            Quantisation::FixedPoint { fraction_bits } => (0, (-f32::from(fraction_bits)).exp2()),
            Quantisation::Affine { zero_point, scale } => (zero_point, scale),
        }
    }
}

/// A tensor of a model, or of one of its contexts.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorAttr {
    /// Its number among the inputs or the outputs.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its dimensions, in the order that `format` says.
    pub dims: Vec<u32>,
    /// The order of the dimensions.
    pub format: Format,
    /// Its stored element type.
    pub dtype: DType,
    /// How stored numbers stand for real ones.
    pub quantisation: Quantisation,
    /// Elements; in native formats the padding counts.
    pub n_elems: u32,
    /// Bytes without row padding.
    pub size: u32,
    /// Bytes with row padding: what a bound buffer takes.
    pub size_with_stride: u32,
    /// Pixels from one row to the next; 0 where rows are not padded.
    pub w_stride: u32,
    /// Rows from one picture to the next; 0 where they are not padded.
    pub h_stride: u32,
}

impl TensorAttr {
    /// Reads what the runtime filled in.
    pub(super) fn of(raw: &RawAttr, fallback: &str) -> Result<TensorAttr, Error> {
        let name = match text(&raw.name) {
            name if name.is_empty() => format!("{fallback}_{}", raw.index),
            name => name,
        };
        let rank = (raw.n_dims as usize).min(MAX_DIMS);
        let Some(dtype) = dtype_of(raw.element) else {
            let message =
                format!("tensor {name:?} has the element type {}, which is not known here", raw.element);
            return Err(Error::new(ErrorKind::Load, message));
        };
        Ok(TensorAttr {
            index: raw.index,
            dims: raw.dims[..rank].to_vec(),
            format: Format::of(raw.fmt),
            dtype,
            quantisation: match raw.quantisation {
                quantisation::DYNAMIC_FIXED_POINT => Quantisation::FixedPoint { fraction_bits: raw.fl },
                quantisation::AFFINE => Quantisation::Affine { zero_point: raw.zp, scale: raw.scale },
                _ => Quantisation::None,
            },
            n_elems: raw.n_elems,
            size: raw.size,
            size_with_stride: raw.size_with_stride.max(raw.size),
            w_stride: raw.w_stride,
            h_stride: raw.h_stride,
            name,
        })
    }

    /// True where stored numbers are no real ones, or too small a kind of them to compute with.
    pub(super) fn reads_as_float(&self) -> bool {
        self.quantisation != Quantisation::None || matches!(self.dtype, DType::F16 | DType::BF16 | DType::F32)
    }
}

/// The text in a fixed-size field.
pub(super) fn text(field: &[c_char]) -> String {
    let bytes: Vec<u8> =
        field.iter().take_while(|&&byte| byte != 0).map(|&byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Headway's word for a runtime's element type.
pub(super) fn dtype_of(raw: i32) -> Option<DType> {
    Some(match raw {
        element::F32 => DType::F32,
        element::F16 => DType::F16,
        element::I8 => DType::I8,
        element::U8 => DType::U8,
        element::I16 => DType::I16,
        element::U16 => DType::U16,
        element::I32 => DType::I32,
        element::U32 => DType::U32,
        element::I64 => DType::I64,
        element::BOOL => DType::Bool,
        element::BF16 => DType::BF16,
        _ => return None,
    })
}

/// The runtime's number for an element type that it takes as an input.
pub(super) fn element_of(dtype: DType) -> Option<i32> {
    Some(match dtype {
        DType::F32 => element::F32,
        DType::F16 => element::F16,
        DType::I8 => element::I8,
        DType::U8 => element::U8,
        DType::I16 => element::I16,
        DType::U16 => element::U16,
        DType::I32 => element::I32,
        DType::U32 => element::U32,
        DType::I64 => element::I64,
        DType::Bool => element::BOOL,
        DType::BF16 => element::BF16,
        _ => return None,
    })
}
