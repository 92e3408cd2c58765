//! The one timer thread of the process: parked unless a deadline is set.
//!
//! After a fork the child has no timer thread, so each generation of the process has its own timer;
//! the parent's may be locked for ever in the child and is never touched there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

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

/// One generation's timer, and the next generation's.
struct Timer {
    alarms: Mutex<BinaryHeap<Reverse<Alarm>>>,
    wake: Condvar,
    thread: OnceLock<bool>,
    next: OnceLock<Box<Timer>>,
}

impl Timer {
    const fn new() -> Self {
        Timer {
            alarms: Mutex::new(BinaryHeap::new()),
            wake: Condvar::new(),
            thread: OnceLock::new(),
            next: OnceLock::new(),
        }
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

/// Has `expire` called on the session at the given time.
pub(crate) fn arm(at: Instant, session: Weak<Shared>) {
    let timer = current();
    let first = {
        let mut alarms = timer.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        let first = alarms.peek().is_none_or(|Reverse(alarm)| at < alarm.at);
        alarms.push(Reverse(Alarm { at, session }));
        first
    };
    timer.thread.get_or_init(|| {
        std::thread::Builder::new().name("headway-timer".into()).spawn(|| tick(timer)).is_ok()
    });
    if first {
        timer.wake.notify_one();
    }
}

fn tick(timer: &'static Timer) {
    let mut alarms = timer.alarms.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        let Some(Reverse(next)) = alarms.peek() else {
            alarms = timer.wake.wait(alarms).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        if next.at > now {
            let left = next.at - now;
            alarms = timer.wake.wait_timeout(alarms, left).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let Some(Reverse(due)) = alarms.pop() else { continue };
        drop(alarms);
        if let Some(session) = due.session.upgrade() {
            expire(&session);
        }
        alarms = timer.alarms.lock().unwrap_or_else(PoisonError::into_inner);
    }
}

fn expire(session: &Arc<Shared>) {
    if let Some(next) = session.expire() {
        session.arm(next);
    }
}
