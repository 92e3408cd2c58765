//! Python objects that are looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The cell's value. It is made outside the cell: making it may import, which lets other threads run, and a
/// `fork()` by one of them would leave the child with a cell that is being made for ever.
pub(crate) fn cached<'a, T>(
    py: Python<'_>,
    cell: &'a PyOnceLock<T>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if let Some(value) = cell.get(py) {
        return Ok(value);
    }
    let made = make()?;
    Ok(cell.get_or_init(py, || made))
}
