//! Where threads run: a woken worker must not queue up behind the thread that woke it.
//!
//! The kernel likes to wake a thread on its waker's core. A waker that then spins or computes keeps the core, and on
//! two cores the worker was seen to share it for seconds while the other stood idle: 5 us a request instead of 2.

#[cfg(all(target_os = "linux", not(loom)))]
mod place {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The core this thread runs on, counted from 1.
    pub(crate) fn current() -> u64 {
        sched_getcpu() as u64 + 1
    }

    /// Moves this thread to another of its cores, and leaves it free to go anywhere afterwards.
    pub(crate) fn leave(core: u64) {
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let core = (core - 1) as usize;
        let mut elsewhere = allowed;
        if core >= CpuSet::MAX_CPU || allowed.count() < 2 {
            return;
        }
        elsewhere.unset(core);
        // Failing changes nothing but speed.
        if sched_setaffinity(None, &elsewhere).is_ok() {
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod place {
    /// Unknown.
    pub(crate) fn current() -> u64 {
        0
    }

    /// Left to the operating system.
    pub(crate) fn leave(_core: u64) {}
}

pub(crate) use place::{current, leave};
