//! Dynamic batching with several flows: whose turn it is while another flow's window has not ended.

mod support;

use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::batch::Limits;
use headway_core::request::Group;
use headway_core::state::Config;
use support::{Ask, Bench, ask, flow};

/// One lane, and windows of five milliseconds.
fn bench() -> Bench {
    let limits = Limits { max_size: 8, max_delay: Duration::from_millis(5) };
    let flow = flow(16, Overflow::Block);
    Bench::new(Config { batching: Some(limits), flow, delivery_depth: 99, ..Config::default() })
}

/// It waits for others of its group.
fn row(number: u64, key: u64) -> Ask {
    let mut ask = ask(number);
    ask.request.group = Some(Group { key, rows: 1 });
    ask
}

#[test]
fn what_delivery_waits_for_does_not_wait_behind_another_flows_window() {
    let bench = bench();
    let pulled = bench.open_pulled(2, Overflow::Raise);
    // The other flow is served first: the next turn is the session's own.
    bench.submit(ask(1).on(pulled).callback());
    assert_eq!((bench.run(0), bench.pull(pulled)), (Some(1), "1: done 1".into()));
    bench.submit(row(2, 7));
    assert!(bench.take(0).is_none(), "it waits for others");
    bench.submit(row(3, 8).on(pulled).callback());
    (4..=5).for_each(|number| drop(bench.submit(ask(number).on(pulled).callback().deadline(0))));
    assert_eq!(bench.counters().undelivered, 2, "behind the third, and that is the bound");
    assert_eq!(bench.run(0), Some(3), "pulling waits for it");
    assert_eq!(bench.pull_all(pulled), ["3: done 3", "4: expired waiting", "5: expired waiting", "nothing"]);
    assert!(bench.take(0).is_none(), "the window has not ended");
}

#[test]
fn flows_take_turns_beside_a_window() {
    let bench = bench();
    let flows = [1, 2].map(|_| bench.flow.open_flow(flow(4, Overflow::Block)).expect("open"));
    // The last flow is served first: the next turn is the session's own.
    bench.submit(ask(1).on(flows[1]));
    assert_eq!(bench.run(0), Some(1));
    bench.submit(row(2, 7));
    for (number, flow) in [(3, flows[0]), (4, flows[1]), (5, flows[0]), (6, flows[1])] {
        bench.submit(ask(number).on(flow));
    }
    assert_eq!(bench.run_all(), [3, 4, 5, 6], "in turn, as without a window");
    bench.submit(ask(7).on(flows[0]));
    bench.submit(ask(8).on(flows[1]).priority(1));
    assert_eq!(bench.run_all(), [8, 7]);
}
