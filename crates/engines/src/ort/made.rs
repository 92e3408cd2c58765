//! The engine's values over a binding's memory: made by its first run, used again by every later one.

use std::ffi::c_char;
use std::sync::{Arc, Weak};

use super::lane::OrtLane;
use super::raw::OrtValue;
use super::session::Session;

/// Names and values of a binding that does not change, ready to be passed.
pub(super) struct Made {
    /// Whose names these are. Held weakly: a binding keeps no closed model in memory.
    session: Weak<Session>,
    runtime: &'static super::runtime::Runtime,
    pub(super) names: Vec<*const c_char>,
    pub(super) values: Vec<*mut OrtValue>,
    pub(super) output_names: Vec<*const c_char>,
    /// Null where every run gives a new one.
    pub(super) outputs: Vec<*mut OrtValue>,
    /// The engine writes all outputs where they are to be: there is nothing to take from it.
    pub(super) in_place: bool,
}

// SAFETY: the names are read only while the session lives; the values are plain views of memory that the binding holds,
// used by one run at a time (the binding's turn) and released once.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("inputs", &self.values.len()).finish_non_exhaustive()
    }
}

impl Made {
    /// Whether the names are this session's. A weak reference keeps its place in memory from being another's.
    pub(super) fn is_of(&self, session: &Arc<Session>) -> bool {
        std::ptr::eq(self.session.as_ptr(), Arc::as_ptr(session))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for value in self.values.drain(..).chain(self.outputs.drain(..)) {
            if !value.is_null() {
                // SAFETY: taken over from the run that made it, released once.
                unsafe { (self.runtime.api.release_value)(value) };
            }
        }
    }
}

impl OrtLane {
    /// Keeps what the run has made, instead of releasing it. `places` says which outputs are the caller's memory.
    pub(super) fn keep(&mut self, places: impl Iterator<Item = bool>) -> Made {
        let mut take = |(at, is_place): (usize, bool)| match is_place {
            true => std::mem::replace(&mut self.outputs[at], std::ptr::null_mut()),
            false => std::ptr::null_mut(),
        };
        self.feeds.made.clear();
        Made {
            outputs: places.enumerate().map(&mut take).collect(),
            session: Arc::downgrade(&self.session),
            runtime: self.session.runtime,
            names: self.feeds.names.clone(),
            values: std::mem::take(&mut self.feeds.values),
            output_names: self.output_names.clone(),
            in_place: false,
        }
    }

    /// Fills the lane's list of outputs, which the engine writes to, with what was kept.
    pub(super) fn reuse(&mut self, made: &Made) {
        self.outputs.extend_from_slice(&made.outputs);
    }

    /// Takes what was kept off the list again: the lane does not release it.
    pub(super) fn give_up(&mut self, made: &Made) {
        for (value, kept) in self.outputs.iter_mut().zip(&made.outputs) {
            if !kept.is_null() {
                *value = std::ptr::null_mut();
            }
        }
    }
}
