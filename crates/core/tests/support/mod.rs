//! A session without threads: a manual clock, lanes driven by the test, invariant 1 checked after every step.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod echo;

use std::sync::Arc;
use std::time::Duration;

use headway_core::admission::{Overflow, Patience};
use headway_core::clock::{Clock, ManualClock};
use headway_core::error::{Error, ErrorKind};
use headway_core::metrics::Counters;
use headway_core::request::{Inputs, Outcome, Request, StreamKey, Wanted};
use headway_core::runtime::Shared;
use headway_core::slot::SlotRef;
use headway_core::state::{Config, Delivery, FlowConfig, Manner, Output, Pulled};
use headway_core::stats::Stats;
use headway_core::value::{Value, Values};
use headway_core::work::Work;

/// Inputs or outputs that carry a number.
pub fn values(number: u64) -> Values {
    Values::from_iter([Value::Opaque(Arc::new(number))])
}

/// The number that values carry.
pub fn number(values: &Values) -> u64 {
    match &values[0] {
        Value::Opaque(owner) => *owner.downcast_ref::<u64>().expect("a number"),
        other => panic!("{other:?}"),
    }
}

/// The number that a job's inputs carry.
pub fn asked(inputs: &Inputs) -> u64 {
    match inputs {
        Inputs::Feeds(values) => number(values),
        Inputs::Binding(_) => panic!("no bindings here"),
    }
}

/// An outcome in a word, with the number that the answer carries.
pub fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(values) => format!("done {}", number(values)),
        Outcome::Failed(_) => "failed".into(),
        Outcome::Dropped(reason) => format!("dropped {}", reason.as_str()),
        Outcome::Expired { running: true } => "expired running".into(),
        Outcome::Expired { running: false } => "expired waiting".into(),
        Outcome::Cancelled => "cancelled".into(),
    }
}

/// What a slot's outcome is, taken out.
pub fn outcome(slot: &SlotRef) -> String {
    slot.take_outcome().map_or("none".into(), |outcome| word(&outcome))
}

pub fn flow(queue_depth: usize, overflow: Overflow) -> FlowConfig {
    FlowConfig { queue_depth, overflow }
}

/// Something to hand in.
pub struct Ask {
    pub request: Request,
    pub manner: Manner,
}

pub fn ask(number: u64) -> Ask {
    let request = Request::new(Inputs::Feeds(values(number)), Wanted::All);
    Ask { request, manner: Manner::default() }
}

impl Ask {
    pub fn priority(mut self, priority: i32) -> Self {
        self.request.priority = priority;
        self
    }
    pub fn key(mut self, key: i64) -> Self {
        self.request.stream = Some(StreamKey::Int(key));
        self
    }
    /// Expires at this many milliseconds of the clock.
    pub fn deadline(mut self, at: u64) -> Self {
        self.request.deadline = Some(Duration::from_millis(at));
        self
    }
    /// Brings a callback that carries the request's number.
    pub fn callback(mut self) -> Self {
        self.manner.callback = Some(Box::new(asked(&self.request.inputs)));
        self
    }
    pub fn patience(mut self, patience: Patience) -> Self {
        self.manner.patience = patience;
        self
    }
    /// Waits for room until this many milliseconds of the clock.
    pub fn room_until(mut self, at: u64) -> Self {
        self.manner.room_until = Some(Duration::from_millis(at));
        self.patience(Patience::Wait)
    }
    pub fn waits(self) -> Self {
        self.patience(Patience::Wait)
    }
    pub fn any_lane(mut self) -> Self {
        self.manner.any_lane = true;
        self
    }
    pub fn urgent(mut self) -> Self {
        self.manner.urgent = true;
        self
    }
    pub fn on(mut self, flow: usize) -> Self {
        self.manner.flow = flow;
        self
    }
}

