//! Time for the flow: the system's, or one that a test moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::request::Time;

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The monotonic system clock, counted from the clock's creation.
    System(Instant),
    /// Stands still until somebody moves it.
    Manual(ManualClock),
}

/// A clock that stands still until [`ManualClock::advance`]. Clones show the same time.
///
/// Whoever moves it calls `Runtime::expire` afterwards: the timer thread knows nothing of it.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Time since the clock was made.
    pub fn now(&self) -> Time {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

impl Clock {
    /// The system's clock, starting at zero now.
    pub fn system() -> Self {
        Clock::System(Instant::now())
    }

    /// Time since the clock began.
    pub fn now(&self) -> Time {
        match self {
            Clock::System(origin) => origin.elapsed(),
            Clock::Manual(clock) => clock.now(),
        }
    }

    /// The instant at which this clock shows `time`; `None` for a clock that does not run by itself.
    pub fn instant_of(&self, time: Time) -> Option<Instant> {
        match self {
            Clock::System(origin) => origin.checked_add(time),
            Clock::Manual(_) => None,
        }
    }
}
