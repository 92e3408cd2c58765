//! What a fork must not catch locked: the child has the parent's locks and none of the threads that would unlock them.

use std::any::Any;

use crate::{openvino, ort, rknn};

/// The process's locks that a child comes to when it makes a session of its own, held until this is dropped.
pub struct Held {
    _guards: [Box<dyn Any>; 5],
}

/// To be called before a fork, on the thread that forks; what it returns is to be dropped after it, in both processes.
/// Waits while another thread loads a library or makes an engine's environment.
pub fn hold_locks() -> Held {
    // Outer locks first: environments are made under the wishes, and log.
    Held {
        _guards: [
            Box::new(ort::hold_loading()),
            Box::new(openvino::hold_loading()),
            Box::new(rknn::hold_loading()),
            Box::new(ort::hold_wishes()),
            Box::new(ort::hold_log()),
        ],
    }
}
