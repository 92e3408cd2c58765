//! What an `OrtValue` says of itself, whatever it holds.

use headway_core::value::{DType, Data, Tensor, Value};
use headway_engines::ort::{Composite, DeviceValue, SparseTensor};

use crate::device;
use crate::errors_in::{DoorError, misuse};
use crate::kinds::{Kind, Typed};

/// What a value holds.
#[derive(Clone, Copy)]
pub(crate) enum Held<'a> {
    /// A tensor on the CPU.
    Tensor(&'a Tensor),
    /// A tensor that the engine left on a device.
    Device(&'a DeviceValue),
    /// A list, a dict, a sparse tensor.
    Composite(&'a Composite),
    /// Nothing: an optional output that is not there.
    Nothing,
    /// Something that only another engine understands.
    Foreign,
}

impl<'a> Held<'a> {
    /// What this value holds.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Tensor(tensor) => Held::Tensor(tensor),
            Value::None => Held::Nothing,
            Value::Opaque(owner) => match owner.downcast_ref::<Composite>() {
                Some(composite) => Held::Composite(composite),
                None => owner.downcast_ref::<DeviceValue>().map_or(Held::Foreign, Held::Device),
            },
        }
    }

    /// The type in ONNX Runtime's words; "nothing" for nothing.
    pub(crate) fn words(self) -> String {
        match self {
            Held::Tensor(tensor) => format!("tensor({})", tensor.dtype.as_str()),
            Held::Device(value) => format!("tensor({})", value.dtype().as_str()),
            Held::Composite(composite) => composite.word(),
            Held::Nothing => "nothing".to_owned(),
            Held::Foreign => "a value of another engine".to_owned(),
        }
    }

    /// Element type of a tensor, of a list of tensors, of a sparse tensor.
    pub(crate) fn element(self) -> Option<DType> {
        match self {
            Held::Tensor(tensor) => Some(tensor.dtype),
            Held::Device(value) => Some(value.dtype()),
            Held::Composite(Composite::Sequence { element, .. }) => match Typed::parse(element).kind {
                Kind::Tensor(dtype) => Some(dtype),
                _ => None,
            },
            Held::Composite(Composite::Sparse(sparse)) => Some(sparse.dtype),
            Held::Composite(Composite::Map { .. }) | Held::Nothing | Held::Foreign => None,
        }
    }

    /// Dimensions of a tensor, or of the dense tensor that a sparse one stands for.
    pub(crate) fn dims(self) -> Option<&'a [i64]> {
        match self {
            Held::Tensor(tensor) => Some(&tensor.dims),
            Held::Device(value) => Some(value.dims()),
            Held::Composite(Composite::Sparse(sparse)) => Some(&sparse.dims),
            Held::Composite(_) | Held::Nothing | Held::Foreign => None,
        }
    }

    /// The device of a tensor or a sparse tensor, in small letters.
    pub(crate) fn device(self) -> Option<String> {
        match self {
            Held::Device(value) => Some(value.device_name().to_ascii_lowercase()),
            _ => self.dims().map(|_| device::CPU.to_owned()),
        }
    }

    /// Where the elements of a tensor start, and how many bytes they take.
    pub(crate) fn memory(self) -> Option<Result<(usize, usize), DoorError>> {
        match self {
            Held::Tensor(Tensor { data: Data::Memory(memory), .. }) => {
                Some(Ok((if memory.len == 0 { 0 } else { memory.addr }, memory.len)))
            }
            Held::Tensor(_) => {
                Some(Err(misuse("an OrtValue of strings has no address and no size in bytes")))
            }
            Held::Device(value) => Some(Ok((value.data_ptr(), value.byte_len()))),
            Held::Composite(_) | Held::Nothing | Held::Foreign => None,
        }
    }

    /// The sparse tensor.
    pub(crate) fn sparse(self) -> Option<&'a SparseTensor> {
        match self {
            Held::Composite(Composite::Sparse(sparse)) => Some(sparse),
            _ => None,
        }
    }

    /// True for a list of tensors.
    pub(crate) fn is_tensors(self) -> bool {
        matches!(self, Held::Composite(Composite::Sequence { element, .. }) if element.starts_with("tensor("))
    }

    /// The refusal of a call that `what` is not for.
    #[cold]
    pub(crate) fn no_tensor(self, what: &str) -> DoorError {
        misuse(format!("{what} needs a tensor, and this OrtValue holds {}; see data_type()", self.words()))
    }
}
