//! Random operations on a pulled flow beside a small reference: every item is pulled once in the order of its
//! key or counted in a gap, the flow's and the session's tallies agree at every step, and everything is bounded.

mod support;

use std::collections::BTreeMap;

use headway_core::admission::{Overflow, Patience};
use headway_core::slot::SlotRef;
use headway_core::state::Config;
use headway_core::work::Work;
use proptest::prelude::*;
use support::{Bench, ask, ended, flow, numbers};

#[derive(Debug, Clone, Copy)]
enum Op {
    /// Key, priority, milliseconds until it expires, whether its producer waits for room.
    Push(Option<i64>, i32, Option<u64>, bool),
    /// Something of the session's own, with a callback.
    Submit,
    Take(usize),
    Complete(usize, bool),
    Pull,
    Cancel(prop::sample::Index),
    Advance(u64),
    CancelAll,
    CloseInput,
    Drain,
    Stop,
    Release,
    CloseSession(bool),
}

/// A push as the reference knows it; its number is its place in the list.
struct One {
    key: Option<i64>,
    slot: Option<SlotRef>,
    deadline: Option<u64>,
    pulled: bool,
}

struct Sys {
    bench: Bench,
    config: Config,
    run: usize,
    depth: usize,
    overflow: Overflow,
    all: Vec<One>,
    lanes: Vec<Option<Work>>,
    now: u64,
    gaps: u64,
    /// No more input; nobody pulls what comes.
    closed: bool,
    discards: bool,
    session_open: bool,
    last: BTreeMap<Option<i64>, u64>,
}

const OWN: u64 = 1_000_000;

impl Sys {
    fn new(config: Config, depth: usize, overflow: Overflow) -> Self {
        let bench = Bench::new(config.clone());
        let run = bench.open_pulled(depth, overflow);
        let lanes = (0..config.workers).map(|_| None).collect();
        Sys {
            bench,
            config,
            run,
            depth,
            overflow,
            all: Vec::new(),
            lanes,
            now: 0,
            gaps: 0,
            closed: false,
            discards: false,
            session_open: true,
            last: BTreeMap::new(),
        }
    }

    fn push(&mut self, key: Option<i64>, priority: i32, lives: Option<u64>, waits: bool) {
        let id = self.all.len() as u64;
        let mut asked = ask(id).on(self.run).priority(priority).callback();
        asked = if let Some(key) = key { asked.key(key) } else { asked };
        asked = if let Some(lives) = lives { asked.deadline(self.now + lives) } else { asked };
        asked = asked.patience(if waits { Patience::Wait } else { Patience::Never });
        let slot = self.bench.try_submit(asked).ok();
        let open = self.session_open && !self.closed;
        assert!(open || slot.is_none(), "nothing is admitted any more");
        let lined = slot.as_ref().is_some_and(|slot| !slot.is_ended() && slot.ticket().is_none());
        assert!(!(lined && (!waits || self.overflow == Overflow::Raise)));
        let deadline = lives.map(|lives| self.now + lives);
        self.all.push(One { key, slot, deadline, pulled: false });
    }

    fn take(&mut self, lane: usize) {
        if self.lanes[lane].is_some() {
            return;
        }
        self.lanes[lane] = self.bench.take(lane);
        let Some(work) = &self.lanes[lane] else { return };
        for number in numbers(work).into_iter().filter(|number| *number < OWN) {
            let one = &self.all[number as usize];
            assert!(one.deadline.is_none_or(|at| at > self.now), "expired work never starts");
        }
    }

    fn complete(&mut self, lane: usize, well: bool) {
        if let Some(work) = self.lanes[lane].take() {
            if well {
                self.bench.answer(work)
            } else {
                self.bench.fail(work)
            };
        }
        self.bench.deliver();
    }

    fn pull(&mut self) -> bool {
        let text = self.bench.pull(self.run);
        if let Some(count) = text.strip_prefix("gap ") {
            self.gaps += count.parse::<u64>().expect("a count");
            return true;
        }
        let Some((number, what)) = text.split_once(": ") else {
            let over = (self.closed || !self.session_open) && self.live() == 0;
            assert_eq!(text, if over { "end" } else { "nothing" });
            return false;
        };
        let number: u64 = number.parse().expect("a number");
        let one = &mut self.all[number as usize];
        assert!(!one.pulled && !self.discards, "pulled once");
        one.pulled = true;
        assert!(!what.starts_with("dropped"));
        assert!(!what.starts_with("done") || what == format!("done {number}"), "another's answer");
        let last = self.last.insert(one.key, number);
        assert!(last.is_none_or(|last| last < number), "out of order in its key");
        true
    }

    /// Admitted and not handed over.
    fn live(&self) -> u64 {
        let counters = self.bench.flow.flow_counters(self.run);
        counters.submitted - ended(&counters)
    }

