//! Where threads run: a woken worker must not queue up behind the thread that woke it.
//!
//! The kernel likes to wake a thread on its waker's core. A waker that then spins or computes keeps the core, and on
//! two cores the worker was seen to share it for seconds while the other stood idle: 5 us a request instead of 2.
//!
//! Nor must it queue up behind another lane of its session. Two lanes that each run for less than the kernel's balancing looks
//! at stay on one core for good: the core that goes idle in between is not idle for long enough. A thread that sits behind
//! another cannot move itself, so whoever wakes it steers it first.

#[cfg(all(target_os = "linux", not(loom)))]
mod place {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The core this thread runs on, counted from 1.
    pub(crate) fn current() -> u64 {
        sched_getcpu() as u64 + 1
    }

    /// Moves this thread to another of its cores, and leaves it free to go anywhere afterwards. Not where the others
    /// are all taken by `running` lanes: there it would queue up behind one of them, while the waker soon sleeps.
    pub(crate) fn leave(core: u64, running: usize) {
        let Ok(allowed) = sched_getaffinity(None) else { return };
        if (allowed.count() as usize) < 2 + running {
            return;
        }
        let elsewhere = without(allowed, core);
        // Failing changes nothing but speed.
        if sched_setaffinity(None, &elsewhere).is_ok() {
            let _ = sched_setaffinity(None, &allowed);
        }
    }

    fn without(mut cores: CpuSet, core: u64) -> CpuSet {
        let core = (core as usize).wrapping_sub(1);
        if core < CpuSet::MAX_CPU {
            cores.unset(core);
        }
        cores
    }

    /// Where a lane's worker is. On cache lines of its own: the lanes write it for every run.
    #[derive(Default)]
    #[repr(align(128))]
    pub(crate) struct Spot {
        /// 0 before the worker has begun and after it has left: its number may then be another thread's.
        thread: AtomicI32,
        /// Where it ran last.
        core: AtomicU64,
        running: AtomicBool,
        steered: AtomicBool,
        /// Where it may go once it is awake. Locked by whoever moves the thread, and by the worker when it leaves.
        home: Mutex<Option<CpuSet>>,
    }

    impl Spot {
        /// The worker's thread begins.
        pub(crate) fn begin(&self) {
            self.thread.store(Pid::as_raw(Some(gettid())), Ordering::Relaxed);
        }

        /// It leaves: nobody moves it any more.
        pub(crate) fn end(&self) {
            let _home = self.home.lock();
            self.thread.store(0, Ordering::Relaxed);
        }

        /// It is awake, where it is.
        pub(crate) fn arrive(&self) {
            self.core.store(current(), Ordering::Relaxed);
        }

        /// True when it was seen on this core last.
        pub(crate) fn is_on(&self, core: u64) -> bool {
            self.core.load(Ordering::Relaxed) == core
        }

        /// The worker begins a run beside other lanes.
        pub(crate) fn enter(&self) {
            if self.steered.swap(false, Ordering::Acquire) {
                let home = self.home.lock().map(|mut home| home.take());
                if let Ok(Some(home)) = home {
                    let _ = sched_setaffinity(None, &home);
                }
            }
            self.arrive();
            self.running.store(true, Ordering::Relaxed);
        }

        /// The run has ended.
        pub(crate) fn exit(&self) {
            self.running.store(false, Ordering::Relaxed);
        }

        /// As if it had just seen that it was steered, and did not have its own back yet.
        #[cfg(test)]
        pub(crate) fn is_entering(&self) {
            assert!(self.steered.swap(false, Ordering::Acquire));
        }

        /// As if it ran on the core where the other ran last.
        #[cfg(test)]
        pub(crate) fn runs_beside(&self, other: &Spot) {
            self.core.store(other.core.load(Ordering::Relaxed), Ordering::Relaxed);
            self.running.store(true, Ordering::Relaxed);
        }

        /// The core where it ran last, counted from 0.
        #[cfg(test)]
        pub(crate) fn last(&self) -> Option<usize> {
            (self.core.load(Ordering::Relaxed) as usize).checked_sub(1)
        }

        fn taken(&self) -> Option<u64> {
            self.running.load(Ordering::Relaxed).then(|| self.core.load(Ordering::Relaxed))
        }
    }

