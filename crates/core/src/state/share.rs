//! How the lanes of a session with batching share the rows that wait.

use super::join::{Choice, Company, Lead};
use super::lane::Part;
use super::{Effects, State};
use crate::batch::{Advice, Lanes, Limits, Reason};
use crate::request::Time;
use crate::work::Work;

impl State {
    /// The lanes among which a group's rows are shared: free ones, those that run rows of it, and the one that is
    /// taking its rows now, whose own do not count.
    pub(super) fn sharers(&self, key: u64, taking: Option<usize>) -> Lanes {
        let mut lanes = Lanes { count: 0, running: 0 };
        for (number, lane) in self.lanes.iter().enumerate() {
            let alike = lane.running.first().and_then(|one| one.group).is_some_and(|group| group.key == key);
            if taking == Some(number) || (!lane.busy && lane.is_driven() && !lane.gone) {
                lanes.count += 1;
            } else if lane.busy && alike && !lane.hung {
                lanes.count += 1;
                lanes.running += lane.rows();
            }
        }
        lanes
    }

    /// Whether the choice is worth another lane beside those that are on their way.
    pub(super) fn needs_another(&self, choice: &Choice, coming: usize) -> bool {
        let group = self.entries[choice.index].as_ref().and_then(|entry| entry.group);
        let Some((key, (limits, advice))) = group.and_then(|group| Some((group.key, self.advice(group.key)?)))
        else {
            return false;
        };
        let coming = u32::try_from(coming).unwrap_or(u32::MAX);
        matches!(advice, Advice::Join { .. })
            && advice.needs_another(&limits, choice.rows, coming, self.sharers(key, None))
    }

    fn advice(&self, key: u64) -> Option<(Limits, Advice)> {
        let batcher = self.batcher.as_ref()?;
        Some((batcher.limits, batcher.learner.advice(key, &batcher.limits)))
    }

    /// So many rows are there while this lane and its like run.
    fn note_part(&mut self, key: u64, taking: usize, all: u32, lanes: u32) {
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let alike = lane.running.first().and_then(|one| one.group).is_some_and(|group| group.key == key);
            if number == taking {
                lane.part = Part { rows: all, lanes };
            } else if alike && lane.part.rows > 0 {
                lane.part.rows = lane.part.rows.max(all);
            }
        }
    }

    /// Starts those that may join the lead, as many as are the lane's share; the reason of the run.
    pub(super) fn join(
        &mut self,
        lead: &Lead,
        work: &mut Work,
        reason: Reason,
        now: Time,
        fx: &mut Effects,
    ) -> Reason {
        let Some((limits, advice)) = self.advice(lead.key) else { return reason };
        let lanes = self.sharers(lead.key, Some(work.lane));
        let mut rows = self.lanes[work.lane].rows();
        let mut share = None;
        // Those in the line for room move up as others start, so it is looked again.
        let left = loop {
            let mut company = Company::new(self.nobody(now));
            company.waiting.rows = rows;
            self.gather(lead, &mut company, now);
            let there = company.waiting.rows;
            // Beyond a full batch it is not looked who is alike.
            let queued = if there < limits.max_size { 0 } else { u32::try_from(self.waiting()).unwrap_or(u32::MAX) };
            let share = *share.get_or_insert_with(|| advice.share(&limits, there.max(queued), lanes));
            let before = rows;
            for index in company.members {
                if rows >= share || !self.start(index, work, now, fx) {
                    break;
                }
                rows = self.lanes[work.lane].rows();
            }
            if rows == before || rows >= share {
                break there - rows;
            }
        };
        let all = rows.saturating_add(left).saturating_add(lanes.running);
        self.note_part(lead.key, work.lane, all, advice.parts(&limits, rows, all, lanes));
        match reason {
            _ if left > 0 => Reason::Shared,
            // A thread that came for its own request may have found a full batch.
            Reason::Idle if rows >= limits.max_size => Reason::Full,
            _ => reason,
        }
    }
}
