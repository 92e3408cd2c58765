//! Random transitions: nobody sleeps beside what it could do, the timer is told in time, and of what has ended
//! nothing is left.

mod ops;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Aim, Config, Delivery, Effects, FlowConfig, Manner, Output, Pulled, State, Turn};
use crate::admission::Overflow;
use crate::batch::Limits;
use crate::placement::Placement;
use crate::request::{Group, Inputs, Request, StreamKey, Time, Wanted};
use crate::slot::SlotRef;
use crate::value::Values;
use crate::work::Work;

use ops::{New, Op, configs, ops};

/// The flow whose outcomes are pulled.
const PULLED: usize = 2;

/// What those who sleep wait for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Over {
    quiet: bool,
    left: bool,
    told: bool,
}

/// The state, and the threads around it.
struct Walk {
    state: State,
    now: Time,
    slots: Vec<SlotRef>,
    works: Vec<Option<Work>>,
    collected: Vec<Delivery>,
    /// When the timer looks.
    alarms: BTreeSet<Time>,
    /// A thread sleeps until there is something to pull.
    pulling: bool,
    /// Requests whose threads wait for them, and would run them.
    parked: BTreeSet<u64>,
    /// Workers that have left.
    left: BTreeSet<usize>,
}

impl Walk {
    fn new(config: Config, staffed: bool) -> Self {
        let lanes = config.workers + config.caller_lanes;
        let first_for_callers = config.workers;
        let mut state = State::new(config, (0..lanes).map(|_| None).collect());
        for (depth, pulled) in [(2, false), (2, true)] {
            let flow = FlowConfig { queue_depth: depth, overflow: Overflow::DropOldest };
            state.open_flow(flow, pulled).expect("open");
        }
        if staffed && lanes > first_for_callers {
            assert!(state.staff(first_for_callers));
        }
        Walk {
            state,
            now: Time::ZERO,
            slots: Vec::new(),
            works: (0..lanes).map(|_| None).collect(),
            collected: Vec::new(),
            alarms: BTreeSet::new(),
            pulling: false,
            parked: BTreeSet::new(),
            left: BTreeSet::new(),
        }
    }

    fn over(&self) -> Over {
        Over { quiet: self.state.quiet(), left: self.state.left(), told: self.state.all_told() }
    }

    /// One transition, what it left to be done, and a look at everybody.
    fn act<R>(&mut self, transition: impl FnOnce(&mut State, Time, &mut Effects) -> R) -> R {
        let mut fx = Effects::default();
        let before = self.over();
        let asleep = self.asleep();
        let result = transition(&mut self.state, self.now, &mut fx);
        let settled = fx.settled;
        let woken = asleep.difference(&self.asleep()).copied().collect::<BTreeSet<usize>>();
        assert_eq!(fx.wake.iter().copied().collect::<BTreeSet<usize>>(), woken, "who is woken comes");
        self.carry_out(fx);
        let Over { quiet, left, told } = self.over();
        if self.state.phase > super::Phase::Open {
            let news = (quiet && !before.quiet) || (left && !before.left) || (told && !before.told);
            assert!(settled || !news, "who closes would sleep on");
        }
        assert!(self.state.counters.conserved());
        self.nothing_is_over_too_soon();
        self.everybody_is_told();
        self.nobody_sleeps_beside_work();
        result
    }

    fn asleep(&self) -> BTreeSet<usize> {
        (0..self.works.len()).filter(|lane| self.state.lanes[*lane].parked).collect()
    }

    fn carry_out(&mut self, mut fx: Effects) {
        self.alarms.extend(fx.arm.take());
        if fx.deliver {
            self.state.listening = false;
        }
        self.pulling &= !fx.pulls;
        let rare = fx.take_rare();
        fx.fills.drain(..).for_each(|(slot, outcome, timing)| slot.fill(outcome, timing));
        let Some(mut rare) = rare else { return };
        rare.refusals.drain(..).for_each(|(slot, error)| slot.refuse(error));
        for slot in rare.grants.drain(..) {
            assert!(self.parked.remove(&slot.id), "nobody would run it");
            let work = slot.take_grant().expect("granted");
            self.takes(work);
        }
    }

