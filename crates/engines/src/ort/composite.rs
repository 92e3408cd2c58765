//! Values that are not plain tensors: sequences, maps, sparse tensors. On both sides of the engine they are made of
//! tensors, so that whoever stands above the engine never meets one of its objects.

use headway_core::value::{DType, Dims, Tensor, Value};

/// What a `Value::Opaque` of this engine holds.
#[derive(Debug, Clone)]
pub enum Composite {
    /// Elements of one type: tensors, or maps as `Value::Opaque` over a [`Composite::Map`].
    Sequence {
        /// The element's type in ONNX Runtime's words: `tensor(float)`, `map(int64,tensor(float))`. An empty sequence
        /// has one too.
        element: String,
        /// The elements.
        elements: Vec<Value>,
    },
    /// Keys and values, both of rank 1 and of one length.
    Map {
        /// Strings or int64.
        keys: Tensor,
        /// Strings, int64, float or double.
        values: Tensor,
    },
    /// A sparse tensor.
    Sparse(SparseTensor),
}

/// A tensor of which only some elements are kept.
#[derive(Debug, Clone)]
pub struct SparseTensor {
    /// Element type.
    pub dtype: DType,
    /// Dimensions of the dense tensor.
    pub dims: Dims,
    /// The elements that are kept.
    pub values: Tensor,
    /// Where they stand.
    pub indices: SparseIndices,
}

/// Where the kept elements of a sparse tensor stand.
#[derive(Debug, Clone)]
pub enum SparseIndices {
    /// int64: of shape `[n]` (into the flat tensor) or `[n, 2]` (row and column).
    Coo(Tensor),
    /// int64: columns of the elements, and where each row begins among them.
    Csr {
        /// `[n]`
        inner: Tensor,
        /// `[rows + 1]`
        outer: Tensor,
    },
    /// int32: `[2, n]` block coordinates.
    BlockSparse(Tensor),
}

impl Composite {
    /// The type in ONNX Runtime's words: `seq(tensor(float))`, `map(int64,tensor(float))`, `sparse_tensor(float)`.
    pub fn word(&self) -> String {
        match self {
            Composite::Sequence { element, .. } => format!("seq({element})"),
            Composite::Map { keys, values } => {
                format!("map({},tensor({}))", keys.dtype.as_str(), values.dtype.as_str())
            }
            Composite::Sparse(sparse) => format!("sparse_tensor({})", sparse.dtype.as_str()),
        }
    }
}
