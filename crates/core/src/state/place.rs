//! Lanes on different cores: which lane a request gets, and which request a lane gets.

use super::{Effects, State};
use crate::placement::Placement;
use crate::request::Ticket;
use crate::schedule::Item;
use crate::sync::Arc;

impl State {
    /// True when a lane takes only the requests of its core.
    fn pinned(&self) -> Option<&Arc<Placement>> {
        self.config.placement.as_ref().filter(|placement| placement.is_pinned())
    }

    /// The free lane for the request with this ticket.
    #[cold]
    pub(super) fn placed_lane(&self, placement: &Placement, ticket: Ticket) -> Option<usize> {
        let free = |lane: &usize| !self.lanes[*lane].busy && placement.fits(*lane, ticket);
        placement.choose((0..self.lanes.len()).filter(free), |lane| self.had(lane))
    }

    /// Runs of a lane, the one under way included.
    fn had(&self, lane: usize) -> u64 {
        self.lanes[lane].runs + u64::from(self.lanes[lane].busy)
    }

    /// The request that goes next on a lane, and its flow.
    #[inline]
    pub(super) fn peek_on(&self, lane: usize) -> Option<(usize, Item)> {
        match self.pinned() {
            None => self.peek(),
            Some(placement) => self.peek_pinned(placement, lane),
        }
    }

    /// The first request of the lane's core: those of other cores are passed, or one busy core would idle the others.
    #[cold]
    fn peek_pinned(&self, placement: &Placement, lane: usize) -> Option<(usize, Item)> {
        let flows = self.flows.len();
        let turns = (1..=flows).map(|turn| (self.last_flow + turn) % flows);
        let mut best: Option<(usize, Item)> = None;
        for number in turns {
            let flow = &self.flows[number];
            let suits = |item: &Item| placement.fits(lane, item.ticket) && self.may_pass(flow, item);
            let found = match self.gated(number) {
                true => self.awaited(number).filter(|item| placement.fits(lane, item.ticket)),
                false => flow.queue.find(suits),
            };
            if let Some(item) = found
                && best.is_none_or(|(_, other)| item.priority > other.priority)
            {
                best = Some((number, item));
            }
        }
        best
    }

    /// The first urgent request that may start on a lane.
    #[inline]
    pub(super) fn urgent_on(&self, lane: usize) -> Option<usize> {
        if self.urgent.is_empty() {
            return None;
        }
        match self.pinned() {
            None => self.urgent_next(),
            Some(placement) => self.urgent.iter().copied().find(|index| {
                let item = self.entries[*index].as_ref().and_then(|entry| State::item(entry, *index));
                item.is_some_and(|item| self.may_start(&item) && placement.fits(lane, item.ticket))
            }),
        }
    }

    /// Wakes sleeping workers: those for whose core something waits, or as many as there is work for, in the order in
    /// which their cores are due.
    #[cold]
    pub(super) fn kick_placed(&mut self, fx: &mut Effects) {
        let Some(placement) = self.config.placement.clone() else { return };
        let sleeps = |state: &State, lane: usize| {
            let slot = &state.lanes[lane];
            slot.parked && !slot.busy && !slot.gone
        };
        let mut wake = |state: &mut State, lane: usize| {
            state.lanes[lane].parked = false;
            state.lanes[lane].waking = true;
            fx.wake.push(lane);
        };
        if placement.is_pinned() {
            for lane in 0..self.lanes.len() {
                if sleeps(self, lane) && (self.urgent_on(lane).is_some() || self.peek_on(lane).is_some()) {
                    wake(self, lane);
                }
            }
            return;
        }
        if self.urgent_next().is_none() && self.peek().is_none() {
            return;
        }
        let waking = self.lanes.iter().filter(|lane| lane.waking && !lane.busy).count();
        for _ in 0..self.waiting().saturating_sub(waking) {
            let due = (0..self.lanes.len()).filter(|&lane| sleeps(self, lane));
            let Some(lane) =
                placement.choose(due, |lane| self.had(lane) + u64::from(self.lanes[lane].waking))
            else {
                return;
            };
            wake(self, lane);
        }
    }
}
