//! Python objects that are looked up once.
//!
//! PyO3's own cells lock first and then wait for the GIL. A `fork()` by the thread that holds the GIL in between
//! leaves the child with a cell that is being filled for ever, and the first use there never returns.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::array;

/// The cell's value. It is made outside the cell, since making it may run Python code, which lets other threads run;
/// and it is put in without giving up the GIL, so that no Python thread can fork while the cell is locked.
pub(crate) fn cached<'a, T>(
    _py: Python<'_>,
    cell: &'a OnceLock<T>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// Fills the cells inside rust-numpy and PyO3 that calls come to, while the module is imported: before any thread
/// can call.
///
/// # Errors
/// `ImportError` when NumPy cannot be imported.
pub(crate) fn fill_foreign_cells(py: Python<'_>) -> PyResult<()> {
    array::load_numpy(py)?;
    // The name of a type, for messages; and `collections.abc.Mapping`, for feeds that are no dict.
    let name = py.get_type::<PyDict>().name()?;
    let _ = name.cast::<PyMapping>();
    Ok(())
}
