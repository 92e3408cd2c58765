//! Lanes that share the rows of a closed loop, in simulated time: whatever state they begin in, they come to equal shares.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::batch::{Limits, Reason};
use headway_core::request::Group;
use headway_core::state::Config;
use headway_core::work::Work;
use support::{Bench, ask, flow};

/// Milliseconds stand for microseconds of silero-vad here: what a run takes, what each of its rows adds, and how long the
/// client takes to hand one in.
const RUN: u64 = 42;
const ROW: u64 = 32;
const SUBMIT: u64 = 4;

/// Eight streams (or so many), each of which hands its next row in when it has its answer.
struct Loop {
    bench: Bench,
    lanes: Vec<Option<(u64, Work)>>,
    /// Streams whose next row is handed in, in their order.
    next: std::collections::VecDeque<u64>,
    /// Streams that wait until all have their answers.
    barrier: Option<Vec<u64>>,
    now: u64,
    /// Rows of the runs that ended.
    sizes: Vec<usize>,
    rows: u64,
}

impl Loop {
    fn new(streams: u64, lanes: usize, barrier: bool) -> Self {
        let limits = Limits { max_size: 8, max_delay: Duration::from_millis(2_000) };
        let config = Config { workers: lanes, flow: flow(64, Overflow::Raise), ..Config::default() };
        Loop {
            bench: Bench::new(Config { batching: Some(limits), serial: true, ..config }),
            lanes: (0..lanes).map(|_| None).collect(),
            next: (0..streams).collect(),
            barrier: barrier.then(Vec::new),
            now: 0,
            sizes: Vec::new(),
            rows: 0,
        }
    }

    fn answered(&mut self, streams: u64, stream: u64) {
        self.rows += 1;
        let Some(there) = &mut self.barrier else { return self.next.push_back(stream) };
        there.push(stream);
        if there.len() as u64 == streams {
            self.next.extend(there.drain(..));
        }
    }

    fn tick(&mut self, streams: u64, take: bool) {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].as_ref().is_some_and(|(end, _)| *end <= self.now)
                && let Some((_, work)) = self.lanes[lane].take()
            {
                let numbers = support::numbers(&work);
                self.sizes.push(numbers.len());
                self.bench.answer(work);
                numbers.into_iter().for_each(|stream| self.answered(streams, stream));
            }
        }
        if self.now.is_multiple_of(SUBMIT)
            && let Some(stream) = self.next.pop_front()
        {
            let mut asked = ask(stream).key(stream as i64);
            asked.request.group = Some(Group { key: 1, rows: 1 });
            self.bench.submit(asked);
        }
        for lane in (0..self.lanes.len()).filter(|_| take) {
            if self.lanes[lane].is_none()
                && let Some(work) = self.bench.take(lane)
            {
                self.lanes[lane] = Some((self.now + RUN + ROW * work.jobs.len() as u64, work));
            }
        }
        self.now += 1;
        self.bench.advance(1);
    }

    /// Runs of each size while so much time passes, and what a row took.
    fn run(&mut self, streams: u64, millis: u64) -> (BTreeMap<usize, usize>, f64) {
        self.sizes.clear();
        self.rows = 0;
        (0..millis).for_each(|_| self.tick(streams, true));
        let mut counts = BTreeMap::new();
        self.sizes.iter().for_each(|size| *counts.entry(*size).or_default() += 1);
        (counts, millis as f64 / self.rows as f64)
    }
}

/// Rows in a run, on average.
fn mean(counts: &BTreeMap<usize, usize>) -> f64 {
    let rows: usize = counts.iter().map(|(size, count)| size * count).sum();
    rows as f64 / counts.values().sum::<usize>() as f64
}

/// What a row takes where two lanes have half of the streams each, always, and wait until these have come.
fn ideal(streams: u64) -> f64 {
    (RUN + (ROW + SUBMIT) * streams / 2) as f64 / streams as f64
}

#[test]
fn eight_streams_come_to_four_rows_on_each_of_two_lanes() {
    for barrier in [false, true] {
        let mut one = Loop::new(8, 1, barrier);
        one.run(8, 20_000);
        let (_, alone) = one.run(8, 40_000);
        let mut two = Loop::new(8, 2, barrier);
        two.run(8, 20_000);
        let (counts, shared) = two.run(8, 40_000);
        // Behind a barrier the second lane's rows come after the first one's.
        let least = ideal(8) + if barrier { SUBMIT as f64 / 2.0 } else { 0.0 };
        assert!(shared < 1.05 * least, "{shared} {least} {counts:?}");
        assert!(shared < 0.75 * alone, "{shared} {alone}");
        // Some are tries: alone, and of one lane that takes all.
        assert!(mean(&counts) > 0.85 * 4.0, "{counts:?}");
    }
}

#[test]
fn lanes_that_fell_out_of_step_find_it_again() {
    let mut two = Loop::new(8, 2, false);
    two.run(8, 20_000);
    // For a while the lanes do not come for anything, and then one of them takes long.
    (0..600).for_each(|_| two.tick(8, false));
    let first = two.bench.take(0).expect("work");
    two.lanes[0] = Some((two.now + 2_000, first));
    two.run(8, 3_000);
    let (counts, shared) = two.run(8, 20_000);
    assert!(shared < 1.05 * ideal(8), "{shared} {counts:?}");
}

#[test]
fn the_number_of_streams_is_followed() {
    let mut two = Loop::new(8, 2, false);
    two.run(8, 20_000);
    two.next.extend(8..14);
    two.run(14, 20_000);
    let (counts, shared) = two.run(14, 20_000);
    assert!(shared < 1.05 * ideal(14), "{shared} {counts:?}");
    assert!(mean(&counts) > 0.8 * 7.0, "{counts:?}");
}

#[test]
fn why_runs_start_is_told() {
    let mut two = Loop::new(8, 2, true);
    two.run(8, 40_000);
    let released = two.bench.stats().batching.expect("batching").released;
    let of = |reason: Reason| released[reason as usize];
    assert!(of(Reason::Idle) > 100, "{released:?}");
    assert_eq!(of(Reason::Delay) + of(Reason::Deadline) + of(Reason::Off), 0, "{released:?}");
}
