//! What a lane costs on a tiny model: alone, beside a second lane, and with its outputs freed on another thread.
//!
//! `cargo run --release -p headway-engines --example lane_cost`. Finds the library as the tests do.
#![allow(clippy::print_stdout)] // a measurement's whole point

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use headway_core::engine::{Engine, Lane};
use headway_core::request::Wanted;
use headway_core::value::Value;
use headway_engines::ort::{LoadOptions, ModelSource, OrtEngine, SessionConfig};

const ROUNDS: u32 = 20_000;
const BEST_OF: usize = 15;

fn main() {
    for (label, entries) in [("own allocator", "1"), ("engine's arena", "0")] {
        println!("{label}");
        let config = SessionConfig {
            intra_op_num_threads: Some(1),
            config_entries: vec![("session.use_env_allocators".into(), entries.into())],
            ..SessionConfig::default()
        };
        let options = LoadOptions::new(support::source(), ModelSource::Path(support::model("mul")));
        let engine = OrtEngine::load(LoadOptions { config, ..options }).expect("the model loads");
        report("alone", || alone(&engine));
        report("beside a second lane", || beside(&engine));
        report("outputs freed elsewhere", || freed_elsewhere(&engine));
    }
}

fn report(label: &str, measure: impl Fn() -> f64) {
    let mut times: Vec<f64> = (0..BEST_OF).map(|_| measure()).collect();
    times.sort_by(f64::total_cmp);
    println!("  {label:24} best {:5.2} us, median {:5.2} us", times[0], times[BEST_OF / 2]);
}

fn feeds() -> [Value; 2] {
    [support::floats(&[1, 3], &[1.0; 3]), support::floats(&[1, 3], &[2.0; 3])]
}

/// Microseconds a run, `with` taking each result.
fn rounds(lane: &mut dyn Lane, mut with: impl FnMut(headway_core::value::Values)) -> f64 {
    let mut jobs = [support::job(feeds(), Wanted::All)];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        lane.run(&mut jobs);
        with(jobs[0].result.take().expect("a result").expect("success"));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

fn alone(engine: &dyn Engine) -> f64 {
    rounds(engine.open_lane(0).expect("a lane").as_mut(), drop)
}

fn beside(engine: &dyn Engine) -> f64 {
    thread::scope(|scope| {
        let lane = || rounds(engine.open_lane(0).expect("a lane").as_mut(), drop);
        let other = scope.spawn(lane);
        let own = lane();
        (own + other.join().expect("no panic")) / 2.0
    })
}

fn freed_elsewhere(engine: &dyn Engine) -> f64 {
    let (send, receive) = mpsc::sync_channel(64);
    let bin = thread::spawn(move || receive.into_iter().for_each(drop));
    // Batches of 16: the channel's own cost stays out of the figure.
    let mut batch = Vec::with_capacity(16);
    let time = rounds(engine.open_lane(0).expect("a lane").as_mut(), |values| {
        batch.push(values);
        if batch.len() == 16 {
            send.send(std::mem::replace(&mut batch, Vec::with_capacity(16)))
                .expect("the other thread listens");
        }
    });
    drop((batch, send));
    bin.join().expect("no panic");
    time
}
