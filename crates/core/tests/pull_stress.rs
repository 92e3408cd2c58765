//! Real threads on pulled flows and staffed lanes: nothing is lost, mixed up or left behind.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headway_core::admission::{Overflow, Patience};
use headway_core::clock::Clock;
use headway_core::metrics::Counters;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::state::{Config, FlowConfig, Output, Pulled};
use headway_core::threads::Threads;
use support::{ask, echo::Echo, ended, flow, word};

const PRODUCERS: u64 = 3;
const EACH: u64 = 33_334;
const KEYS: u64 = 4;
const POLICIES: [Overflow; 4] =
    [Overflow::Block, Overflow::Raise, Overflow::DropOldest, Overflow::DropNewest];

fn session(caller_lanes: usize, spin: Duration) -> Arc<Shared> {
    let config = Config {
        workers: 2,
        caller_lanes,
        flow: FlowConfig { queue_depth: 16, overflow: Overflow::Block },
        max_batch: 2,
        spin,
        ..Config::default()
    };
    Shared::new(config, Some(Arc::new(Echo::default())), Clock::system()).expect("lanes")
}

/// Never 13, on which the engine panics; rises within each producer, and so within each of its keys.
fn number(producer: u64, turn: u64) -> u64 {
    (producer + 1) * 1_000_000 + turn
}

fn key(number: u64) -> i64 {
    (number / 1_000_000 * 100 + number % KEYS) as i64
}

/// Pushes everything; how many were taken.
fn produce(shared: &Arc<Shared>, run: usize, me: u64) -> u64 {
    let mut taken = 0;
    for turn in 0..EACH {
        let number = number(me, turn);
        let patience = if turn % 3 == 0 { Patience::Never } else { Patience::Wait };
        let mut asked = ask(number).on(run).callback().key(key(number)).patience(patience);
        if turn % 5 == 0 {
            asked.request.deadline = Some(shared.now() + Duration::from_micros(number % 200));
        }
        let Ok(slot) = shared.submit(asked.request, asked.manner) else { continue };
        if turn % 11 == 0 {
            shared.cancel(&slot);
        }
        let refused = matches!(slot.wait(Milestone::Admitted, None, Duration::ZERO), Seen::Refused(_));
        taken += u64::from(!refused && slot.ticket_given().is_some());
    }
    taken
}

/// What a puller saw: numbers, and how many it was told were dropped.
#[derive(Default)]
struct Seenby {
    numbers: Vec<u64>,
    words: HashMap<String, u64>,
    gaps: u64,
}

fn consume(shared: &Arc<Shared>, run: usize) -> Seenby {
    let mut seen = Seenby::default();
    loop {
        match shared.pull(run, None) {
            Pulled::Output(Output::Item(delivery)) => {
                let number = *delivery.slot.take_tags()[0].downcast_ref::<u64>().expect("a number");
                let outcome = word(&delivery.slot.take_outcome().expect("filled"));
                let outcome = if outcome == format!("done {number}") { "done".into() } else { outcome };
                *seen.words.entry(outcome).or_default() += 1;
                seen.numbers.push(number);
            }
            Pulled::Output(Output::Gap(count)) => seen.gaps += count,
            Pulled::Nothing => panic!("waited for ever"),
            Pulled::End => return seen,
        }
    }
}

/// What the pullers saw is what the flow counted, and each saw every key in order.
fn agrees(all: &[Seenby], counters: &Counters, taken: u64) {
    let said = |what: &str| all.iter().filter_map(|seen| seen.words.get(what)).sum::<u64>();
    assert_eq!((counters.submitted, ended(counters)), (taken, taken));
    assert_eq!(counters.done, said("done"));
    assert_eq!(counters.expired, said("expired waiting") + said("expired running"));
    assert_eq!(counters.cancelled, said("cancelled"));
    assert_eq!(counters.dropped.iter().sum::<u64>(), all.iter().map(|seen| seen.gaps).sum());
    let mut numbers: Vec<u64> = all.iter().flat_map(|seen| seen.numbers.clone()).collect();
    let pulled = numbers.len() as u64;
    assert_eq!(pulled, counters.done + counters.expired + counters.cancelled);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, pulled, "nothing came twice");
    for seen in all {
        let mut last = HashMap::new();
        for number in &seen.numbers {
            assert!(last.insert(key(*number), *number).is_none_or(|last| last < *number), "out of order");
        }
    }
}

#[test]
fn many_push_and_many_pull_under_every_policy() {
    let shared = session(0, Duration::from_micros(20));
    let threads = Threads::start(&shared).expect("threads");
    for overflow in POLICIES {
        let run = shared.open_pulled(flow(8, overflow)).expect("open");
        assert_eq!(run, 1, "the last one's number is free again");
        thread::scope(|scope| {
            let shared = &shared;
            let pullers: Vec<_> = (0..3).map(|_| scope.spawn(move || consume(shared, run))).collect();
            let producers: Vec<_> =
                (0..PRODUCERS).map(|me| scope.spawn(move || produce(shared, run, me))).collect();
            let taken = producers.into_iter().map(|one| one.join().expect("producer")).sum();
            shared.close_flow(run);
            let seen: Vec<_> = pullers.into_iter().map(|one| one.join().expect("puller")).collect();
            agrees(&seen, &shared.flow_counters(run), taken);
        });
        shared.release_flow(run);
    }
    threads.join(&shared.finish_close(None));
    let counters = shared.stats().counters;
    assert!(counters.conserved(), "{counters:?}");
    assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
}

