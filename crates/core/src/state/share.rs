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
        let Some((key, (limits, advice))) =
            group.and_then(|group| Some((group.key, self.advice(group.key)?)))
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

    /// The most rows of a group that were there at once while a lane ran, whose run has just ended.
    pub(super) fn there_at_once(&self, lane: usize, now: Time) -> u32 {
        let slot = &self.lanes[lane];
        let Some(one) = slot.running.first().filter(|_| self.lanes.len() > 1) else { return slot.part.rows };
        let Some(lead) = self.lead_like(one) else { return slot.part.rows };
        let mut company = Company::new(self.nobody(now));
        self.gather(&lead, &mut company, now);
        // A client hands its rows in one by one: some come only when the run has begun.
        let all = slot.rows().saturating_add(company.waiting.rows);
        slot.part.rows.max(all.saturating_add(self.sharers(lead.key, None).running))
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
        // Those in the line for room move up as others start, so it is looked again.
        let left = 'look: loop {
            let mut company = Company::new(self.nobody(now));
            company.waiting.rows = rows;
            self.gather(lead, &mut company, now);
            let there = company.waiting.rows;
            // Beyond a full batch it is not looked who is alike.
            let waiting = if there < limits.max_size { 0 } else { self.waiting() };
            let queued = rows.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
            let share = advice.share(&limits, there.max(queued), lanes);
            if rows >= share || company.members.is_empty() {
                break there - rows;
            }
            for index in company.members {
                if rows >= share {
                    break;
                }
                if !self.start(index, work, now, fx) {
                    break 'look 0;
                }
                rows = self.lanes[work.lane].rows();
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Job;
    use crate::request::{Group, Inputs, Request, Wanted};
    use crate::state::{Config, FlowConfig, Manner, Turn};
    use crate::value::Values;

    /// Two lanes whose workers sleep, on a session that knows that eight rows come at a time.
    fn asleep() -> State {
        let limits = Limits { max_size: 8, max_delay: Duration::from_secs(1) };
        let flow = FlowConfig { queue_depth: 99, ..Config::default().flow };
        let config = Config { workers: 2, batching: Some(limits), flow, ..Config::default() };
        let mut state = State::new(config, vec![None, None]);
        for rows in [8; 8].into_iter().chain([1; 8]) {
            submit(&mut state, rows);
            run(&mut state, 0, rows as usize);
        }
        // The ninth run would look whether more come by now.
        submit(&mut state, 8);
        (0..2).for_each(|lane| run(&mut state, lane, 4));
        assert!((0..2).all(|lane| take(&mut state, lane).is_none()));
        state
    }

    /// Which workers so many rows wake.
    fn submit(state: &mut State, rows: u32) -> Vec<usize> {
        let mut fx = Effects::default();
        for _ in 0..rows {
            let group = Some(Group { key: 1, rows: 1 });
            let feeds = Inputs::Feeds(Values::new());
            let mut request = Request { group, ..Request::new(feeds, Wanted::All) };
            let now = state.latest;
            assert!(state.offer(&mut request, Manner::default(), now, &mut fx).is_ok());
        }
        fx.wake.to_vec()
    }

    fn take(state: &mut State, lane: usize) -> Option<Work> {
        match state.turn(lane, true, state.latest, &mut Effects::default()) {
            Turn::Work(work) => Some(work),
            Turn::Park | Turn::Leave => None,
        }
    }

    /// However many rows, a run takes as long.
    fn finish(state: &mut State, mut work: Work) {
        work.jobs.iter_mut().for_each(|job: &mut Job| job.result = Some(Ok(Values::new())));
        state.latest += Duration::from_millis(1);
        state.complete(work, state.latest, &mut Effects::default());
    }

    fn run(state: &mut State, lane: usize, jobs: usize) {
        let work = take(state, lane).expect("work");
        assert_eq!(work.jobs.len(), jobs);
        finish(state, work);
    }

    #[test]
    fn each_lane_is_woken_for_its_share_and_for_nothing_less() {
        let mut state = asleep();
        assert_eq!(submit(&mut state, 3), [] as [usize; 0], "they wait for others");
        assert_eq!(submit(&mut state, 1), [0]);
        assert_eq!(
            submit(&mut state, 3),
            [] as [usize; 0],
            "the first is on its way, and these wait for one more"
        );
        assert_eq!(submit(&mut state, 1), [1], "without the first having come");
        assert_eq!(submit(&mut state, 3), [] as [usize; 0]);
        run(&mut state, 1, 6);
        assert_eq!(state.waiting(), 5, "eleven are shared, too");
    }

    #[test]
    fn the_rest_is_for_the_other_lane() {
        let mut state = asleep();
        submit(&mut state, 8);
        let first = take(&mut state, 0).expect("its share");
        let second = take(&mut state, 1).expect("the rest");
        assert_eq!((first.jobs.len(), second.jobs.len(), state.waiting()), (4, 4, 0));
        finish(&mut state, first);
        finish(&mut state, second);
        assert!(!state.lanes.iter().any(|lane| lane.busy));
    }

    #[test]
    fn nobody_waits_for_those_who_run() {
        let mut state = asleep();
        submit(&mut state, 8);
        let first = take(&mut state, 0).expect("its share");
        run(&mut state, 1, 4);
        assert!(take(&mut state, 1).is_none());
        assert_eq!(submit(&mut state, 4), [1], "eight come at a time, and four of them run");
        run(&mut state, 1, 4);
        finish(&mut state, first);
    }

    #[test]
    fn a_lane_that_has_less_than_its_share_gets_it_back() {
        let mut state = asleep();
        submit(&mut state, 4);
        let mut work = take(&mut state, 0).expect("work");
        // One of its four rows is all that is left of it.
        work.jobs.truncate(1);
        state.lanes[0].running.truncate(1);
        submit(&mut state, 7);
        run(&mut state, 1, 4);
        finish(&mut state, work);
        assert_eq!(state.waiting(), 3, "not seven for one lane and one for the other");
    }

    #[test]
    fn lanes_that_run_something_else_get_no_share() {
        let mut state = asleep();
        let mut other = Request::new(Inputs::Feeds(Values::new()), Wanted::All);
        let manner = Manner::default();
        assert!(state.offer(&mut other, manner, Time::ZERO, &mut Effects::default()).is_ok());
        let long = take(&mut state, 1).expect("what cannot be joined");
        submit(&mut state, 8);
        run(&mut state, 0, 8);
        finish(&mut state, long);
    }
}