    /// Has a worker that is about to be woken wake on a core where no other lane runs, if it would not anyway.
    pub(crate) fn steer(spots: &[Spot], lane: usize) {
        let Some(spot) = spots.get(lane) else { return };
        let last = spot.core.load(Ordering::Relaxed);
        let others = || spots.iter().filter_map(Spot::taken);
        if spot.steered.load(Ordering::Relaxed) || !others().any(|core| core == last) {
            return;
        }
        let Ok(mut home) = spot.home.lock() else { return };
        let Some(thread) = Pid::from_raw(spot.thread.load(Ordering::Relaxed)) else { return };
        // A worker that is about to take its own back has not yet: what it may go to now is what it was steered to.
        let Some(allowed) = (*home).or_else(|| sched_getaffinity(Some(thread)).ok()) else { return };
        let free = others().fold(allowed, without);
        let better = without(free, current());
        let goal = if better.count() > 0 { better } else { free };
        if goal.count() == 0 {
            return;
        }
        *home = Some(allowed);
        spot.steered.store(true, Ordering::Release);
        // Failing changes nothing but speed.
        let _ = sched_setaffinity(Some(thread), &goal);
    }

    /// Moves a worker off the core that the calling thread runs on, if it is there; it is free to go anywhere afterwards.
    pub(crate) fn drive_away(spot: &Spot) {
        let Ok(mut home) = spot.home.lock() else { return };
        let Some(thread) = Pid::from_raw(spot.thread.load(Ordering::Relaxed)) else { return };
        let Some(allowed) = home.take().or_else(|| sched_getaffinity(Some(thread)).ok()) else { return };
        let elsewhere = without(allowed, current());
        if elsewhere.count() > 0 {
            // Failing changes nothing but speed.
            let _ = sched_setaffinity(Some(thread), &elsewhere);
        }
        let _ = sched_setaffinity(Some(thread), &allowed);
    }
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use rustix::thread::{CpuSet, gettid, sched_getaffinity};

    use super::*;

    #[test]
    fn a_worker_is_steered_past_another_lane_for_one_wake_up() {
        let spots = [Spot::default(), Spot::default()];
        let (to_test, at_test) = channel();
        let (to_worker, at_worker) = channel::<()>();
        let affinity = |thread| sched_getaffinity(Some(thread)).expect("of this process");
        std::thread::scope(|scope| {
            let worker = &spots[0];
            scope.spawn(move || {
                worker.begin();
                for _ in 0..3 {
                    worker.enter();
                    worker.exit();
                    to_test.send(gettid()).expect("the test waits");
                    if at_worker.recv().is_err() {
                        break;
                    }
                }
            });
            let thread = at_test.recv().expect("it ran");
            let home = affinity(thread);
            steer(&spots, 0);
            assert_eq!(affinity(thread), home, "no other lane runs");
            spots[1].runs_beside(&spots[0]);
            steer(&spots, 0);
            let steered = affinity(thread);
            let core = spots[0].last().expect("it ran");
            // With one core there is nowhere to go.
            assert_eq!(steered.is_set(core), home.count() == 1);
            assert!((0..CpuSet::MAX_CPU).all(|core| home.is_set(core) || !steered.is_set(core)));
            if home.count() > 1 {
                worker.is_entering();
                spots[1].runs_beside(&spots[0]);
                steer(&spots, 0);
            }
            spots[1].exit();
            to_worker.send(()).expect("it waits");
            at_test.recv().expect("it ran again");
            assert_eq!(affinity(thread), home, "it takes its own back");
            drop(to_worker);
        });
    }

    #[test]
    fn who_was_driven_away_may_go_anywhere_afterwards() {
        let spot = Spot::default();
        drive_away(&spot);
        let (told, number) = channel();
        let (gone, stop) = channel::<()>();
        std::thread::scope(|scope| {
            let worker = &spot;
            scope.spawn(move || {
                worker.begin();
                told.send(gettid()).expect("the test waits");
                // It sleeps: where it is does not change by itself.
                stop.recv().expect_err("nothing is sent");
                worker.end();
            });
            let thread = number.recv().expect("a number");
            let allowed = || sched_getaffinity(Some(thread)).expect("it lives");
            let before = allowed();
            drive_away(&spot);
            assert_eq!(allowed(), before);
            drop(gone);
        });
        drive_away(&spot);
        assert!(current() > 0);
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod place {
    /// Unknown.
    pub(crate) fn current() -> u64 {
        0
    }

    /// Left to the operating system.
    pub(crate) fn leave(_core: u64, _running: usize) {}

    /// Nothing is known of where a worker is.
    #[derive(Default)]
    pub(crate) struct Spot;

    impl Spot {
        pub(crate) fn begin(&self) {}

        pub(crate) fn end(&self) {}

        pub(crate) fn arrive(&self) {}

        pub(crate) fn is_on(&self, _core: u64) -> bool {
            false
        }

        pub(crate) fn enter(&self) {}

        pub(crate) fn exit(&self) {}
    }

    /// Left to the operating system.
    pub(crate) fn steer(_spots: &[Spot], _lane: usize) {}

    /// Left to the operating system.
    pub(crate) fn drive_away(_spot: &Spot) {}
}

pub(crate) use place::{Spot, current, drive_away, leave, steer};
