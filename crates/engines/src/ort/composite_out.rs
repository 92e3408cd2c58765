//! Sequences and maps on their way out of the engine.

use std::ptr;
use std::sync::Arc;

use headway_core::engine::{NodeInfo, ValueType};
use headway_core::error::Error;
use headway_core::value::{Tensor, Value};

use super::composite::Composite;
use super::feeds::strip;
use super::raw::*;
use super::values::{EngineValue, Outputs, unreadable};

impl Outputs<'_> {
    /// The sequence, map or sparse tensor of class `kind`.
    ///
    /// # Safety
    /// `value` is a live value of that class that nobody else uses.
    #[cold]
    pub(super) unsafe fn take_composite(
        &self,
        node: &NodeInfo,
        kind: i32,
        value: *mut OrtValue,
    ) -> Result<Value, Error> {
        // Elements may be shared between themselves and with the model: all of them are copied.
        let copies = Outputs { entered: None, ..*self };
        let composite = match kind {
            // SAFETY: passed on.
            class::SEQUENCE => unsafe { copies.sequence(node, value) }?,
            // SAFETY: passed on.
            class::MAP => unsafe { copies.map(&node.name, value) }?,
            // SAFETY: passed on.
            class::SPARSE_TENSOR => Composite::Sparse(unsafe { copies.sparse(&node.name, value) }?),
            other => return Err(unreadable(&node.name, &format!("of type number {other}"))),
        };
        Ok(Value::Opaque(Arc::new(composite)))
    }

    unsafe fn sequence(&self, node: &NodeInfo, value: *mut OrtValue) -> Result<Composite, Error> {
        let api = &self.runtime.api;
        let mut count = 0;
        // SAFETY: the value is a live sequence; an out parameter.
        api.check_run(unsafe { (api.inner_count)(value, &mut count) })?;
        let element = element_word(&node.kind);
        let maps = element.starts_with("map(");
        let take = |at| {
            // SAFETY: as above, and `at` is below the count.
            let inner = unsafe { self.inner(value, at) }?;
            if maps {
                // SAFETY: just given, and a map by the model's word.
                let map = unsafe { self.map(&node.name, inner.raw()) }?;
                return Ok(Value::Opaque(Arc::new(map)));
            }
            // SAFETY: just given, and a tensor by the model's word.
            unsafe { self.tensor(&node.name, inner.raw()) }.map(Value::Tensor)
        };
        let elements = (0..count).map(take).collect::<Result<Vec<_>, Error>>()?;
        Ok(Composite::Sequence { element: element.to_owned(), elements })
    }

    unsafe fn map(&self, name: &str, value: *mut OrtValue) -> Result<Composite, Error> {
        let part = |at| -> Result<Tensor, Error> {
            // SAFETY: the value is a live map, which has keys (0) and values (1), both tensors.
            unsafe { self.tensor(name, self.inner(value, at)?.raw()) }
        };
        Ok(Composite::Map { keys: part(0)?, values: part(1)? })
    }

    /// Element number `at` as a value of its own.
    unsafe fn inner(&self, value: *mut OrtValue, at: usize) -> Result<EngineValue<'_>, Error> {
        let api = &self.runtime.api;
        let mut inner = ptr::null_mut();
        let index = i32::try_from(at).unwrap_or(i32::MAX);
        // SAFETY: the value is live, the index in range; an out parameter.
        api.check_run(unsafe { (api.inner_value)(value, index, self.runtime.allocator, &mut inner) })?;
        Ok(self.runtime.own(inner))
    }
}

/// The element's type of an output that is a sequence, or an optional one.
fn element_word(kind: &ValueType) -> &str {
    let ValueType::Other(words) = kind else { return "" };
    let words = strip(words, "optional(").unwrap_or(words);
    strip(words, "seq(").unwrap_or("")
}
