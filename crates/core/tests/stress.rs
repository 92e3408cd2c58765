//! Real threads and the real clock: every ticket ends once with its own answer, and nothing is left after close.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use headway_core::admission::{Overflow, Patience};
use headway_core::clock::Clock;
use headway_core::metrics::Counters;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::state::{Config, FlowConfig};
use headway_core::threads::Threads;
use support::{Ask, ask, echo::Echo, word};

const SUBMITTERS: u64 = 8;
const EACH: u64 = 25_000;

/// What the callers saw, to be compared with what the session counted.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    expired: AtomicU64,
    cancelled: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
}

impl Tally {
    fn count(&self, number: u64, outcome: &str) {
        let counter = match outcome {
            "expired waiting" | "expired running" => &self.expired,
            "cancelled" => &self.cancelled,
            "dropped overflow" => &self.dropped,
            other => {
                assert_eq!(other, format!("done {number}"), "another request's answer");
                &self.done
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn agrees(&self, counters: &Counters) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert!(counters.conserved(), "{counters:?}");
        assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
        assert_eq!(
            [counters.done, counters.expired, counters.cancelled, counters.dropped[0], counters.rejected],
            [&self.done, &self.expired, &self.cancelled, &self.dropped, &self.rejected].map(load),
        );
    }
}

fn session(overflow: Overflow, spin: Duration) -> Arc<Shared> {
    let config = Config {
        workers: 2,
        caller_lanes: 1,
        flow: FlowConfig { queue_depth: 16, overflow },
        delivery_depth: 16,
        max_batch: 2,
        spin,
        ..Config::default()
    };
    Shared::new(config, Some(Arc::new(Echo::default())), Clock::system()).expect("lanes")
}

/// Calls callbacks until there will be none any more.
fn deliver(flow: &Arc<Shared>, seen: &Tally) {
    let mut due = Vec::new();
    let mut last = std::collections::HashMap::new();
    while flow.next_deliveries(8, &mut due) {
        for delivery in due.drain(..) {
            let number = *delivery.slot.take_tags()[0].downcast_ref::<u64>().expect("a number");
            let outcome = delivery.slot.take_outcome().expect("filled");
            seen.count(number, &word(&outcome));
            let submitter = number / 1_000_000;
            assert!(last.insert(submitter, number).is_none_or(|last| last < number), "out of order");
            flow.delivered(&delivery, false);
        }
    }
}

fn wait(flow: &Arc<Shared>, number: u64, slot: &SlotRef, execute: bool, seen: &Tally) {
    match flow.wait(slot, None, Waiting { execute, ahead: false, again: false }) {
        Seen::Ended => seen.count(number, &word(&slot.take_outcome().expect("mine"))),
        Seen::Refused(_) => {
            seen.rejected.fetch_add(1, Ordering::Relaxed);
        }
        other => panic!("{other:?}"),
    }
}

/// Submits in every manner with a few on their way, one key for the callbacks of each submitter.
fn submitter(flow: &Arc<Shared>, me: u64, seen: &Tally) {
    let mut window: VecDeque<(u64, SlotRef)> = VecDeque::new();
    for turn in 0..EACH {
        // Never 13, on which the engine panics.
        let number = (me + 1) * 1_000_000 + turn;
        let manner = turn % 7;
        let mut asked: Ask = ask(number).patience(Patience::Wait);
        match manner {
            0 => {
                if let Ok(mut work) = flow.begin(asked.request, false) {
                    work.run();
                    let outcome = flow.complete(work).expect("begun here");
                    seen.count(number, &word(&outcome));
                    continue;
                }
                asked = ask(number).patience(Patience::Wait).any_lane();
            }
            1 | 2 => asked = asked.key(me as i64).callback(),
            3 => asked.request.deadline = Some(flow.now() + Duration::from_micros(number % 100)),
            _ => {}
        }
        asked.manner.head_start = turn % 3 > 0;
        let Ok(slot) = flow.submit(asked.request, asked.manner) else {
            seen.rejected.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        match manner {
            0 => wait(flow, number, &slot, true, seen),
            1 | 2 => {
                if let Seen::Refused(error) = slot.wait(Milestone::Admitted, None, Duration::ZERO) {
                    panic!("{error}");
                }
            }
            5 => {
                flow.cancel(&slot);
                wait(flow, number, &slot, false, seen);
            }
            _ => window.push_back((number, slot)),
        }
        if window.len() > 4
            && let Some((number, slot)) = window.pop_front()
        {
            wait(flow, number, &slot, number % 2 == 0, seen);
        }
    }
    window.into_iter().for_each(|(number, slot)| wait(flow, number, &slot, number % 2 == 0, seen));
}

fn storm(overflow: Overflow, spin: Duration) {
    let flow = session(overflow, spin);
    let threads = Threads::start(&flow).expect("threads");
    let seen = Tally::default();
    thread::scope(|scope| {
        let delivery = scope.spawn(|| deliver(&flow, &seen));
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|me| {
                scope.spawn({
                    let (flow, seen) = (&flow, &seen);
                    move || submitter(flow, me, seen)
                })
            })
            .collect();
        submitters.into_iter().for_each(|submitter| submitter.join().expect("submitter"));
        let closers: Vec<_> = (0..3).map(|_| scope.spawn(|| flow.finish_close(None))).collect();
        for closer in closers {
            let report = closer.join().expect("closer");
            assert!(report.drained && report.abandoned.is_empty());
        }
        delivery.join().expect("delivery");
    });
    threads.join(&flow.finish_close(None));
    seen.agrees(&flow.stats().counters);
    assert_eq!(Arc::strong_count(&flow), 1, "no thread holds the session any more");
}

#[test]
fn every_ticket_ends_once_while_callers_wait_for_room() {
    storm(Overflow::Block, Duration::ZERO);
}

#[test]
fn every_ticket_ends_once_while_requests_are_dropped() {
    storm(Overflow::DropOldest, Duration::from_micros(20));
}

/// Submissions, cancels and closes race: whatever got a ticket ends, and every caller comes back.
#[test]
fn closing_while_everybody_submits() {
    for round in 0..200 {
        let flow = session(Overflow::Block, Duration::ZERO);
        let threads = Threads::start(&flow).expect("threads");
        let seen = Tally::default();
        thread::scope(|scope| {
            scope.spawn(|| deliver(&flow, &seen));
            for me in 1..5_u64 {
                let (flow, seen) = (&flow, &seen);
                scope.spawn(move || {
                    for turn in 0.. {
                        let number = me * 1_000_000 + turn;
                        let asked = ask(number).patience(Patience::Wait).key(me as i64);
                        let asked = if me == 1 { asked.callback() } else { asked };
                        let Ok(slot) = flow.submit(asked.request, asked.manner) else {
                            seen.rejected.fetch_add(1, Ordering::Relaxed);
                            return;
                        };
                        if me != 1 {
                            wait(flow, number, &slot, me == 2, seen);
                        } else if let Seen::Refused(_) = slot.wait(Milestone::Admitted, None, Duration::ZERO)
                        {
                            seen.rejected.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let closing: Vec<_> = (0..2)
                .map(|which| {
                    let flow = &flow;
                    scope.spawn(move || {
                        flow.begin_close((round + which) % 2 == 0);
                        flow.finish_close(Some(Duration::from_secs(20)))
                    })
                })
                .collect();
            for closer in closing {
                assert!(closer.join().expect("closer").abandoned.is_empty());
            }
        });
        assert!(flow.wait_delivered(None));
        threads.join(&flow.finish_close(None));
        seen.agrees(&flow.stats().counters);
    }
}

/// No lane takes it, so only the timer thread can end it.
#[test]
fn the_timer_expires_what_nobody_takes() {
    let flow = session(Overflow::Block, Duration::ZERO);
    let slots: Vec<_> = [9, 3, 6]
        .into_iter()
        .map(|millis| {
            let mut asked = ask(millis);
            asked.request.deadline = Some(flow.now() + Duration::from_millis(millis));
            flow.submit(asked.request, asked.manner).expect("room")
        })
        .collect();
    for slot in &slots {
        assert!(matches!(flow.wait(slot, None, Waiting::default()), Seen::Ended));
        assert_eq!(support::outcome(slot), "expired waiting");
        let timing = slot.timing();
        assert!(timing.ended.is_some_and(|ended| ended > timing.submitted));
    }
    let ended: Vec<_> = [1, 2, 0].map(|place: usize| slots[place].timing().ended).into();
    assert!(ended.is_sorted());
}
