//! One input: any object that holds numbers or strings, as the value that the model wants.

use std::sync::Arc;

use headway_core::engine::{Dim, NodeInfo, ValueType};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};
use pyo3::prelude::*;

use super::check::{shape_fits, wrong_dtype, wrong_shape};
use super::copy::copied;
use super::foreign::to_array;
use super::memory::{Alloc, How};
use super::strings::read_strings;
use super::view::ArrayView;
use crate::errors_in::{DoorError, bad_input};
use crate::graveyard::PyOwner;

/// Reads one input. `alloc` is asked only when something is copied.
pub(crate) fn read_input(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    node: &NodeInfo,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    let ValueType::Tensor(dtype, dims) = &node.kind else { return Err(not_a_tensor(node)) };
    let wanted = Wanted { name: &node.name, dtype: *dtype, dims: dims.as_deref() };
    if let Some(view) = ArrayView::of(object) {
        return wanted.read(view, how, alloc);
    }
    let found = to_array(py, object, &node.name, *dtype)?;
    let Some(view) = ArrayView::of(&found.array) else {
        return Err(bad_input(format!("input '{}': numpy made no array of it", node.name)));
    };
    // Nobody but this request holds the array: borrowing it is not enough, and a fresh one needs no copy.
    let how = if how == How::Borrow || found.fresh { How::Hold } else { how };
    wanted.read(view, how, alloc)
}

/// A tensor that the model wants.
struct Wanted<'a> {
    name: &'a str,
    dtype: DType,
    dims: Option<&'a [Dim]>,
}

impl Wanted<'_> {
    #[inline]
    fn read(&self, view: ArrayView<'_, '_>, how: How, alloc: Alloc<'_>) -> Result<Value, DoorError> {
        if view.dtype() != Some(self.dtype) {
            return Err(wrong_dtype(self.name, view, self.dtype));
        }
        let shape = view.shape();
        if !shape_fits(shape, self.dims) {
            return Err(wrong_shape(self.name, shape, self.dims.unwrap_or_default()));
        }
        let dims: Dims = shape.iter().map(|&length| length as i64).collect();
        let data = self.data(view, how, alloc)?;
        Ok(Value::Tensor(Tensor { dtype: self.dtype, dims, data }))
    }

    #[inline]
    fn data(&self, view: ArrayView<'_, '_>, how: How, alloc: Alloc<'_>) -> Result<Data, DoorError> {
        if self.dtype == DType::String {
            return Ok(Data::Strings(read_strings(view, self.name)?));
        }
        if how == How::Copy || self.dtype.bits() < 8 || !view.is_plain() {
            return Ok(Data::Memory(copied(view, self.dtype, alloc)?));
        }
        let owner =
            (how == How::Hold).then(|| Arc::new(PyOwner::new(view.object().to_owned().unbind())) as _);
        Ok(Data::Memory(Memory { addr: view.address(), len: self.dtype.byte_len(view.count()), owner }))
    }
}

#[cold]
fn not_a_tensor(node: &NodeInfo) -> DoorError {
    let kind = match &node.kind {
        ValueType::Other(kind) => kind.as_str(),
        ValueType::Tensor(..) => "tensor",
    };
    bad_input(format!("input '{}' is a {kind}: sequence inputs are not supported yet", node.name))
}
