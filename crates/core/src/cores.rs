//! Where threads run: a woken worker must not queue up behind the thread that woke it.
//!
//! The kernel likes to wake a thread on its waker's core. A waker that then spins or computes keeps the core, and on
//! two cores the worker was seen to share it for seconds while the other stood idle: 5 us a request instead of 2.

#[cfg(all(target_os = "linux", not(loom)))]
mod place {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The core this thread runs on, counted from 1.
    pub(crate) fn current() -> u64 {
        sched_getcpu() as u64 + 1
    }

    /// This thread's number, for [`drive_away`].
    pub(crate) fn this_thread() -> u64 {
        u64::from(gettid().as_raw_pid().unsigned_abs())
    }

    /// Moves this thread to another of its cores, and leaves it free to go anywhere afterwards.
    pub(crate) fn leave(core: u64) {
        move_off(None, core);
    }

    /// Moves another thread off the core that this one runs on, if it is there; it is free to go anywhere afterwards.
    pub(crate) fn drive_away(thread: u64) {
        if let Some(thread) = i32::try_from(thread).ok().and_then(Pid::from_raw) {
            move_off(Some(thread), current());
        }
    }

    fn move_off(thread: Option<Pid>, core: u64) {
        let Ok(allowed) = sched_getaffinity(thread) else { return };
        let core = (core - 1) as usize;
        let mut elsewhere = allowed;
        if core >= CpuSet::MAX_CPU || allowed.count() < 2 {
            return;
        }
        elsewhere.unset(core);
        // Failing changes nothing but speed.
        if sched_setaffinity(thread, &elsewhere).is_ok() {
            let _ = sched_setaffinity(thread, &allowed);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod place {
    /// Unknown.
    pub(crate) fn current() -> u64 {
        0
    }

    /// Unknown.
    pub(crate) fn this_thread() -> u64 {
        0
    }

    /// Left to the operating system.
    pub(crate) fn leave(_core: u64) {}

    /// Left to the operating system.
    pub(crate) fn drive_away(_thread: u64) {}
}

pub(crate) use place::{current, drive_away, leave, this_thread};

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use rustix::thread::{Pid, sched_getaffinity};

    use super::{current, drive_away, this_thread};

    #[test]
    fn who_was_driven_away_may_go_anywhere_afterwards() {
        let (told, number) = channel();
        let (gone, stop) = channel::<()>();
        let other = std::thread::spawn(move || {
            told.send(this_thread()).expect("the test waits");
            // It sleeps: where it is does not change by itself.
            stop.recv().expect_err("nothing is sent");
        });
        let number = number.recv().expect("a number");
        let allowed = || sched_getaffinity(Pid::from_raw(number as i32)).expect("it lives");
        let before = allowed();
        drive_away(number);
        assert_eq!(allowed(), before);
        drop(gone);
        other.join().expect("it ends");
        drive_away(number);
        drive_away(0);
        assert!(current() > 0);
    }
}
