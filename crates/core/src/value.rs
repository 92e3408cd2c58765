//! Values: tensors, and opaque values that only an engine or the door understands.
//!
//! A tensor's bytes are named by address. This crate never reads through the address (it forbids
//! `unsafe`); the engines and the door's array file do, and they alone may make a [`Memory`].

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

/// Dimensions of a tensor. Longer ones cost an allocation; a larger array here would be moved about with every value.
pub type Dims = SmallVec<[i64; 4]>;

/// Keeps memory alive: dropped when the last value over it is.
pub type Owner = Arc<dyn Any + Send + Sync>;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $bits:literal, $text:literal;)*) => {
        /// Element types, numbered as ONNX numbers them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum DType { $($(#[$doc])* $name = $code,)* }

        impl DType {
            /// The dtype with this ONNX number.
            pub fn from_onnx(code: i32) -> Option<DType> {
                match code { $($code => Some(DType::$name),)* _ => None }
            }
            /// Bits an element takes in an engine's memory; 0 for strings.
            pub fn bits(self) -> usize {
                match self { $(DType::$name => $bits,)* }
            }
            /// ONNX Runtime's word for the element type: `float` in `tensor(float)`.
            pub fn as_str(self) -> &'static str {
                match self { $(DType::$name => $text,)* }
            }
        }
    };
}

dtypes! {
    /// float32
    F32 = 1, 32, "float";
    /// uint8
    U8 = 2, 8, "uint8";
    /// int8
    I8 = 3, 8, "int8";
    /// uint16
    U16 = 4, 16, "uint16";
    /// int16
    I16 = 5, 16, "int16";
    /// int32
    I32 = 6, 32, "int32";
    /// int64
    I64 = 7, 64, "int64";
    /// UTF-8 strings
    String = 8, 0, "string";
    /// bool, one byte an element
    Bool = 9, 8, "bool";
    /// float16
    F16 = 10, 16, "float16";
    /// float64
    F64 = 11, 64, "double";
    /// uint32
    U32 = 12, 32, "uint32";
    /// uint64
    U64 = 13, 64, "uint64";
    /// complex64
    C64 = 14, 64, "complex64";
    /// complex128
    C128 = 15, 128, "complex128";
    /// bfloat16
    BF16 = 16, 16, "bfloat16";
    /// float8_e4m3fn
    F8E4M3FN = 17, 8, "float8e4m3fn";
    /// float8_e4m3fnuz
    F8E4M3FNUZ = 18, 8, "float8e4m3fnuz";
    /// float8_e5m2
    F8E5M2 = 19, 8, "float8e5m2";
    /// float8_e5m2fnuz
    F8E5M2FNUZ = 20, 8, "float8e5m2fnuz";
    /// uint4, two to a byte
    U4 = 21, 4, "uint4";
    /// int4, two to a byte
    I4 = 22, 4, "int4";
    /// float4_e2m1fn, two to a byte
    F4E2M1 = 23, 4, "float4e2m1";
    /// uint2, four to a byte
    U2 = 24, 2, "uint2";
    /// int2, four to a byte
    I2 = 25, 2, "int2";
    /// float8_e8m0fnu
    F8E8M0 = 26, 8, "float8e8m0";
}

impl DType {
    /// Bytes that `count` elements take in an engine's memory (packed types rounded up).
    pub fn byte_len(self, count: usize) -> usize {
        (count * self.bits()).div_ceil(8)
    }
}

/// A stretch of memory by address. Zero-length memory may have any address.
#[derive(Clone)]
pub struct Memory {
    /// Where it starts. Only the engines and the door's array file turn this into a pointer.
    pub addr: usize,
    /// How many bytes.
    pub len: usize,
    /// What keeps it alive; `None` when the caller waits for the engine and holds it itself.
    pub owner: Option<Owner>,
}

/// What a tensor's elements are made of.
#[derive(Clone)]
pub enum Data {
    /// Plain elements, C-contiguous, native byte order, 4- and 2-bit types packed.
    Memory(Memory),
    /// UTF-8 strings, one an element.
    Strings(Arc<[Box<str>]>),
}

/// Dtype, dimensions, elements.
#[derive(Clone)]
pub struct Tensor {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, all >= 0; empty for a scalar.
    pub dims: Dims,
    /// The elements.
    pub data: Data,
}

impl Tensor {
    /// How many elements the dimensions say.
    pub fn count(&self) -> usize {
        self.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).product()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tensor({}){:?}", self.dtype.as_str(), self.dims.as_slice())
    }
}

/// One input or output.
#[derive(Clone)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// Something only one engine (or the door) understands: a sequence, a map, a device value, a Python object.
    Opaque(Owner),
    /// An optional value that is not there.
    None,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Tensor(tensor) => tensor.fmt(f),
            Value::Opaque(_) => f.write_str("opaque"),
            Value::None => f.write_str("none"),
        }
    }
}

/// A request's inputs or outputs, in the model's own order (inputs) or the wanted order (outputs).
///
/// One is the usual number; room for more would be moved about with every request.
pub type Values = SmallVec<[Value; 1]>;
