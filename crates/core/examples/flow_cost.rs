//! What one empty request costs in the flow itself: begun inline, and through a worker with a window of 32.
//!
//! `cargo run -p headway-core --release --example flow_cost`

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::admission::{Overflow, Patience};
use headway_core::clock::Clock;
use headway_core::engine::{Control, Engine, Job, Lane, ModelInfo};
use headway_core::error::Error;
use headway_core::request::{Inputs, Request, Wanted};
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::SlotRef;
use headway_core::state::{Config, FlowConfig, Manner};
use headway_core::threads::Threads;
use headway_core::value::Values;

/// Answers at once with nothing.
struct Empty(ModelInfo);
struct EmptyLane;

impl Engine for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }
    fn info(&self) -> &ModelInfo {
        &self.0
    }
    fn open_lane(&self, _: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(EmptyLane))
    }
    fn can_cancel(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Lane for EmptyLane {
    fn run(&mut self, jobs: &mut [Job]) {
        jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
    }
    fn control(&self) -> Option<Arc<dyn Control>> {
        None
    }
}

fn request() -> Request {
    Request::new(Inputs::Feeds(Values::new()), Wanted::All)
}

fn session(spin: Duration) -> Result<Arc<Shared>, Error> {
    let flow = FlowConfig { queue_depth: 64, overflow: Overflow::Block };
    let config = Config { flow, spin, ..Config::default() };
    Shared::new(config, Some(Arc::new(Empty(ModelInfo::default()))), Clock::system())
}

fn inline(flow: &Arc<Shared>, count: u32) {
    for _ in 0..count {
        if let Ok(mut work) = flow.begin(request(), false) {
            work.run();
            flow.complete(work);
        }
    }
}

/// The same steps as through a worker, without the cost of waking threads.
fn driven(flow: &Arc<Shared>, count: u32) -> Result<(), Error> {
    let mut window: Vec<SlotRef> = Vec::with_capacity(32);
    for _ in 0..count / 32 {
        for _ in 0..32 {
            window.push(flow.submit(request(), Manner::default())?);
        }
        while let Some(mut work) = flow.try_take(0) {
            work.run();
            flow.complete(work);
        }
        window.drain(..).for_each(|slot| drop(slot.take_outcome()));
    }
    Ok(())
}

fn windowed(flow: &Arc<Shared>, count: u32, execute: bool) -> Result<(), Error> {
    let mut window: VecDeque<SlotRef> = VecDeque::new();
    let how = Waiting { execute, ahead: false, again: false };
    for _ in 0..count {
        if window.len() == 32
            && let Some(slot) = window.pop_front()
        {
            flow.wait(&slot, None, how);
            slot.take_outcome();
        }
        window.push_back(flow.submit(request(), Manner { patience: Patience::Wait, ..Manner::default() })?);
    }
    window.iter().for_each(|slot| drop(flow.wait(slot, None, how)));
    Ok(())
}

/// The best of several rounds, in nanoseconds a request.
fn best(count: u32, mut round: impl FnMut()) -> f64 {
    let rounds = (0..15).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed().as_nanos() as f64 / f64::from(count)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const COUNT: u32 = 100_000;
    let mut out = std::io::stdout();
    let flow = session(Duration::ZERO)?;
    writeln!(out, "inline: begin + complete            {:6.0} ns", best(COUNT, || inline(&flow, COUNT)))?;
    let cost = best(COUNT, || drop(driven(&flow, COUNT)));
    writeln!(out, "window of 32, all on one thread:    {cost:6.0} ns")?;
    for spin in [Duration::ZERO, Duration::from_micros(20)] {
        for execute in [false, true] {
            let flow = session(spin)?;
            let threads = Threads::start(&flow)?;
            let cost = best(COUNT, || drop(windowed(&flow, COUNT, execute)));
            writeln!(out, "window of 32, spin {spin:?}, execute {execute}: {cost:6.0} ns")?;
            threads.join(&flow.finish_close(None));
        }
    }
    Ok(())
}
