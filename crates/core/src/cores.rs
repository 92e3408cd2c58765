//! Where threads run: a woken worker must not queue up behind the thread that woke it.
//!
//! The kernel likes to wake a thread on its waker's core. A waker that then spins or computes keeps the core, and on
//! two cores the worker was seen to share it for seconds while the other stood idle: 5 us a request instead of 2.

#[cfg(all(target_os = "linux", not(loom)))]
mod place {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// A line of memory of its own.
    #[repr(align(128))]
    struct Ball(AtomicU32);

    /// How long a line of memory takes from one usable core to another and back: the mean of `rounds`. `None` with one
    /// core. For measurements: a request crosses several times, and a virtual machine's cores may be moved apart.
    pub fn round_trip(rounds: u32) -> Option<Duration> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (here, there) = (cores.next()?, cores.next()?);
        let ball = Ball(AtomicU32::new(0));
        let play = |core: usize, first: u32| {
            let mut only = CpuSet::new();
            only.set(core);
            // Where that is refused, the kernel's own choice is measured.
            let _ = sched_setaffinity(None, &only);
            let start = Instant::now();
            for round in 0..rounds {
                while ball.0.load(Ordering::Acquire) != 2 * round + first {
                    std::hint::spin_loop();
                }
                ball.0.store(2 * round + first + 1, Ordering::Release);
            }
            start.elapsed()
        };
        let took = std::thread::scope(|scope| {
            let other = scope.spawn(|| play(there, 1));
            let took = scope.spawn(|| play(here, 0)).join();
            other.join().ok().and(took.ok())
        });
        took.map(|took| took / rounds.max(1))
    }

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

    /// Unknown.
    pub fn round_trip(_rounds: u32) -> Option<std::time::Duration> {
        None
    }

    /// Left to the operating system.
    pub(crate) fn leave(_core: u64) {}
}

pub use place::round_trip;
pub(crate) use place::{current, leave};
