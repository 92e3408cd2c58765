//! Memory of the lane's process that the session's side sees too: what the engine writes into it needs no copy.
//!
//! It is the file of the answers, in spans. Only the process makes it grow, and only the process frees in it.

use std::collections::BTreeMap;
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headway_core::value::Memory;

use super::memory::{GRAIN, Map, SharedFile, Span};
use crate::pool::Source;

/// Elements up to here are copied: to have them lie where they are would cost more.
pub(super) const SMALL: usize = 64 << 10;

pub(super) struct Heap {
    file: SharedFile,
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    /// What blocks lie in, by address.
    blocks: BTreeMap<usize, Arc<Map>>,
    /// Where spans were, by their length: the file would grow for ever otherwise.
    free: BTreeMap<u64, Vec<u64>>,
}

impl Heap {
    pub(super) fn new(file: SharedFile) -> Heap {
        Heap { file, spans: Mutex::default() }
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A span of at least so many bytes that nobody has.
    pub(super) fn take(&self, bytes: u64) -> io::Result<Arc<Map>> {
        let mut spans = self.spans();
        let len = bytes.max(1).checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX);
        let span = match spans.free.get_mut(&len).and_then(Vec::pop) {
            Some(offset) => Span { offset, len },
            // Under the lock: threads of this process must not append at once.
            None => self.file.grow(len)?,
        };
        let mapped = self.file.map(span);
        if mapped.is_err() {
            spans.free.entry(len).or_default().push(span.offset);
        }
        mapped
    }

    /// Takes a span back that nobody will look at.
    pub(super) fn give(&self, map: Arc<Map>) {
        let span = map.span;
        drop(map);
        // Before anybody else can have the span: its contents go here.
        self.file.release(span);
        self.spans().free.entry(span.len).or_default().push(span.offset);
    }

    /// Where these bytes lie, if they are a block's of this heap.
    pub(super) fn find(&self, memory: &Memory) -> Option<(Span, usize)> {
        let spans = self.spans();
        let (&base, map) = spans.blocks.range(..=memory.addr).next_back()?;
        let at = memory.addr - base;
        map.holds(at, memory.len).then_some((map.span, at))
    }
}

impl Source for Heap {
    fn alloc(&self, len: usize) -> Option<NonNull<u8>> {
        if len <= SMALL {
            return None;
        }
        // Without shared memory the system's does: what lies there is copied.
        let map = self.take(len as u64).ok()?;
        let base = map.base();
        self.spans().blocks.insert(map.addr(0), map);
        Some(base)
    }

    unsafe fn free(&self, at: NonNull<u8>) {
        let map = self.spans().blocks.remove(&at.as_ptr().expose_provenance());
        if let Some(map) = map {
            self.give(map);
        }
    }
}
