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
            while let Some(item) = reorder.pop() {
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

#[test]
fn unknown_tickets_are_refused() {
    let mut reorder = Reorder::default();
    reorder.open(3);
    assert!(!reorder.fill(2, ()));
    assert!(reorder.fill(3, ()));
    assert_eq!(reorder.pop(), Some(()));
    assert!(!reorder.fill(3, ()));
    assert_eq!(reorder.pop(), None);
}
