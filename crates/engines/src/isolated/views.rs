//! The session's mappings of what the process's engine wrote: blocks are used again and again.

use std::io;
use std::sync::Arc;

use super::memory::{Map, SharedFile, Span};

/// So many are kept, the last used first. An array has its own.
const KEPT: usize = 32;

#[derive(Default)]
pub(super) struct Views(Vec<Arc<Map>>);

impl Views {
    /// The span's mapping.
    pub(super) fn of(&mut self, file: &SharedFile, span: Span) -> io::Result<Arc<Map>> {
        let map = match self.0.iter().position(|map| map.span == span) {
            Some(at) => self.0.remove(at),
            None => file.map(span)?,
        };
        self.0.truncate(KEPT - 1);
        self.0.insert(0, Arc::clone(&map));
        Ok(map)
    }
}
