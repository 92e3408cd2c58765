//! How an input's memory is held, and where copies go.

use headway_core::error::{Error, ErrorKind};
use headway_core::value::Memory;

use crate::errors_in::DoorError;

/// What the caller promises about the arrays that it hands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It waits, and holds them itself (`feeds::Found`): point at them, hold nothing.
    Borrow,
    /// It does not wait: point at them and keep them alive.
    Hold,
    /// It may change them at once: copy.
    Copy,
}

/// Gives memory for this many bytes (never 0), 64-byte aligned, with its owner.
pub(crate) type Alloc<'a> = &'a dyn Fn(usize) -> Memory;

/// Memory without elements: a non-null, aligned address that nobody reads.
pub(super) const NOWHERE: usize = 64;

/// A block of exactly `len` bytes, for this file's neighbours to fill.
pub(super) fn block(alloc: Alloc<'_>, len: usize) -> Result<Memory, DoorError> {
    if len == 0 {
        return Ok(Memory { addr: NOWHERE, len: 0, owner: None });
    }
    let mut memory = alloc(len);
    if memory.len < len || memory.addr == 0 {
        let message = format!("there is no memory for an input of {len} bytes");
        return Err(Error::new(ErrorKind::Engine, message).into());
    }
    memory.len = len;
    Ok(memory)
}
