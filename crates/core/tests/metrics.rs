//! Histograms against exact quantiles, counters against their sum.

use std::time::Duration;

use headway_core::error::DropReason;
use headway_core::metrics::{Counters, End, Histogram};
use proptest::prelude::*;

/// The smallest value that at least `per_mille` of the values do not exceed.
fn exact(sorted: &[u64], per_mille: usize) -> u64 {
    sorted[(sorted.len() * per_mille).div_ceil(1000).max(1) - 1]
}

fn close(found: Duration, exact: u64) -> bool {
    let found = found.as_nanos() as f64;
    found >= exact as f64 && found <= exact as f64 * 1.063
}

proptest! {
    #[test]
    fn quantiles_are_right_to_six_percent(
        values in prop::collection::vec((0..43_u32, any::<u64>()).prop_map(|(bits, v)| v & ((1 << bits) - 1)), 1..300),
    ) {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(Duration::from_nanos(*value)));
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let summary = histogram.summary();
        for (found, per_mille) in
            [(summary.p50, 500), (summary.p90, 900), (summary.p99, 990), (summary.p999, 999)]
        {
            let exact = exact(&sorted, per_mille);
            prop_assert!(close(found, exact), "{per_mille}: {found:?} for {exact} ns");
        }
        prop_assert_eq!(summary.count, values.len() as u64);
        prop_assert_eq!(summary.max, Duration::from_nanos(sorted[sorted.len() - 1]));
        prop_assert_eq!(summary.mean, Duration::from_nanos(values.iter().sum::<u64>() / values.len() as u64));
    }

    #[test]
    fn every_ending_counts_once(ends in prop::collection::vec(0..7_usize, 0..60)) {
        let kinds = [
            End::Done,
            End::Failed,
            End::Expired,
            End::Cancelled,
            End::Dropped(DropReason::Overflow),
            End::Dropped(DropReason::PipelineReset),
            End::Dropped(DropReason::Unmatched),
        ];
        let mut counters = Counters { submitted: ends.len() as u64, waiting: ends.len() as u64, ..Counters::default() };
        for end in &ends {
            counters.waiting -= 1;
            prop_assert!(!counters.conserved());
            counters.end(kinds[*end]);
            prop_assert!(counters.conserved());
        }
        let mut twice = counters.clone();
        twice.add(&counters);
        prop_assert!(twice.conserved());
        prop_assert_eq!(twice.submitted, 2 * counters.submitted);
    }
}

#[test]
fn nothing_recorded_is_all_zero_and_the_longest_is_kept() {
    assert_eq!(Histogram::default().summary().p999, Duration::ZERO);
    let mut histogram = Histogram::default();
    histogram.record(Duration::MAX);
    assert_eq!(histogram.summary().p50, Duration::from_nanos(u64::MAX));
}
