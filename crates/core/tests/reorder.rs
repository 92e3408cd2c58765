//! Reorder against a sorted list: outcomes leave in the order in which their places were opened.

use headway_core::reorder::Reorder;
use proptest::prelude::*;

proptest! {
    #[test]
    fn outcomes_leave_in_order_whatever_the_order_of_endings(
        gaps in prop::collection::vec(1..4_u64, 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let mut reorder = Reorder::default();
        let mut ticket = 0;
        let tickets: Vec<u64> = gaps.iter().map(|gap| { ticket += gap; ticket }).collect();
        tickets.iter().for_each(|ticket| reorder.open(*ticket));
        let (mut left, mut ended, mut out) = (tickets.clone(), Vec::new(), Vec::new());
        for pick in order.iter().take(tickets.len()) {
            let one = left.remove(pick.index(left.len()));
            prop_assert!(reorder.fill(one, one * 10));
            prop_assert!(!reorder.fill(one, 0), "a place is filled once");
            ended.push(one);
            while let Some((gap, item)) = reorder.pop() {
                prop_assert_eq!(gap, 0);
                out.push(item / 10);
            }
            // What has left is exactly the prefix that has ended, and the head is the first that has not.
            let prefix: Vec<u64> = tickets.iter().copied().take_while(|t| ended.contains(t)).collect();
            prop_assert_eq!(&out, &prefix);
            prop_assert_eq!(reorder.head(), tickets.get(out.len()).copied());
        }
        prop_assert!(reorder.is_empty());
        prop_assert_eq!(out, tickets);
    }
}

proptest! {
    #[test]
    fn given_up_places_are_counted_before_the_next_outcome_and_never_twice(
        skipped in prop::collection::vec(any::<bool>(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let mut reorder = Reorder::default();
        let count = skipped.len() as u64;
        (0..count).for_each(|ticket| reorder.open(ticket));
        let mut left: Vec<u64> = (0..count).collect();
        let (mut place, mut given_up) = (0, 0);
        while !left.is_empty() {
            let one = left.remove(order[left.len() - 1].index(left.len()));
            let taken = if skipped[one as usize] { reorder.skip(one) } else { reorder.fill(one, one) };
            prop_assert!(taken);
            prop_assert!(!reorder.skip(one), "a place is given up once, and never after it was filled");
            while let Some((gap, item)) = reorder.pop() {
                let before = (place..item).filter(|ticket| skipped[*ticket as usize]).count() as u64;
                prop_assert_eq!(gap, before);
                given_up += gap;
                place = item + 1;
            }
        }
        given_up += reorder.take_trailing();
        prop_assert!(reorder.is_empty());
        prop_assert_eq!(given_up, skipped.iter().filter(|skip| **skip).count() as u64);
    }
}

#[test]
fn unknown_tickets_are_refused() {
    let mut reorder = Reorder::default();
    reorder.open(3);
    assert!(!reorder.fill(2, ()));
    assert!(reorder.fill(3, ()));
    assert_eq!(reorder.pop(), Some((0, ())));
    assert!(!reorder.fill(3, ()));
    assert_eq!(reorder.pop(), None);
}
