//! What the way in can answer: an error of the core, or an exception that Python raised meanwhile.

use headway_core::error::{Error, ErrorKind};
use pyo3::PyErr;

/// Why a request was refused at the door.
#[derive(Debug)]
pub(crate) enum DoorError {
    /// The request itself is wrong; the door turns it into an exception of Headway's tree.
    Core(Error),
    /// The same where ONNX Runtime raises a bare `RuntimeError`: what is raised is one too.
    Misuse(Error),
    /// Python raised this already: a `TypeError` of ours, a `MemoryError`, what a mapping's own code raised.
    Py(PyErr),
}

impl From<Error> for DoorError {
    fn from(error: Error) -> Self {
        DoorError::Core(error)
    }
}

impl From<PyErr> for DoorError {
    fn from(error: PyErr) -> Self {
        DoorError::Py(error)
    }
}

/// ONNX Runtime's `INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 2;

/// An error that ONNX Runtime would call `InvalidArgument`, in its form of words.
pub(crate) fn invalid_argument(message: &str) -> DoorError {
    let message = format!("[ONNXRuntimeError] : {INVALID_ARGUMENT} : INVALID_ARGUMENT : {message}");
    DoorError::Core(Error::new(ErrorKind::Input, message).with_code(INVALID_ARGUMENT))
}

/// A wrong request for which ONNX Runtime has no name.
pub(crate) fn bad_input(message: impl Into<String>) -> DoorError {
    DoorError::Core(Error::new(ErrorKind::Input, message))
}

/// A wrong use of a value or a binding.
pub(crate) fn misuse(message: impl Into<String>) -> DoorError {
    DoorError::Misuse(Error::new(ErrorKind::Input, message))
}