/// The session and its clock.
pub struct Bench {
    pub flow: Arc<Shared>,
    pub clock: ManualClock,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let clock = ManualClock::default();
        let flow = Shared::new(config, None, Clock::Manual(clock.clone())).expect("no engine, no error");
        Bench { flow, clock }
    }

    /// Looks at the counters; invariant 1 holds for the session, each key and the folded ones.
    pub fn stats(&self) -> Stats {
        let stats = self.flow.stats();
        assert!(stats.counters.conserved(), "{:?}", stats.counters);
        let mut keyed = stats.folded.clone();
        assert!(keyed.conserved(), "{keyed:?}");
        for (key, counters) in &stats.streams {
            assert!(counters.conserved(), "{key:?}: {counters:?}");
            keyed.add(counters);
        }
        assert!(keyed.submitted <= stats.counters.submitted);
        stats
    }

    pub fn counters(&self) -> Counters {
        self.stats().counters
    }

    pub fn try_submit(&self, ask: Ask) -> Result<SlotRef, Error> {
        let result = self.flow.submit(ask.request, ask.manner);
        self.stats();
        result
    }

    pub fn submit(&self, ask: Ask) -> SlotRef {
        self.try_submit(ask).expect("room")
    }

    pub fn refused(&self, ask: Ask) -> ErrorKind {
        let before = self.counters();
        let error = self.try_submit(ask).expect_err("no room");
        let after = self.counters();
        assert_eq!((after.rejected, after.submitted), (before.rejected + 1, before.submitted));
        error.kind
    }

    pub fn take(&self, lane: usize) -> Option<Work> {
        let work = self.flow.try_take(lane);
        self.stats();
        work
    }

    /// Takes work and says what it is to run.
    pub fn start(&self, lane: usize) -> (Work, Vec<u64>) {
        let work = self.take(lane).expect("work");
        let numbers = numbers(&work);
        (work, numbers)
    }

    /// Ends work well: every answer carries its request's number.
    pub fn answer(&self, mut work: Work) -> Option<Outcome> {
        for job in &mut work.jobs {
            job.result = Some(Ok(values(asked(&job.inputs))));
        }
        self.complete(work)
    }

    /// Ends work badly.
    pub fn fail(&self, mut work: Work) -> Option<Outcome> {
        for job in &mut work.jobs {
            job.result = Some(Err(Error::new(ErrorKind::Engine, "no")));
        }
        self.complete(work)
    }

    pub fn complete(&self, work: Work) -> Option<Outcome> {
        let outcome = self.flow.complete(work);
        self.stats();
        outcome
    }

    /// Runs what is next on the lane; the number that ran.
    pub fn run(&self, lane: usize) -> Option<u64> {
        let work = self.take(lane)?;
        let number = numbers(&work)[0];
        self.answer(work);
        Some(number)
    }

    /// Runs everything that may run on lane 0.
    pub fn run_all(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.run(0)).collect()
    }

    pub fn cancel(&self, slot: &SlotRef) -> bool {
        let ended = self.flow.cancel(slot);
        self.stats();
        ended
    }

    pub fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        self.flow.expire();
        self.stats();
    }

    /// Callbacks that are due, taken by the delivery thread.
    pub fn due(&self, most: usize) -> Vec<Delivery> {
        let mut due = Vec::new();
        self.flow.try_deliveries(most, &mut due);
        self.stats();
        due
    }

    pub fn returned(&self, delivery: &Delivery, raised: bool) {
        self.flow.delivered(delivery, raised);
        self.stats();
    }

    /// Calls the callbacks that are due, one after the other; each one's number and outcome.
    pub fn deliver(&self) -> Vec<String> {
        std::iter::from_fn(|| {
            let due = self.due(1);
            let delivery = due.first()?;
            let tags = delivery.slot.take_tags();
            let called: Vec<String> =
                tags.iter().map(|tag| tag.downcast_ref::<u64>().expect("a number").to_string()).collect();
            let text = format!("{}: {}", called.join("+"), outcome(&delivery.slot));
            self.returned(delivery, false);
            Some(text)
        })
        .collect()
    }
}

/// What work is to run.
pub fn numbers(work: &Work) -> Vec<u64> {
    work.jobs.iter().map(|job| asked(&job.inputs)).collect()
}

/// The other end of a flow whose outcomes are pulled.
impl Bench {
    pub fn open_pulled(&self, queue_depth: usize, overflow: Overflow) -> usize {
        self.flow.open_pulled(flow(queue_depth, overflow)).expect("open")
    }

    /// What a pull that does not wait finds: an outcome with its request's number, `gap n`, `nothing` or `end`.
    pub fn pull(&self, flow: usize) -> String {
        let pulled = self.flow.pull(flow, Some(std::time::Instant::now()));
        self.stats();
        match pulled {
            Pulled::Output(Output::Item(delivery)) => {
                let tags = delivery.slot.take_tags();
                let number = tags[0].downcast_ref::<u64>().expect("a number");
                format!("{number}: {}", outcome(&delivery.slot))
            }
            Pulled::Output(Output::Gap(count)) => format!("gap {count}"),
            Pulled::Nothing => "nothing".into(),
            Pulled::End => "end".into(),
        }
    }

    /// Everything that can be pulled now, and what stands behind it.
    pub fn pull_all(&self, flow: usize) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let one = self.pull(flow);
            let over = one == "end" || one == "nothing";
            all.push(one);
            if over {
                return all;
            }
        }
    }
}

/// How many of a flow's requests have ended and were handed over.
pub fn ended(counters: &Counters) -> u64 {
    let dropped: u64 = counters.dropped.iter().sum();
    counters.done + counters.failed + dropped + counters.expired + counters.cancelled
}