    fn takes(&mut self, work: Work) {
        let lane = work.lane;
        assert!(self.works[lane].replace(work).is_none(), "one at a time on a lane");
    }

    /// Whoever closes believes what the state says is over.
    fn nothing_is_over_too_soon(&self) {
        let Over { quiet, left, told } = self.over();
        let hung = self.state.config.run_timeout.is_some();
        assert!(!quiet || self.state.waiting() == 0);
        assert!(!quiet || hung || self.works.iter().all(Option::is_none), "a lane is at work");
        assert!(!told || (self.collected.is_empty() && self.state.due() == 0), "callbacks are to be called");
        assert!(!self.state.deaf || self.state.due() == 0, "the delivery thread has left");
        // The last to leave has left when the state is looked at, and is noted a moment later.
        let driven = self.state.lanes.iter().filter(|lane| lane.is_driven()).count();
        assert!(!left || hung || self.left.len() + 1 >= driven, "a worker has not left");
    }

    /// The timer, the delivery thread and who pulls.
    fn everybody_is_told(&mut self) {
        let window = self.state.batcher.as_ref().and_then(|batcher| batcher.window);
        let due = self.state.deadlines.next().into_iter().chain(window).min();
        let told = self.alarms.first();
        assert!(
            due.is_none_or(|at| told.is_some_and(|told| *told <= at)),
            "{due:?}, the timer knows {told:?}"
        );
        let news = !self.state.ready.is_empty() || self.state.delivery_over();
        assert!(!(self.state.listening && news), "the delivery thread would sleep on");
        assert!(!(self.pulling && self.state.has_news(PULLED)), "who pulls would sleep on");
    }

    /// A thread that sleeps has nothing that it could run, but for what others come for.
    fn nobody_sleeps_beside_work(&mut self) {
        let state = &self.state;
        let hung = state.config.run_timeout.is_some() && state.lanes.iter().all(|lane| lane.hung);
        assert!(!hung || state.waiting() == 0, "nobody will ever run it");
        let waking = state.lanes.iter().filter(|lane| lane.waking && !lane.busy).count();
        let pinned = state.config.placement.as_ref().is_some_and(|placement| placement.is_pinned());
        if state.waiting() <= waking && !pinned {
            return;
        }
        let asleep: Vec<usize> = (0..state.lanes.len())
            .filter(|lane| state.lanes[*lane].parked && !state.lanes[*lane].busy && !state.lanes[*lane].gone)
            .collect();
        if state.batcher.is_some() {
            let mut fx = Effects::default();
            let workers = asleep.iter().any(|lane| state.lanes[*lane].worker);
            assert!(!(workers && waking == 0 && self.state.releasable(0, self.now, &mut fx)), "nobody comes");
            return self.alarms.extend(fx.arm);
        }
        for lane in asleep {
            let found = match state.lanes[lane].worker {
                true => state.urgent_on(lane).is_some() || state.peek_on(lane).is_some(),
                false => state.urgent_next().is_some() || state.for_any_lane(|_| true).is_some(),
            };
            assert!(!found, "lane {lane} sleeps, and {} wait", state.waiting());
        }
        for lane in 0..self.works.len() {
            let slot = &self.state.lanes[lane];
            if !slot.worker && !slot.busy && !slot.gone && self.state.callers > 0 {
                let granted = self.state.grant(lane, self.now, &mut Effects::default());
                assert!(!granted, "a thread sleeps beside lane {lane}");
            }
        }
    }

