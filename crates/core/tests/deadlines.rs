//! Deadlines against a naive list.

use std::time::Duration;

use headway_core::deadlines::Deadlines;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_due_comes_out_once_and_in_order(
        ops in prop::collection::vec((0..4_u8, 0..50_u64), 1..200),
    ) {
        let mut deadlines = Deadlines::default();
        let mut naive: Vec<(Duration, u64)> = Vec::new();
        let mut now = Duration::ZERO;
        for (id, (kind, number)) in ops.into_iter().enumerate() {
            let id = id as u64;
            match kind {
                0 | 1 => {
                    let at = now + Duration::from_millis(number);
                    deadlines.insert(at, id, id as usize + 1);
                    naive.push((at, id));
                }
                2 if !naive.is_empty() => {
                    let (at, id) = naive.swap_remove(number as usize % naive.len());
                    deadlines.remove(at, id);
                }
                _ => {
                    now += Duration::from_millis(number);
                    naive.sort_unstable();
                    while naive.first().is_some_and(|(at, _)| *at <= now) {
                        let (_, id) = naive.remove(0);
                        prop_assert_eq!(deadlines.pop_due(now), Some((id, id as usize + 1)));
                    }
                    prop_assert_eq!(deadlines.pop_due(now), None);
                }
            }
            prop_assert_eq!(deadlines.next(), naive.iter().map(|(at, _)| *at).min());
        }
    }
}
