//! What the engine logs: kept in a bounded ring until somebody asks. Nothing prints.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Lines kept; the oldest go first.
const KEPT: usize = 1024;

/// One line of an engine's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// 0 verbose, 1 info, 2 warning, 3 error, 4 fatal.
    pub severity: i32,
    /// The engine's word for where it comes from: its log id and category.
    pub category: String,
    /// What it said.
    pub message: String,
}

struct Ring {
    lines: VecDeque<LogLine>,
    lost: usize,
}

static RING: Mutex<Ring> = Mutex::new(Ring { lines: VecDeque::new(), lost: 0 });
static WAITING: AtomicBool = AtomicBool::new(false);

fn ring() -> MutexGuard<'static, Ring> {
    RING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Keeps a fork from catching this lock; see [`crate::fork`].
pub(crate) fn hold_log() -> impl Any {
    ring()
}

/// True when [`drain_log`] would give something. One atomic read: cheap enough for every call.
pub fn log_waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// Takes the lines logged since the last call, oldest first. When lines were lost, the first one says how many.
pub fn drain_log() -> Vec<LogLine> {
    let mut ring = ring();
    WAITING.store(false, Ordering::Relaxed);
    let lost = std::mem::take(&mut ring.lost);
    let note = (lost > 0).then(|| LogLine {
        severity: 2,
        category: "headway".into(),
        message: format!("{lost} older log lines were lost"),
    });
    note.into_iter().chain(ring.lines.drain(..)).collect()
}

/// Adds a line.
pub(crate) fn push(line: LogLine) {
    let mut ring = ring();
    if ring.lines.len() == KEPT {
        ring.lines.pop_front();
        ring.lost += 1;
    }
    ring.lines.push_back(line);
    WAITING.store(true, Ordering::Relaxed);
}

/// The engine's logging function. Called from any of its threads.
pub(super) unsafe extern "system" fn receive(
    _param: *mut c_void,
    severity: i32,
    category: *const c_char,
    id: *const c_char,
    _location: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the engine passes C strings that live for the length of this call.
    let (category, id, message) = unsafe { (text(category), text(id), text(message)) };
    let category = if id.is_empty() { category } else { format!("{id}:{category}") };
    push(LogLine { severity, category, message });
}

/// # Safety
/// `from` is null or a C string that lives for the length of this call.
unsafe fn text(from: *const c_char) -> String {
    if from.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_counts_what_it_lost() {
        drain_log();
        for number in 0..KEPT + 3 {
            push(LogLine { severity: 1, category: String::new(), message: number.to_string() });
        }
        assert!(log_waiting());
        let lines = drain_log();
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!(lines[0].message, "3 older log lines were lost");
        assert_eq!(lines[1].message, "3");
        assert!(!log_waiting() && drain_log().is_empty());
    }
}