    fn submit(&mut self, new: &New) {
        let mut request = Request::new(Inputs::Feeds(Values::new()), Wanted::All);
        request.priority = new.priority;
        request.stream = new.key.map(StreamKey::Int);
        request.deadline = new.deadline.map(|after| self.now + Time::from_millis(after));
        request.group = new.group.map(|(key, rows)| Group { key, rows });
        let manner = Manner {
            flow: new.flow,
            patience: new.patience,
            room_for: new.room.map(Time::from_millis),
            callback: new.callback.then(|| Box::new(()) as crate::slot::Tag),
            any_lane: new.any_lane,
            urgent: new.urgent && new.flow == 0,
            head_start: new.head_start,
            ..Manner::default()
        };
        let slot = self.act(|state, now, fx| state.offer(&mut request, manner, now, fx));
        self.slots.extend(slot.ok());
    }

    fn begin(&mut self, key: Option<i64>, ahead: bool, deadline: Option<u64>) {
        let mut request = Request::new(Inputs::Feeds(Values::new()), Wanted::All);
        request.stream = key.map(StreamKey::Int);
        request.deadline = deadline.map(|after| self.now + Time::from_millis(after));
        if let Some(work) = self.act(|state, now, fx| state.begin(&mut request, ahead, now, fx)) {
            self.takes(work);
        }
    }

    fn turn(&mut self, lane: usize) {
        let slot = &self.state.lanes[lane];
        if !slot.is_driven() || slot.gone || slot.parked {
            return;
        }
        match self.act(|state, now, fx| state.turn(lane, true, now, fx)) {
            Turn::Work(work) => self.takes(work),
            Turn::Park => {}
            Turn::Leave => drop(self.left.insert(lane)),
        }
    }

    fn complete(&mut self, lane: usize, well: bool) {
        let Some(mut work) = self.works[lane].take() else { return };
        work.jobs.iter_mut().filter(|_| well).for_each(|job| job.result = Some(Ok(Values::new())));
        self.act(|state, now, fx| state.complete(work, now, fx));
    }

    fn claim(&mut self, slot: &SlotRef, ahead: bool) {
        if slot.is_ended() {
            return;
        }
        self.parked.insert(slot.id);
        if let Some(work) = self.act(|state, now, fx| state.claim(slot, ahead, now, fx)) {
            self.parked.remove(&slot.id);
            self.takes(work);
        }
    }

    fn advance(&mut self, millis: u64) {
        self.now += Time::from_millis(millis);
        while let Some(at) = self.alarms.first().copied().filter(|at| *at <= self.now) {
            self.alarms.remove(&at);
            let mut next = None;
            // The timer is told before anybody looks whether it was.
            self.act(|state, now, fx| {
                next = state.expire(now, fx);
                fx.arm = next;
            });
        }
    }

    fn collect(&mut self, most: usize) {
        self.state.deaf |= self.state.delivery_over();
        self.state.listening = self.state.ready.is_empty() && !self.state.deaf;
        self.state.take_ready(most, &mut self.collected);
    }

    fn returned(&mut self) {
        if !self.collected.is_empty() {
            let delivery = self.collected.remove(0);
            self.act(|state, now, fx| state.delivered(&delivery, false, now, fx));
        }
    }

    /// False when everything was pulled.
    fn pull(&mut self) -> bool {
        let pulled = self.act(|state, now, fx| state.pull(PULLED, now, fx));
        self.pulling |= matches!(pulled, Pulled::Nothing);
        matches!(pulled, Pulled::Output(Output::Item(_) | Output::Gap(_)))
    }

