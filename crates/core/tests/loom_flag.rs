//! A terminate flag, set while the state lock is held, never hits the lane's next request (loom).
#![cfg(loom)]

use std::sync::Arc;

use headway_core::clock::{Clock, ManualClock};
use headway_core::engine::{Control, Engine, Job, Lane, ModelInfo};
use headway_core::error::Error;
use headway_core::request::{Inputs, Request, Wanted};
use headway_core::runtime::Shared;
use headway_core::slot::SlotRef;
use headway_core::state::{Config, Manner};
use headway_core::value::Values;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

fn submit(flow: &Arc<Shared>) -> SlotRef {
    let request = Request::new(Inputs::Feeds(Values::new()), Wanted::All);
    flow.submit(request, Manner::default()).expect("room")
}

/// A flag that stops what runs on the lane, and an engine that only carries it.
struct Flagged(ModelInfo, Arc<Flag>);
struct Flag(AtomicBool);

impl Control for Flag {
    fn terminate(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    fn reset(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Engine for Flagged {
    fn name(&self) -> &'static str {
        "flagged"
    }
    fn info(&self) -> &ModelInfo {
        &self.0
    }
    fn open_lane(&self, _: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(FlaggedLane(Arc::clone(&self.1))))
    }
    fn can_cancel(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct FlaggedLane(Arc<Flag>);

impl Lane for FlaggedLane {
    fn run(&mut self, jobs: &mut [Job]) {
        jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
    }
    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.0) as Arc<dyn Control>)
    }
}

/// The first request is cancelled; the flag must never be seen by the second, on the same lane.
#[test]
fn a_terminate_flag_never_hits_the_next_request() {
    loom::model(|| {
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let engine = Arc::new(Flagged(Default::default(), Arc::clone(&flag)));
        let flow = Shared::new(Config::default(), Some(engine), Clock::Manual(ManualClock::default()))
            .expect("a lane");
        let first = submit(&flow);
        let second = submit(&flow);
        let (other, same) = (flow.clone(), second.clone());
        let lane = thread::spawn(move || {
            while let Some(mut work) = other.try_take(0) {
                work.run();
                let second_runs = other.is_running(&same);
                let set = flag.0.load(Ordering::SeqCst);
                assert!(!(second_runs && set), "the flag hit the next request");
                other.complete(work);
            }
        });
        flow.cancel(&first);
        lane.join().expect("lane");
        assert!(second.is_ended());
        let counters = flow.stats().counters;
        assert_eq!((counters.done + counters.cancelled, counters.running), (2, 0));
    });
}
