//! Closing a flow: what is waited for, what is cancelled, and what is left behind.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headway_core::admission::Overflow;
use headway_core::clock::{Clock, ManualClock};
use headway_core::engine::{Engine, Lane, ModelInfo};
use headway_core::error::{Error, ErrorKind};
use headway_core::runtime::Shared;
use headway_core::state::Config;
use support::{Bench, ask, echo::Echo, flow, outcome};

fn bench() -> Bench {
    Bench::new(Config::default())
}

#[test]
fn close_drains_or_cancels_and_is_idempotent() {
    for drain in [true, false] {
        let bench = Bench::new(Config { flow: flow(1, Overflow::Block), ..Config::default() });
        let running = bench.submit(ask(1));
        let (work, _) = bench.start(0);
        let waiting = bench.submit(ask(2));
        let lined = bench.submit(ask(3).waits());
        bench.flow.begin_close(drain);
        bench.flow.begin_close(drain);
        assert_eq!(lined.refusal().map(|error| error.kind), Some(ErrorKind::Closed));
        assert_eq!(bench.refused(ask(4)), ErrorKind::Closed);
        bench.answer(work);
        assert_eq!(bench.run_all(), if drain { vec![2] } else { vec![] });
        let ends = [outcome(&running), outcome(&waiting)];
        assert_eq!(ends, if drain { ["done 1", "done 2"] } else { ["cancelled", "cancelled"] });
        let report = bench.flow.finish_close(None);
        assert_eq!((report.drained, report.cancelled), (drain, if drain { 0 } else { 2 }));
        assert_eq!(report, bench.flow.finish_close(None));
        assert!(report.abandoned.is_empty());
        assert_eq!(bench.counters().submitted, 2);
    }
}

#[test]
fn an_engine_that_does_not_return_is_abandoned_and_named() {
    let bench = Bench::new(Config { workers: 2, ..Config::default() });
    let slot = bench.submit(ask(1).callback());
    let (work, _) = bench.start(1);
    bench.flow.begin_close(true);
    assert!(bench.take(0).is_none());
    let report = bench.flow.finish_close(Some(Duration::ZERO));
    assert_eq!((report.abandoned.as_slice(), report.cancelled, report.drained), (&[1][..], 1, false));
    assert!(slot.is_ended());
    assert_eq!(bench.deliver(), ["1: cancelled"]);
    bench.answer(work);
    assert_eq!(bench.counters().cancelled, 1);
}

/// An engine of which something has not ended: a lane's process that cannot be killed.
#[derive(Default)]
struct Endless(Echo, Mutex<Vec<Option<Instant>>>);

impl Engine for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }
    fn open_lane(&self, id: usize) -> Result<Box<dyn Lane>, Error> {
        self.0.open_lane(id)
    }
    fn can_cancel(&self) -> bool {
        false
    }
    fn end(&self, until: Option<Instant>) -> Vec<usize> {
        self.1.lock().expect("no panic").push(until);
        vec![2, 0]
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[test]
fn a_lane_whose_process_does_not_end_is_named_beside_the_others() {
    for timeout in [Some(Duration::ZERO), None] {
        let engine = Arc::new(Endless::default());
        let theirs = Arc::clone(&engine) as Arc<dyn Engine>;
        let config = Config { workers: 3, ..Config::default() };
        let flow = Shared::new(config, Some(theirs), Clock::Manual(ManualClock::default())).expect("lanes");
        flow.begin_close(true);
        for lane in 0..3 {
            assert!(flow.take(lane).is_none());
        }
        let before = Instant::now();
        let report = flow.finish_close(timeout);
        // All that was admitted has run; it is the engine that is left behind.
        assert_eq!((report.abandoned, report.drained), (vec![0, 2], true));
        let told = std::mem::take(&mut *engine.1.lock().expect("no panic"));
        match timeout {
            Some(_) => assert!(told.len() == 1 && told[0].is_some_and(|at| at >= before)),
            None => assert_eq!(told, [None]),
        }
    }
}

/// Whoever closes without having begun it waits for what was admitted.
#[test]
fn finishing_a_close_that_nobody_began_drains() {
    let bench = bench();
    let slot = bench.submit(ask(1));
    let report = std::thread::scope(|scope| {
        let closing = scope.spawn(|| bench.flow.finish_close(None));
        while !bench.flow.is_closing() {
            std::thread::yield_now();
        }
        bench.run(0);
        closing.join().expect("no panic")
    });
    assert_eq!((outcome(&slot), report.drained), ("done 1".into(), true));
}
