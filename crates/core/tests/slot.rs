//! What a request's cell shows to whoever holds it.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::admission::Overflow;
use headway_core::bell::Bell;
use headway_core::slot::{Milestone, Seen};
use headway_core::state::Config;
use support::{Bench, ask, flow, outcome};

fn bench(overflow: Overflow) -> Bench {
    Bench::new(Config { flow: flow(1, overflow), ..Config::default() })
}

#[test]
fn a_place_in_the_line_is_no_ticket() {
    let bench = bench(Overflow::Block);
    let first = bench.submit(ask(1));
    let lined = bench.submit(ask(2).waits());
    let refused = bench.submit(ask(3).waits());
    assert_eq!([&first, &lined].map(|slot| slot.is_admitted()), [true, false]);
    assert_eq!(
        [&first, &lined].map(|slot| (slot.ticket(), slot.ticket_given())),
        [(Some(1), Some(1)), (None, None)]
    );
    let look = |slot: &headway_core::slot::SlotRef| {
        slot.wait(Milestone::Admitted, Some(Instant::now()), Duration::ZERO)
    };
    assert!(matches!(look(&first), Seen::Admitted(1)));
    assert!(matches!(look(&lined), Seen::TimedOut));
    bench.cancel(&refused);
    assert!(matches!(look(&refused), Seen::Refused(_)) && !refused.is_admitted());
    bench.run(0);
    assert!(matches!(look(&lined), Seen::Admitted(2)) && lined.is_admitted());
    bench.run(0);
    assert_eq!((lined.ticket(), lined.ticket_given(), lined.is_admitted()), (None, Some(2), true));
    assert_eq!(outcome(&lined), "done 2");
    assert!(lined.is_admitted() && matches!(look(&lined), Seen::Ended));
}

#[test]
fn it_was_dropped_until_somebody_takes_that() {
    let bench = bench(Overflow::DropNewest);
    let first = bench.submit(ask(1));
    let dropped = bench.submit(ask(2));
    assert_eq!([&first, &dropped].map(|slot| slot.was_dropped()), [false, true]);
    bench.run(0);
    assert!(!first.was_dropped());
    assert_eq!((outcome(&dropped), dropped.was_dropped()), ("dropped overflow".into(), false));
}

#[test]
fn a_bell_rings_at_its_milestone_unless_it_was_taken_away() {
    let bench = bench(Overflow::Block);
    let (bell, other) =
        (Arc::new(Bell::new().expect("a descriptor")), Arc::new(Bell::new().expect("a descriptor")));
    bench.submit(ask(1));
    let lined = bench.submit(ask(2).waits());
    assert!(lined.subscribe(Milestone::Admitted, &bell, 1) && lined.subscribe(Milestone::Ended, &bell, 2));
    assert!(lined.subscribe(Milestone::Ended, &other, 3));
    bench.run(0);
    assert_eq!((bell.answer(), other.answer()), (vec![1], vec![]));
    assert!(!lined.subscribe(Milestone::Admitted, &bell, 4), "it is past");
    lined.unsubscribe(&other);
    bench.run(0);
    assert_eq!((bell.answer(), other.answer()), (vec![2], vec![]));
    assert!(!lined.subscribe(Milestone::Ended, &bell, 5));
}
