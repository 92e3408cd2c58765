//! The whole std <-> loom switch. Everything that locks, parks or counts atomically comes from here.
//!
//! Locks never stay poisoned: no user code runs under them (invariant 3), so a poisoned lock
//! can only mean a bug in this crate, and the state it guards is still the best there is.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// std's under loom too: methods take `self: &Arc<Self>`, which only std's allows.
pub(crate) use std::sync::Arc;
use std::time::Duration;

/// Locks, poison ignored (see the module's note).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits for a notification; `None` waits for ever. Under loom time does not pass.
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
) -> MutexGuard<'a, T> {
    match timeout {
        None => condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner()),
        Some(limit) => condvar.wait_timeout(guard, limit).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
    }
}
