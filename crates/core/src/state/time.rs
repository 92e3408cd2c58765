//! The state's time: it never goes back, and the timer is told when to look next.

use super::{Effects, State};
use crate::request::Time;

impl State {
    /// The time of a transition whose clock was read before it had the lock: another may have gone before it with a later
    /// one, and a request would start before it was submitted.
    #[inline]
    pub(crate) fn no_earlier(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    pub(super) fn rearm(&mut self, fx: &mut Effects) {
        if let Some(at) = self.next_alarm()
            && let Some(untold) = fx.arm.replace(at)
        {
            self.armed.retain(|other| *other != untold);
        }
    }

    /// When the timer has to look, unless it looks before that anyway.
    fn next_alarm(&mut self) -> Option<Time> {
        let window = self.batcher.as_ref().and_then(|batcher| batcher.window);
        let due = self.deadlines.next().into_iter().chain(window).min();
        let at = due.filter(|at| self.armed.last().is_none_or(|armed| at < armed))?;
        self.armed.push(at);
        Some(at)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::state::Config;

    #[test]
    fn time_never_goes_back() {
        let mut state = State::new(Config::default(), vec![None]);
        let at = |millis| Time::from_millis(millis);
        assert_eq!(state.no_earlier(at(5)), at(5));
        assert_eq!(state.no_earlier(at(3)), at(5));
        assert_eq!(state.no_earlier(at(6)), at(6));
    }
}