/// Runs are stopped, drained, released or closed with their session while everybody pushes and pulls.
#[test]
fn runs_end_in_every_way_under_load() {
    for round in 0..120_u64 {
        let shared = session(0, Duration::ZERO);
        let threads = Threads::start(&shared).expect("threads");
        let overflow = POLICIES[round as usize % 4];
        let run = shared.open_pulled(flow(2, overflow)).expect("open");
        thread::scope(|scope| {
            let shared = &shared;
            for me in 0..PRODUCERS {
                scope.spawn(move || {
                    for turn in 0.. {
                        let number = number(me, turn);
                        let asked = ask(number).on(run).callback().key(key(number)).waits();
                        match shared.submit(asked.request, asked.manner) {
                            Err(error) if error.kind == headway_core::error::ErrorKind::Closed => return,
                            Err(_) => thread::yield_now(),
                            Ok(slot) => drop(slot.wait(Milestone::Admitted, None, Duration::ZERO)),
                        }
                    }
                });
            }
            (0..2).for_each(|_| drop(scope.spawn(move || consume(shared, run))));
            thread::yield_now();
            match round / 4 % 5 {
                0 => shared.stop_flow(run),
                1 => shared.drain_flow(run, None),
                2 => shared.drain_flow(run, Some(Instant::now())),
                3 => shared.release_flow(run),
                _ => drop(shared.finish_close(None)),
            }
        });
        shared.begin_drain(run);
        assert!(shared.wait_drained(run, Some(Instant::now() + Duration::from_secs(20))));
        let counters = shared.flow_counters(run);
        assert_eq!(ended(&counters), counters.submitted);
        threads.join(&shared.finish_close(None));
        assert!(shared.stats().counters.conserved());
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}

/// A list of requests that any lane may run, with a window whose owner runs what is next itself; beside it
/// plain submissions, which only the workers may run, and inline runs.
#[test]
fn lists_on_staffed_lanes_beside_everything_else() {
    let shared = session(2, Duration::from_micros(20));
    let mut threads = Threads::start(&shared).expect("threads");
    let ran = AtomicU64::new(0);
    thread::scope(|scope| {
        let (shared, ran) = (&shared, &ran);
        for me in 0..3 {
            scope.spawn(move || {
                let mut window: std::collections::VecDeque<(u64, SlotRef)> = Default::default();
                let collect = |(number, slot): (u64, SlotRef), execute: bool| {
                    let seen = shared.wait(&slot, None, Waiting { execute, ahead: false, again: false });
                    assert!(matches!(seen, Seen::Ended));
                    assert_eq!(support::outcome(&slot), format!("done {number}"));
                    ran.fetch_add(1, Ordering::Relaxed);
                };
                for turn in 0..20_000 {
                    let number = number(me, turn);
                    let asked = ask(number).waits();
                    let asked = if me == 0 { asked } else { asked.any_lane() };
                    if turn % 64 == 0
                        && let Ok(mut work) = shared.begin(ask(number).request, false)
                    {
                        work.run();
                        let outcome = shared.complete(work).expect("begun here");
                        assert_eq!(word(&outcome), format!("done {number}"));
                        ran.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let slot = shared.submit(asked.request, asked.manner).expect("the line");
                    window.push_back((number, slot));
                    if window.len() > 3
                        && let Some(oldest) = window.pop_front()
                    {
                        collect(oldest, turn % 2 == 0);
                    }
                }
                window.into_iter().for_each(|one| collect(one, true));
            });
        }
        (0..3).for_each(|_| threads.staff(shared));
    });
    assert_eq!(ran.into_inner(), 60_000);
    let runs: Vec<u64> = shared.stats().lanes.iter().map(|lane| lane.runs).collect();
    assert!(runs[2] + runs[3] > 0, "staffed lanes took part: {runs:?}");
    let report = shared.finish_close(Some(Duration::from_secs(20)));
    assert!(report.drained && report.abandoned.is_empty());
    threads.staff(&shared);
    threads.join(&report);
    assert_eq!(Arc::strong_count(&shared), 1, "every thread has left");
    assert_eq!(shared.stats().counters.done, 60_000);
}

/// Staffed lanes take nothing that only workers may run: with the workers' lanes taken, it waits.
#[test]
fn staffed_lanes_leave_plain_requests_alone() {
    let config = Config { workers: 1, caller_lanes: 1, ..Config::default() };
    let bench = support::Bench::new(config);
    assert!(bench.flow.staff(1));
    let plain = bench.submit(ask(1));
    assert!(bench.take(1).is_none());
    bench.submit(ask(2).any_lane());
    let (any, numbers) = bench.start(1);
    assert_eq!(numbers, [2]);
    let begun = bench.flow.begin(ask(3).request, false);
    assert!(begun.is_err(), "something waits");
    assert_eq!(bench.run(0), Some(1));
    bench.answer(any);
    let inline = bench.flow.begin(ask(3).request, false).expect("both lanes are free");
    assert_eq!(inline.lane, 1, "a lane of callers first");
    assert!(bench.take(1).is_none(), "its own thread finds it taken");
    bench.answer(inline);
    assert!(plain.is_ended());
    bench.flow.begin_close(true);
    assert!(bench.take(1).is_none() && !bench.flow.staff(1));
    let lanes = bench.stats().lanes;
    assert_eq!((lanes[0].state, lanes[1].state), ("idle", "closed"));
}
