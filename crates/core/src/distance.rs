//! How far apart the cores are. For measurements: a request crosses between them several times, and the cores of a virtual
//! machine may be moved apart while it runs.

#[cfg(all(target_os = "linux", not(loom)))]
mod measured {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// A line of memory of its own.
    #[repr(align(128))]
    struct Ball(AtomicU32);

    /// How long a line of memory takes from one usable core to another and back: the mean of `rounds`. `None` with one
    /// core.
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

    #[cfg(test)]
    mod tests {
        use super::round_trip;

        #[test]
        fn the_caller_may_go_where_it_might() {
            let allowed = || rustix::thread::sched_getaffinity(None).expect("a set");
            let before = allowed();
            let took = round_trip(10);
            assert_eq!(took.is_some(), before.count() > 1);
            assert_eq!(allowed(), before);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod measured {
    /// Unknown.
    pub fn round_trip(_rounds: u32) -> Option<std::time::Duration> {
        None
    }
}

pub use measured::round_trip;
