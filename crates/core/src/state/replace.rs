//! A request in the place of others: they end as it is admitted, or go on when it is refused.

use super::admit::{full, too_late};
use super::{Effects, Manner, Phase, State};
use crate::admission::{self, Decision, Overflow};
use crate::error::{DropReason, Error};
use crate::request::{Request, Time};
use crate::slot::SlotRef;

impl State {
    /// Ends `old` as dropped for `reason` and offers the request, or neither.
    pub(crate) fn replace(
        &mut self,
        old: &[SlotRef],
        reason: DropReason,
        request: &mut Request,
        manner: Manner,
        now: Time,
        fx: &mut Effects,
    ) -> Result<SlotRef, Error> {
        if let Some(error) = self.refusal_without(old, request, &manner, now) {
            return Err(self.turn_away(manner, error, fx));
        }
        if self.is_admitting(manner.flow) {
            for slot in old {
                self.drop_request(slot, reason, now, fx);
            }
        }
        self.offer(request, manner, now, fx)
    }

    /// What would refuse the request for want of room even if `old` were not there.
    fn refusal_without(
        &self,
        old: &[SlotRef],
        request: &Request,
        manner: &Manner,
        now: Time,
    ) -> Option<Error> {
        let flow = self.flows.get(manner.flow).filter(|_| self.is_admitting(manner.flow))?;
        let mut load = self.load(flow);
        for slot in old {
            let Some(entry) = self.entry(slot.index, slot.id) else { continue };
            match entry.ticket {
                Some(_) if entry.urgent => {}
                Some(_) => load.waiting -= 1,
                None => load.line -= 1,
            }
            // Each that ends may have to be told.
            load.notices += usize::from(self.config.tell_drops || entry.callback);
        }
        match admission::decide(flow.config.overflow, load, manner.patience) {
            Decision::Refuse => Some(full(load)),
            Decision::Line if request.deadline.is_some_and(|deadline| deadline <= now) => Some(too_late()),
            _ => None,
        }
    }

    /// True while the flow takes requests.
    fn is_admitting(&self, flow: usize) -> bool {
        self.phase == Phase::Open && self.flows.get(flow).is_some_and(|flow| flow.open)
    }

    /// True when a caller that is willing to may wait for room in the flow.
    pub(crate) fn lets_wait(&self, flow: usize) -> bool {
        self.flows.get(flow).is_some_and(|flow| flow.config.overflow != Overflow::Raise)
    }
}
