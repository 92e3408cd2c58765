//! The header at the start of the shared memory, and waiting on its words.
//!
//! One request at a time: the session's side writes it and raises `CALL`, the process answers and raises `REPLY`.
//! There is no lock, and no word is changed by a read and a write, so a process can be killed at any instruction.
//! Who waits, waits on a futex in the memory itself: two wakes for a request, no thread in between.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::futex::{self, Flags};

use super::memory::{GRAIN, Map, Span};

/// The header's span, first in the file.
pub(super) const HEADER: Span = Span { offset: 0, len: GRAIN };

/// The number of the request that is to be run; the session's side writes it, the process waits on it.
pub(super) const CALL: usize = 0;
/// The number of the last request that was answered; the process writes it.
pub(super) const REPLY: usize = 64;
/// The number of the last request that the process has taken; the process writes it.
pub(super) const TAKEN: usize = 128;
/// Raised by one for whatever the session's side should look at: an answer, or a death. It waits on this one.
pub(super) const BELL: usize = 192;
/// Where the request lies.
pub(super) const REQUEST: usize = 256;
/// Where the answer lies.
pub(super) const ANSWER: usize = 320;
/// One word for each output area: whether somebody holds values in it. The process sets it, the session's side clears.
pub(super) const HELD: usize = 384;

/// A `CALL` that asks the process to end.
pub(super) const STOP: u32 = u32::MAX;

/// Output areas that values can be held in.
pub(super) const AREAS: usize = 8;
/// The number of the area out of which values are copied.
pub(super) const COPIED: u64 = AREAS as u64;

/// Where a message lies: its span, and how long its table and its elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) span: Span,
    pub(super) table: u64,
    pub(super) payload: u64,
    /// An answer's area; whether its request's memory is still in use.
    pub(super) area: u64,
    pub(super) kept: bool,
}

impl Place {
    pub(super) fn put(self, header: &Map, at: usize) {
        let words =
            [self.span.offset, self.span.len, self.table, self.payload, self.area, u64::from(self.kept)];
        for (number, word) in words.into_iter().enumerate() {
            header.word64(at + 8 * number).store(word, Ordering::Relaxed);
        }
    }

    pub(super) fn get(header: &Map, at: usize) -> Place {
        let word = |number: usize| header.word64(at + 8 * number).load(Ordering::Relaxed);
        let span = Span { offset: word(0), len: word(1) };
        Place { span, table: word(2), payload: word(3), area: word(4), kept: word(5) != 0 }
    }
}

/// The number of the request after this one: never 0, which nobody has asked, and never `STOP`.
pub(super) fn next(number: u32) -> u32 {
    if number >= STOP - 1 { 1 } else { number + 1 }
}

/// Looks at a word for so long before it gives up and sleeps.
pub(super) fn spin(limit: Duration, done: impl Fn() -> bool) -> bool {
    if limit.is_zero() {
        return done();
    }
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= limit {
            return false;
        }
        // The process that is waited for may want this very core.
        std::thread::yield_now();
    }
}

/// Sleeps while the word has this value, or wakes for no reason.
pub(super) fn sleep(word: &AtomicU32, value: u32) {
    // Interrupted, or changed already: the caller looks again either way. Not private: two processes share it.
    let _ = futex::wait(word, Flags::empty(), value, None);
}

/// Wakes who sleeps on the word.
pub(super) fn wake(word: &AtomicU32) {
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}
