//! Threads that spin before they park hear of everything that a parked one is woken for.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::admission::Overflow;
use headway_core::clock::Clock;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Seen, SlotRef};
use headway_core::state::Config;
use headway_core::threads::Threads;
use headway_core::work::Work;
use support::{ask, echo::Echo, flow, outcome};

/// Longer than any test waits: what is not heard while spinning is not heard at all.
const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(20);

fn session(workers: usize, caller_lanes: usize, spin: Duration) -> Arc<Shared> {
    let config = Config { workers, caller_lanes, flow: flow(64, Overflow::Block), spin, ..Config::default() };
    Shared::new(config, Some(Arc::new(Echo::default())), Clock::system()).expect("lanes")
}

/// Requests that come one by one find a lane each time, however its thread waits.
fn answers_one_by_one(workers: usize, spin: Duration) {
    let flow = session(workers, 0, spin);
    let threads = Threads::start(&flow).expect("threads");
    for number in 100..2100 {
        let slot = submit(&flow, number);
        let seen = flow.wait(&slot, Some(Instant::now() + SOON), Waiting::default());
        assert!(matches!(seen, Seen::Ended), "request {number} is lost: {:?}", flow.stats().counters);
        assert_eq!(outcome(&slot), format!("done {number}"));
    }
    flow.begin_close(true);
    threads.join(&flow.finish_close(Some(SOON)));
}

#[test]
fn no_request_is_lost_between_spinning_and_parking() {
    // About as long as a round trip takes: requests come while a thread goes from one to the other.
    for micros in [0, 1, 5, 20, 100] {
        answers_one_by_one(1, Duration::from_micros(micros));
        answers_one_by_one(3, Duration::from_micros(micros));
    }
}

#[test]
fn a_spinning_worker_hears_of_work_and_of_the_end() {
    answers_one_by_one(1, LONG);
    answers_one_by_one(2, LONG);
}

#[test]
fn a_spinning_caller_comes_back_in_time() {
    let flow = session(1, 0, LONG);
    learn(&flow);
    let slot = submit(&flow, 2);
    let until = Instant::now() + Duration::from_millis(20);
    assert!(matches!(flow.wait(&slot, Some(until), Waiting::default()), Seen::TimedOut));
}

#[test]
fn a_spinning_caller_takes_the_lane_that_it_is_granted() {
    let how = Waiting { execute: true, ..Waiting::default() };
    let flow = session(1, 1, LONG);
    learn(&flow);
    let lanes = [begin(&flow, 7), begin(&flow, 8)];
    let asked = ask(9).any_lane();
    let slot = flow.submit(asked.request, asked.manner).expect("room");
    assert!(matches!(flow.wait(&slot, Some(Instant::now()), how), Seen::TimedOut), "no lane is free");
    for work in lanes {
        flow.complete(work);
    }
    let start = Instant::now();
    assert!(matches!(flow.wait(&slot, Some(start + SOON), how), Seen::Ended));
    assert!(start.elapsed() < SOON, "the grant was found only after the spin");
    assert_eq!(outcome(&slot), "done 9");
}

/// From now on the session knows its model to be quick: who waits for a request spins.
fn learn(flow: &Arc<Shared>) {
    let mut work = begin(flow, 1);
    work.run();
    flow.complete(work);
    assert!(flow.usual_run().is_some());
}

fn begin(flow: &Arc<Shared>, number: u64) -> Work {
    flow.begin(ask(number).request, false).expect("a lane")
}

fn submit(flow: &Arc<Shared>, number: u64) -> SlotRef {
    let asked = ask(number);
    flow.submit(asked.request, asked.manner).expect("room")
}

#[test]
fn a_spinning_delivery_thread_hears_of_outcomes_and_of_the_end() {
    for spin in [Duration::ZERO, Duration::from_micros(5), LONG] {
        let flow = session(1, 0, spin);
        // It spins only once the model is known to be quick.
        learn(&flow);
        let threads = Threads::start(&flow).expect("threads");
        let (other, (called, calls)) = (Arc::clone(&flow), std::sync::mpsc::channel());
        let delivery = std::thread::spawn(move || {
            let mut due = Vec::new();
            while other.next_deliveries(8, &mut due) {
                for delivery in due.drain(..) {
                    other.delivered(&delivery, false);
                    called.send(delivery.ticket).expect("the test waits");
                }
            }
        });
        for number in 100..600 {
            let mut asked = ask(number);
            asked.manner.callback = Some(Box::new(()));
            let slot = flow.submit(asked.request, asked.manner).expect("room");
            let ticket = calls.recv_timeout(SOON).expect("a callback is lost");
            assert_eq!(slot.ticket_given(), Some(ticket));
        }
        flow.begin_close(true);
        threads.join(&flow.finish_close(Some(SOON)));
        delivery.join().expect("it leaves");
    }
}
