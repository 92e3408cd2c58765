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

#[test]
fn the_oldest_idle_key_is_folded_first_and_a_busy_one_pushes_nobody_out() {
    let mut keys = Keys::default();
    let mut once = |number| {
        let id = keys.acquire(&StreamKey::Int(number));
        keys.get_mut(id).counters.submitted += 1;
        keys.release(id);
        id
    };
    for number in 0..IDLE_KEYS as i64 {
        once(number);
    }
    for _ in 0..IDLE_KEYS {
        once(1);
    }
    let last = once(-1);
    assert_ne!(once(0), last, "its number was given away, and it was not");
    let known: Vec<&StreamKey> = keys.iter().map(|(key, _)| key).collect();
    assert_eq!(known.len(), IDLE_KEYS);
    // 0 made room for -1, and 1 for 0.
    assert!(!known.contains(&&StreamKey::Int(1)) && known.contains(&&StreamKey::Int(0)));
    assert_eq!(keys.folded.submitted, 2 + IDLE_KEYS as u64);
}

#[test]
fn a_key_that_lives_again_when_its_turn_comes_is_folded_later() {
    let mut keys = Keys::default();
    let again = keys.acquire(&StreamKey::Int(-1));
    keys.release(again);
    assert_eq!(keys.acquire(&StreamKey::Int(-1)), again);
    let mut highest = 0;
    let mut others = |keys: &mut Keys, from: i64| {
        for number in from..from + 2 * IDLE_KEYS as i64 {
            let id = keys.acquire(&StreamKey::Int(number));
            assert_ne!(id, again);
            highest = id.max(highest);
            keys.release(id);
        }
        highest
    };
    others(&mut keys, 0);
    assert_eq!(keys.get(again).key, Some(StreamKey::Int(-1)));
    keys.release(again);
    assert_eq!(keys.iter().count(), IDLE_KEYS);
    let id = keys.acquire(&StreamKey::Int(-2));
    keys.release(id);
    (0..IDLE_KEYS as i64).for_each(|number| {
        let id = keys.acquire(&StreamKey::Int(10_000 + number));
        keys.release(id);
    });
    assert!(keys.iter().all(|(key, _)| *key != StreamKey::Int(-1)), "nothing of it is left to fold it for");
    assert_eq!(keys.iter().count(), IDLE_KEYS);
    let highest = (0..3 * IDLE_KEYS as i64).map(|number| {
        let id = keys.acquire(&StreamKey::Int(20_000 + number));
        keys.release(id);
        id
    });
    assert!(highest.max() <= Some(IDLE_KEYS as u32 + 1), "numbers are given out again");
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
