//! The one timer thread of the process: parked unless a deadline is set.
//!
//! After a fork the child has no timer thread, so each generation of the process has its own timer;
//! the parent's may be locked for ever in the child and is never touched there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::runtime::Shared;

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How often this process is a fork of the first one.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// To be called in a forked child before anything else.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

struct Alarm {
    at: Instant,
    session: Weak<Shared>,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// What the timer's lock holds.
struct Alarms {
    heap: BinaryHeap<Reverse<Alarm>>,
    /// The thread has been started. False after a failed start too: whoever comes next tries again.
    ticking: bool,
}

/// One generation's timer, and the next generation's.
struct Timer {
    alarms: Mutex<Alarms>,
    wake: Condvar,
    next: OnceLock<Box<Timer>>,
}

impl Timer {
    const fn new() -> Self {
        let alarms = Alarms { heap: BinaryHeap::new(), ticking: false };
        Timer { alarms: Mutex::new(alarms), wake: Condvar::new(), next: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static FIRST: Timer = Timer::new();

fn current() -> &'static Timer {
    let mut timer = &FIRST;
    for _ in 0..generation() {
        timer = timer.next.get_or_init(|| Box::new(Timer::new()));
    }
    timer
}

/// Starts the thread, if it does not run: before the first deadline, which without it would never pass.
///
/// # Errors
/// `Load` when the operating system gives no thread.
pub fn start() -> Result<(), Error> {
    let timer = current();
    begin(&mut timer.lock(), || spawn(timer)).map_err(|error| {
        let text = format!(
            "no thread for deadlines: {error}; as many threads run as this process may have: end some, or raise \
             the limit"
        );
        Error::new(ErrorKind::Load, text)
    })
}

fn begin(alarms: &mut Alarms, spawn: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    if !alarms.ticking {
        spawn()?;
        alarms.ticking = true;
    }
    Ok(())
}

fn spawn(timer: &'static Timer) -> std::io::Result<()> {
    std::thread::Builder::new().name("headway-timer".into()).spawn(move || tick(timer)).map(drop)
}

/// Has `expire` called on the session at the given time.
pub(crate) fn arm(at: Instant, session: Weak<Shared>) {
    let timer = current();
    let first = {
        let mut alarms = timer.lock();
        let first = alarms.heap.peek().is_none_or(|Reverse(alarm)| at < alarm.at);
        alarms.heap.push(Reverse(Alarm { at, session }));
        // Whoever opens a session starts it before; where nobody did and there is no thread now, the next alarm's
        // caller finds one for both.
        let _ = begin(&mut alarms, || spawn(timer));
        first
    };
    if first {
        timer.wake.notify_one();
    }
}

fn tick(timer: &'static Timer) {
    let mut alarms = timer.lock();
    loop {
        let now = Instant::now();
        let Some(Reverse(next)) = alarms.heap.peek() else {
            alarms = timer.wake.wait(alarms).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        if next.at > now {
            let left = next.at - now;
            alarms = timer.wake.wait_timeout(alarms, left).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let Some(Reverse(due)) = alarms.heap.pop() else { continue };
        drop(alarms);
        if let Some(session) = due.session.upgrade() {
            expire(&session);
        }
        alarms = timer.lock();
    }
}

fn expire(session: &Arc<Shared>) {
    if let Some(next) = session.expire() {
        session.arm(next);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_thread_that_could_not_be_started_is_tried_again_and_then_no_more() {
        let timer = Timer::new();
        let mut alarms = timer.lock();
        let failing = || Err(Error::from(ErrorKind::WouldBlock));
        assert!(begin(&mut alarms, failing).is_err());
        assert!(begin(&mut alarms, failing).is_err(), "the first failure is not the last word");
        let mut started = 0;
        for _ in 0..2 {
            let count = || {
                started += 1;
                Ok(())
            };
            assert!(begin(&mut alarms, count).is_ok());
        }
        assert_eq!(started, 1);
    }
}