    fn apply(&mut self, op: Op) {
        let lanes = self.config.workers;
        match op {
            Op::Push(key, priority, lives, waits) => self.push(key, priority, lives, waits),
            Op::Submit => drop(self.bench.try_submit(ask(OWN).callback())),
            Op::Take(lane) => self.take(lane % lanes),
            Op::Complete(lane, well) => self.complete(lane % lanes, well),
            Op::Pull => drop(self.pull()),
            Op::Cancel(_) if self.all.is_empty() => {}
            Op::Cancel(pick) => {
                let slot = self.all[pick.index(self.all.len())].slot.clone();
                if let Some(slot) = slot {
                    self.bench.cancel(&slot);
                }
            }
            Op::Advance(by) => {
                self.now += by;
                self.bench.advance(by);
            }
            Op::CancelAll => self.bench.flow.cancel_all(),
            Op::CloseInput => self.bench.flow.close_flow(self.run),
            Op::Drain => self.bench.flow.begin_drain(self.run),
            Op::Stop => self.bench.flow.stop_flow(self.run),
            Op::Release => self.bench.flow.release_flow(self.run),
            Op::CloseSession(drain) => self.bench.flow.begin_close(drain),
        }
        self.closed |= matches!(op, Op::CloseInput | Op::Drain | Op::Stop | Op::Release);
        self.discards |= matches!(op, Op::Drain | Op::Stop | Op::Release);
        self.session_open &= !matches!(op, Op::CloseSession(_));
        self.check();
    }

    fn check(&mut self) {
        let counters = self.bench.counters();
        let flow = self.bench.flow.flow_counters(self.run);
        assert!(flow.submitted <= counters.submitted && ended(&flow) <= flow.submitted);
        let live = self.live();
        let on_lanes = self.config.workers * self.config.max_batch;
        let waiting = self.all.iter().filter_map(|one| one.slot.as_ref());
        let waiting = waiting.filter(|slot| slot.ticket().is_some()).count();
        assert!(waiting <= self.depth + on_lanes, "bounded");
        assert!(live as usize <= waiting + self.depth * 18 + 2 * on_lanes, "bounded by what is pulled");
        let over = self.closed || !self.session_open;
        let lined =
            |one: &One| one.slot.as_ref().is_some_and(|slot| !slot.is_ended() && slot.ticket().is_none());
        assert!(!over || !self.all.iter().any(lined), "nobody waits for room in what is closed");
        for one in self.all.iter().filter_map(|one| one.slot.as_ref()) {
            assert!(one.ticket().is_some() || one.is_ended() || !over);
        }
    }

    /// Everything ends and is pulled; the gaps are what was dropped.
    fn finish(mut self) {
        self.apply(Op::CloseInput);
        for _ in 0..10_000 {
            (0..self.config.workers).for_each(|lane| self.apply(Op::Complete(lane, true)));
            (0..self.config.workers).for_each(|lane| self.apply(Op::Take(lane)));
            let idle = self.lanes.iter().all(Option::is_none);
            if !self.pull() && idle {
                break;
            }
        }
        assert_eq!(self.bench.pull(self.run), "end");
        let counters = self.bench.flow.flow_counters(self.run);
        assert_eq!(ended(&counters), counters.submitted);
        let pulled = self.all.iter().filter(|one| one.pulled).count() as u64;
        let dropped: u64 = counters.dropped.iter().sum();
        if !self.discards {
            assert_eq!((pulled + dropped, self.gaps), (counters.submitted, dropped));
        }
        assert!(pulled + self.gaps <= counters.submitted);
        let refused =
            self.all.iter().filter(|one| one.slot.as_ref().is_none_or(|slot| slot.refusal().is_some()));
        assert_eq!(counters.submitted, self.all.len() as u64 - refused.count() as u64);
        let session = self.bench.counters();
        assert_eq!((session.waiting, session.running, session.undelivered), (0, 0, 0));
        if self.session_open {
            self.bench.flow.release_flow(self.run);
            assert_eq!(self.bench.open_pulled(1, Overflow::Block), self.run, "nothing is left of it");
            assert_eq!(self.bench.pull(self.run), "nothing");
        }
    }
}

fn policies() -> impl Strategy<Value = Overflow> {
    prop::sample::select(&[Overflow::Block, Overflow::Raise, Overflow::DropOldest, Overflow::DropNewest][..])
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = prop::option::of(0..3_i64);
    let lives = prop_oneof![3 => Just(None), 1 => (0..12_u64).prop_map(Some)];
    let op = prop_oneof![
        400 => (key, -1..2_i32, lives, any::<bool>()).prop_map(|(k, p, l, w)| Op::Push(k, p, l, w)),
        50 => Just(Op::Submit),
        250 => (0..3_usize).prop_map(Op::Take),
        220 => (0..3_usize, prop::bool::weighted(0.8)).prop_map(|(lane, well)| Op::Complete(lane, well)),
        200 => Just(Op::Pull),
        60 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        60 => (0..6_u64).prop_map(Op::Advance),
        5 => Just(Op::CancelAll),
        3 => Just(Op::CloseInput),
        3 => Just(Op::Drain),
        3 => Just(Op::Stop),
        3 => Just(Op::Release),
        3 => any::<bool>().prop_map(Op::CloseSession),
    ];
    prop::collection::vec(op, 1..200)
}

fn configs() -> impl Strategy<Value = Config> {
    (1..4_usize, 1..3_usize, any::<bool>(), any::<bool>()).prop_map(
        |(workers, max_batch, serial, ordered)| Config {
            workers,
            max_batch,
            serial,
            ordered,
            flow: flow(2, Overflow::DropOldest),
            ..Config::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, max_shrink_iters: 3000, ..ProptestConfig::default() })]
    #[test]
    fn a_pulled_flow_agrees_with_its_reference(
        config in configs(), depth in 1..4_usize, overflow in policies(), ops in ops(),
    ) {
        let mut sys = Sys::new(config, depth, overflow);
        ops.iter().for_each(|op| sys.apply(*op));
        sys.finish();
    }
}
