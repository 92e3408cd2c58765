//! When processes that only crash are started no more: a pure step, time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

/// So many crashes ...
const CRASHES: usize = 5;
/// ... in this time, without an answer in between, open the breaker.
const WINDOW: Duration = Duration::from_secs(10);
/// How long it stays open at first, and at most: each crash after a pause doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Every lane's process, at once.
    Closed,
    /// None for so long.
    Open(Duration),
    /// Whatever a request needs: if it crashes too, the breaker opens again.
    HalfOpen,
}

/// Counts crashes.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    crashes: VecDeque<Duration>,
    until: Option<Duration>,
    pause: Duration,
}

impl Breaker {
    /// A process died that nobody ended. True when this opened the breaker.
    pub(super) fn crashed(&mut self, now: Duration) -> bool {
        while self.crashes.front().is_some_and(|&at| at + WINDOW < now) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        let again = self.until.is_some_and(|until| until <= now);
        let opens = again || (self.until.is_none() && self.crashes.len() >= CRASHES);
        if opens {
            self.pause = if again { (self.pause * 2).min(LONGEST_PAUSE) } else { PAUSE };
            self.until = Some(now + self.pause);
        }
        opens
    }

    /// A request was answered. True when this closed the breaker.
    pub(super) fn answered(&mut self) -> bool {
        self.crashes.clear();
        self.until.take().is_some()
    }

    /// True when an answer would change something.
    pub(super) fn counts(&self) -> bool {
        self.until.is_some() || !self.crashes.is_empty()
    }

    /// Crashes since the last answer that are not too old to count.
    pub(super) fn crashes(&self) -> usize {
        self.crashes.len()
    }

    /// What may be started now.
    pub(super) fn gate(&self, now: Duration) -> Gate {
        match self.until {
            None => Gate::Closed,
            Some(until) if until > now => Gate::Open(until - now),
            Some(_) => Gate::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn five_crashes_in_a_row_open_it_and_an_answer_closes_it() {
        let mut breaker = Breaker::default();
        assert!((0..4).all(|n| !breaker.crashed(at(n))));
        assert_eq!(breaker.gate(at(4)), Gate::Closed);
        assert!(breaker.crashed(at(4)));
        assert_eq!(breaker.gate(at(104)), Gate::Open(at(900)));
        assert_eq!(breaker.gate(at(1004)), Gate::HalfOpen);
        assert!(breaker.answered());
        assert_eq!(breaker.gate(at(1004)), Gate::Closed);
        assert!(!breaker.counts() && !breaker.answered());
    }

    #[test]
    fn a_crash_after_the_pause_doubles_it_up_to_a_bound() {
        let mut breaker = Breaker::default();
        let mut now = Duration::ZERO;
        while !breaker.crashed(now) {}
        for seconds in [2, 4, 8, 16, 30, 30] {
            now += Duration::from_secs(31);
            assert!(breaker.crashed(now));
            assert_eq!(breaker.gate(now), Gate::Open(Duration::from_secs(seconds)));
            assert!(!breaker.crashed(now), "a crash while it is open changes nothing");
        }
    }

    #[test]
    fn answers_in_between_and_old_crashes_do_not_count() {
        let mut breaker = Breaker::default();
        for n in 0..100 {
            assert!(!breaker.crashed(at(n)));
            breaker.answered();
        }
        assert!((0..100).all(|n| !breaker.crashed(Duration::from_secs(4 * n))));
    }
}