    fn apply(&mut self, op: &Op) {
        let lanes = self.works.len();
        let slot = |at: &Index| {
            (!self.slots.is_empty()).then(|| Arc::clone(&self.slots[at.index(self.slots.len())]))
        };
        match op {
            Op::Submit(new) => self.submit(new),
            Op::Begin(key, ahead, deadline) => self.begin(*key, *ahead, *deadline),
            Op::Turn(lane) => self.turn(lane % lanes),
            Op::Complete(lane, well) => self.complete(lane % lanes, *well),
            Op::Advance(millis) => self.advance(*millis),
            Op::Collect(most) => self.collect(*most),
            Op::Returned => self.returned(),
            Op::Pull => drop(self.pull()),
            Op::CloseFlow(flow) => self.act(|state, _, fx| state.close_flow(*flow, fx)),
            Op::DrainFlow => self.act(|state, now, fx| {
                state.close_flow(PULLED, fx);
                state.discard_flow(PULLED, now, fx);
            }),
            Op::StopFlow => self.act(|state, now, fx| state.stop_flow(PULLED, now, fx)),
            Op::CancelAll => drop(self.act(|state, now, fx| state.cancel_all(Aim::All, now, fx))),
            Op::Close(drain) => self.act(|state, now, fx| state.begin_close(*drain, now, fx)),
            Op::Cancel(at)
            | Op::Attach(at)
            | Op::Claim(at, _)
            | Op::Unclaim(at)
            | Op::Await(at)
            | Op::Hurry(at) => {
                let Some(slot) = slot(at) else { return };
                match op {
                    Op::Attach(_) => drop(self.act(|state, _, _| state.attach(&slot, Box::new(())))),
                    Op::Claim(_, ahead) => self.claim(&slot, *ahead),
                    Op::Unclaim(_) => {
                        self.parked.remove(&slot.id);
                        self.act(|state, _, _| state.unclaim(&slot));
                    }
                    Op::Hurry(_) => self.act(|state, now, fx| state.hurry_slot(&slot, now, fx)),
                    Op::Await(_) => self.act(|state, now, fx| state.await_slot(&slot, now, fx)),
                    _ => drop(self.act(|state, now, fx| state.cancel(&slot, now, fx))),
                }
            }
        }
    }

    /// Closes; whoever is awake does what there is, and that is all.
    fn finish(mut self, drain: bool) {
        self.apply(&Op::Close(drain));
        for _ in 0..1_000 {
            (0..self.works.len()).for_each(|lane| self.turn(lane));
            (0..self.works.len()).for_each(|lane| self.complete(lane, true));
            self.collect(9);
            self.returned();
            while self.pull() {}
        }
        if self.state.config.run_timeout.is_some() {
            // Lanes that are to be looked at.
            self.advance(1_000);
        }
        let state = &self.state;
        assert!(self.slots.iter().all(|slot| slot.is_ended()));
        assert_eq!(self.over(), Over { quiet: true, left: true, told: true });
        assert!(state.delivery_over() && state.flow_is_empty(PULLED));
        assert_eq!((state.deadlines.next(), state.consumers.held()), (None, 0));
        assert!(state.entries.iter().all(Option::is_none) && state.urgent.is_empty());
        assert_eq!(state.free.len(), state.entries.len(), "each place is free once");
        assert_eq!((state.callers, state.leads, state.notices, state.told), (0, 0, 0, 0));
        let flows = state.flows.iter();
        assert!(
            flows
                .map(|flow| flow.undelivered + flow.notices + flow.line.len() + flow.queue.len())
                .all(|n| n == 0)
        );
        assert_eq!(state.counters.undelivered, 0);
        assert!(state.keys.none_live());
    }
}

fn walk(config: Config, staffed: bool, ops: &[Op], drain: bool) {
    let mut walk = Walk::new(config, staffed);
    ops.iter().for_each(|op| walk.apply(op));
    walk.finish(drain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn on_equal_lanes(config in configs(), staffed in any::<bool>(), ops in ops(), drain in any::<bool>()) {
        walk(config, staffed, &ops, drain);
    }

    #[test]
    fn in_batches(config in configs(), size in 1..5_u32, delay in 0..8_u64, ops in ops(), drain in any::<bool>()) {
        let limits = Limits { max_size: size, max_delay: Time::from_millis(delay) };
        walk(Config { batching: Some(limits), max_batch: 1, ..config }, false, &ops, drain);
    }

    #[test]
    fn on_different_cores(config in configs(), pinned in any::<bool>(), ops in ops(), drain in any::<bool>()) {
        let placement = Placement::new(vec![0, 1], vec![0, 1, 1], pinned).map(Arc::new);
        walk(Config { workers: 2, caller_lanes: 0, placement, ..config }, false, &ops, drain);
    }
}
