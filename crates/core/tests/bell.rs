//! An event loop's bell: one wake-up for a whole batch, and no ring lost.
#![cfg(unix)]

mod support;

use std::sync::Arc;

use headway_core::bell::Bell;
use headway_core::slot::Milestone;
use headway_core::state::Config;
use support::{Bench, ask, flow};

#[test]
fn milestones_ring_once_each_and_only_while_they_are_ahead() {
    let overflow = headway_core::admission::Overflow::Block;
    let bench = Bench::new(Config { flow: flow(1, overflow), ..Config::default() });
    let bell = Arc::new(Bell::new().expect("a descriptor"));
    let first = bench.submit(ask(1));
    let lined = bench.submit(ask(2).waits());
    assert!(first.subscribe(Milestone::Ended, &bell, 1));
    assert!(!first.subscribe(Milestone::Admitted, &bell, 9), "past");
    assert!(lined.subscribe(Milestone::Admitted, &bell, 2) && lined.subscribe(Milestone::Ended, &bell, 3));
    assert!(bell.answer().is_empty());
    bench.run(0);
    let mut rung = bell.answer();
    rung.sort_unstable();
    assert_eq!(rung, [1, 2]);
    bench.run(0);
    assert_eq!(bell.answer(), [3]);
    assert!(!lined.subscribe(Milestone::Ended, &bell, 4));
    assert!(bell.answer().is_empty());
}

#[test]
fn every_ring_of_many_threads_is_heard() {
    let bell = Bell::new().expect("a descriptor");
    let mut heard = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let bell = &bell;
            scope.spawn(move || (0..1000).for_each(|ring| bell.ring(thread * 1000 + ring)));
        }
        while heard.len() < 4000 {
            assert!(bell.descriptor() >= 0);
            std::thread::yield_now();
            heard.extend(bell.answer());
        }
    });
    heard.sort_unstable();
    assert_eq!(heard, (0..4000).collect::<Vec<_>>());
}
