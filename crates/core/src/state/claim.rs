//! Threads that wait for their own requests: they may run them, get a lane handed over, or have them go ahead.

use smallvec::SmallVec;

use super::{Effects, State};
use crate::request::Time;
use crate::schedule::Item;
use crate::slot::Slot;
use crate::sync::Arc;
use crate::work::Work;

impl State {
    /// Gives a callers' lane to the first waiting request whose own thread is parked on it.
    pub(super) fn grant(&mut self, lane: usize, now: Time, fx: &mut Effects) -> bool {
        let parked = |index: usize| {
            let entry = self.entries[index].as_ref();
            entry.is_some_and(|entry| entry.caller && entry.deadline.is_none_or(|at| at > now))
        };
        let urgent = self.urgent_next().filter(|index| parked(*index));
        let found = urgent.or_else(|| self.for_any_lane(parked));
        let Some(index) = found else { return false };
        let Some(slot) = self.entries[index].as_ref().map(|entry| Arc::clone(&entry.slot)) else {
            return false;
        };
        let Some(work) = self.start_out_of_turn(index, lane, now, fx) else { return false };
        slot.grant(work);
        fx.rare().grants.push(slot);
        true
    }

    /// Puts a request on a free lane for the thread that waits for it.
    #[inline]
    fn start_out_of_turn(&mut self, index: usize, lane: usize, now: Time, fx: &mut Effects) -> Option<Work> {
        if self.batcher.is_some() {
            return self.launch(index, lane, self.reason_out_of_turn(index), now, fx);
        }
        let mut work = self.occupy(lane, now);
        if !self.start(index, &mut work, now, fx) {
            self.vacate(work);
            return None;
        }
        self.watch(lane, now, fx);
        Some(work)
    }

    /// Lets the thread that waits for a request run it on the spot: when it is next and a lane is free, or,
    /// on the delivery thread (`ahead`), whenever a lane is free. Otherwise notes that the thread will park.
    pub(crate) fn claim(
        &mut self,
        slot: &Arc<Slot>,
        ahead: bool,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Work> {
        let index = slot.index;
        let entry = self.entry(index, slot.id)?;
        let item = State::item(entry, index)?;
        let any = entry.any_lane || ahead;
        let expired = entry.deadline.is_some_and(|at| at <= now);
        let lane = self.free_lane(any, item.ticket);
        let next = match entry.urgent {
            true => lane.and_then(|lane| self.urgent_on(lane)) == Some(index),
            false if ahead => self.may_pass(&self.flows[entry.flow], &item),
            false => {
                self.urgent.is_empty()
                    && lane.and_then(|lane| self.peek_on(lane)).is_some_and(|(_, next)| next == item)
            }
        };
        if let Some(lane) = lane.filter(|_| next && !expired) {
            let work = self.start_out_of_turn(index, lane, now, fx)?;
            self.kick(now, fx);
            return Some(work);
        }
        if ahead {
            self.hurry(&item, fx);
        }
        self.end_head_start(index);
        if let Some(entry) = self.entries[index].as_mut() {
            self.callers += usize::from(!entry.caller);
            entry.caller = true;
        }
        // A lane for callers may be free although it is not this request's turn on the workers' lanes.
        self.kick(now, fx);
        None
    }

    /// Makes a request that waits urgent: the delivery thread waits for it.
    pub(crate) fn hurry_slot(&mut self, slot: &Slot, now: Time, fx: &mut Effects) {
        let item = self.entry(slot.index, slot.id).and_then(|entry| State::item(entry, slot.index));
        if let Some(item) = item {
            self.hurry(&item, fx);
            self.kick(now, fx);
        }
    }

    /// Makes a request urgent, and before it those that it may not pass.
    fn hurry(&mut self, item: &Item, fx: &mut Effects) {
        let Some(entry) = self.entries[item.index].as_ref().filter(|entry| !entry.urgent) else { return };
        let flow = entry.flow;
        let party: SmallVec<[usize; 4]> = match self.keeps_order(item) {
            false => SmallVec::from_iter([item.index]),
            true => {
                let before = self.flows[flow].queue.party(item).filter(|other| other.ticket <= item.ticket);
                before.map(|other| other.index).collect()
            }
        };
        for index in party {
            self.unqueue(index);
            if let Some(entry) = self.entries[index].as_mut() {
                entry.urgent = true;
                self.urgent.push_back(index);
            }
        }
        self.move_line(flow, fx);
    }

    /// The thread that parked on a request has left.
    pub(crate) fn unclaim(&mut self, slot: &Slot) {
        let (index, id) = (slot.index, slot.id);
        if let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut).filter(|e| e.id == id) {
            self.callers -= usize::from(entry.caller);
            entry.caller = false;
        }
    }
}
