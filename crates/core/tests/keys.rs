//! Keys: numbers are never shared by two live keys, and folding loses no count.

use std::collections::HashMap;

use headway_core::keys::{IDLE_KEYS, Keys};
use headway_core::metrics::Counters;
use headway_core::request::StreamKey;
use proptest::prelude::*;

fn total(keys: &Keys) -> Counters {
    let mut sum = keys.folded.clone();
    keys.iter().for_each(|(_, counters)| sum.add(counters));
    sum
}

#[test]
fn idle_keys_beyond_the_bound_are_folded_into_one_total() {
    let mut keys = Keys::default();
    let count = IDLE_KEYS as i64 + 500;
    for number in 0..count {
        let id = keys.acquire(&StreamKey::Int(number));
        keys.get_mut(id).counters.submitted += 1;
        keys.release(id);
    }
    assert_eq!(keys.iter().count(), IDLE_KEYS);
    assert_eq!(keys.folded.submitted, 500);
    assert_eq!(total(&keys).submitted, count as u64);
}

#[test]
fn a_key_on_a_lane_is_never_folded() {
    let mut keys = Keys::default();
    let overrun = keys.acquire(&StreamKey::Int(-1));
    keys.start(overrun);
    // It ended (expired) and was handed over; its engine has not returned.
    keys.release(overrun);
    for number in 0..2 * IDLE_KEYS as i64 {
        let id = keys.acquire(&StreamKey::Int(number));
        assert_ne!(id, overrun, "the number of a key on a lane was given away");
        keys.release(id);
    }
    assert_eq!(keys.get(overrun).running, 1);
    keys.stop(overrun);
    assert_eq!(keys.get(overrun).running, 0);
}

proptest! {
    #[test]
    fn live_keys_keep_their_numbers(ops in prop::collection::vec((0..2000_i64, any::<bool>()), 1..3000)) {
        let mut keys = Keys::default();
        let mut live: HashMap<i64, (u32, usize)> = HashMap::new();
        let mut submitted = 0;
        for (number, over) in ops {
            if over {
                if let Some((id, count)) = live.get_mut(&number) {
                    keys.release(*id);
                    *count -= 1;
                }
                live.retain(|_, (_, count)| *count > 0);
            } else {
                let id = keys.acquire(&StreamKey::Int(number));
                keys.get_mut(id).counters.submitted += 1;
                submitted += 1;
                let entry = live.entry(number).or_insert((id, 0));
                prop_assert_eq!(entry.0, id);
                entry.1 += 1;
                prop_assert_eq!(&keys.get(id).key, &Some(StreamKey::Int(number)));
            }
        }
        prop_assert_eq!(total(&keys).submitted, submitted);
        let mut ids: Vec<u32> = live.values().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), live.len());
    }
}
