//! When a worker that is awake takes what has come, and when it goes to sleep. Pure: time is an argument.
//!
//! Whoever submits one request and asks for its result at once runs it fastest on its own thread: handing it to
//! another core and back takes longer than a small model runs. So a request that comes to an idle session is left to
//! its caller for a moment. Nothing else waits for that moment: what has company, a callback or a caller that cannot
//! run it is taken at once.

use std::time::Duration;

/// How long a lone request is left to its caller.
pub const HEAD_START: Duration = Duration::from_micros(2);

/// What waits, as a worker sees it without the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign(u64);

const WAITS: u64 = 1;
const LONE: u64 = 2;

impl Sign {
    /// `submitted` rises with every request that may get a head start; `lone` says that one of these is all there is.
    #[inline]
    pub fn new(submitted: u64, waiting: usize, lone: bool) -> Self {
        Sign(submitted << 2 | if waiting > 0 { WAITS } else { 0 } | if lone { LONE } else { 0 })
    }

    /// From the number that [`Sign::bits`] gave.
    pub fn from_bits(bits: u64) -> Self {
        Sign(bits)
    }

    /// True when all there is is one request that its caller may run.
    pub fn is_lone(self) -> bool {
        self.0 & LONE != 0
    }

    /// As a number.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Takes what waits.
    Claim,
    /// Goes to sleep.
    Park,
    /// Looks again, soon enough to end a head start in time.
    LookSoon,
    /// Looks again.
    Look,
}

/// One worker awake without work.
#[derive(Debug)]
pub struct Vigil {
    /// How long it stays awake after the last sign of life.
    spin: Duration,
    alive: Duration,
    /// The last sign, and when it came.
    seen: Option<(Sign, Duration)>,
}

impl Vigil {
    /// Begins now. A worker that was woken gives the first no head start: being woken took longer than that.
    pub fn new(spin: Duration, woken: bool, sign: Sign, now: Duration) -> Self {
        let began = if woken { now.saturating_sub(HEAD_START) } else { now };
        Vigil { spin, alive: now, seen: woken.then_some((sign, began)) }
    }

    /// What a look comes to.
    pub fn look(&mut self, sign: Sign, now: Duration) -> Next {
        let since = match self.seen {
            Some((seen, since)) if seen == sign => since,
            // Requests come and their callers run them: the next may be for this worker.
            _ => {
                self.alive = now;
                self.seen = Some((sign, now));
                now
            }
        };
        match sign.0 & (WAITS | LONE) {
            WAITS => Next::Claim,
            0 | LONE if now.saturating_sub(self.alive) >= self.spin => Next::Park,
            0 | LONE => Next::Look,
            _ if now.saturating_sub(since) >= HEAD_START => Next::Claim,
            _ => Next::LookSoon,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SPIN: Duration = Duration::from_micros(100);

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn vigil(sign: Sign) -> Vigil {
        Vigil::new(SPIN, false, sign, us(0))
    }

    #[test]
    fn a_lone_request_is_left_to_its_caller_for_a_moment() {
        let mut vigil = vigil(Sign::new(0, 0, false));
        assert_eq!(vigil.look(Sign::new(0, 0, false), us(10)), Next::Look);
        let lone = Sign::new(1, 1, true);
        assert_eq!(vigil.look(lone, us(11)), Next::LookSoon);
        assert_eq!(vigil.look(lone, us(12)), Next::LookSoon);
        assert_eq!(vigil.look(lone, us(11) + HEAD_START), Next::Claim);
    }

    #[test]
    fn each_lone_request_has_its_own_moment() {
        let mut vigil = vigil(Sign::new(0, 0, false));
        assert_eq!(vigil.look(Sign::new(1, 1, true), us(10)), Next::LookSoon);
        // The first was run by its caller between two looks.
        assert_eq!(vigil.look(Sign::new(2, 1, true), us(13)), Next::LookSoon);
        assert_eq!(vigil.look(Sign::new(2, 1, true), us(14)), Next::LookSoon);
        assert_eq!(vigil.look(Sign::new(2, 1, true), us(15)), Next::Claim);
    }

    #[test]
    fn whatever_else_waits_is_taken_at_once() {
        assert_eq!(vigil(Sign::new(0, 0, false)).look(Sign::new(2, 2, false), us(1)), Next::Claim);
        assert_eq!(vigil(Sign::new(0, 0, false)).look(Sign::new(0, 1, false), us(1)), Next::Claim);
    }

    #[test]
    fn a_woken_worker_takes_what_it_was_woken_for() {
        let lone = Sign::new(7, 1, true);
        assert_eq!(Vigil::new(SPIN, true, lone, us(50)).look(lone, us(50)), Next::Claim);
        let mut vigil = Vigil::new(SPIN, true, Sign::new(7, 0, false), us(50));
        assert_eq!(vigil.look(Sign::new(8, 1, true), us(51)), Next::LookSoon);
    }

    #[test]
    fn it_sleeps_after_its_last_sign_of_life() {
        let idle = Sign::new(3, 0, false);
        let mut vigil = vigil(idle);
        assert_eq!(vigil.look(idle, us(1)), Next::Look);
        assert_eq!(vigil.look(idle, us(100)), Next::Look);
        // One came and its caller ran it.
        assert_eq!(vigil.look(Sign::new(4, 0, false), us(100)), Next::Look);
        assert_eq!(vigil.look(Sign::new(4, 0, false), us(199)), Next::Look);
        assert_eq!(vigil.look(Sign::new(4, 0, false), us(200)), Next::Park);
    }
}
