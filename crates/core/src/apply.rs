//! What a transition decided, done after the lock is released: wake-ups, endings, rings.

use crate::cores;
use crate::runtime::Shared;
use crate::state::Effects;
use crate::sync::{Arc, Ordering};

impl Shared {
    /// By reference: the effects are large, and most transitions have few.
    #[inline]
    pub(crate) fn apply(self: &Arc<Self>, fx: &mut Effects) {
        if !fx.is_idle() {
            self.carry_out(fx);
        }
    }

    fn carry_out(self: &Arc<Self>, fx: &mut Effects) {
        if !fx.wake.is_empty() && !self.spin.is_zero() {
            self.waker.store(cores::current(), Ordering::Relaxed);
        }
        for lane in fx.wake.drain(..) {
            cores::steer(&self.spots, lane);
            self.lane_bells[lane].notify_one();
        }
        let mut rare = fx.take_rare();
        if let Some(rare) = &mut rare {
            for slot in rare.admits.drain(..) {
                slot.announce();
            }
            if let Some(lane) = rare.late.take() {
                cores::drive_away(&self.spots[lane]);
            }
            for (slot, error) in rare.refusals.drain(..) {
                slot.refuse(error);
            }
        }
        for (slot, outcome, timing) in fx.fills.drain(..) {
            slot.fill(outcome, timing);
        }
        for slot in rare.iter_mut().flat_map(|rare| rare.grants.drain(..)) {
            slot.wake_granted();
        }
        if fx.deliver {
            self.delivery_bell.notify_all();
        }
        if fx.pulls {
            self.pull_bell.notify_all();
        }
        for (bell, number) in rare.iter_mut().flat_map(|rare| rare.rings.drain(..)) {
            bell.ring(number);
        }
        if fx.settled {
            self.settled_bell.notify_all();
        }
        if let Some(at) = fx.arm {
            self.arm(at);
        }
    }
}
