//! Lanes on different cores, as the package writes them.

use std::sync::Arc;

use headway_core::placement::Placement;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Each lane's core, the schedule of cores, and whether requests are pinned to it.
pub(crate) fn read(cores: Vec<usize>, schedule: Vec<usize>, pinned: bool) -> PyResult<Arc<Placement>> {
    let placement = Placement::new(cores, schedule, pinned);
    placement.map(Arc::new).ok_or_else(|| PyValueError::new_err("schedule: every core needs a lane"))
}
