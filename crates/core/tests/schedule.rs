//! The schedule against a naive list: larger priority first, keys take turns, first come first served in a key.

use headway_core::schedule::{Item, Queue, Seen, choose_flow};
use proptest::prelude::*;

/// Waiting requests in order of arrival, and per priority the keys in order of their turns.
#[derive(Default)]
struct Naive {
    items: Vec<Item>,
    turns: Vec<(i32, Option<u32>)>,
}

impl Naive {
    fn push(&mut self, item: Item) {
        self.items.push(item);
        if !self.turns.contains(&(item.priority, item.key)) {
            self.turns.push((item.priority, item.key));
        }
    }

    fn parties(&self) -> Vec<(i32, Option<u32>)> {
        let mut parties = self.turns.clone();
        parties.sort_by_key(|(priority, _)| -priority);
        parties
    }

    fn of(&self, party: (i32, Option<u32>)) -> Vec<Item> {
        self.items.iter().filter(|item| (item.priority, item.key) == party).copied().collect()
    }

    fn peek(&self, may: impl Fn(&Item) -> bool) -> Option<Item> {
        self.parties().into_iter().map(|party| self.of(party)[0]).find(may)
    }

    fn remove(&mut self, item: Item) -> bool {
        let before = self.items.len();
        self.items.retain(|other| *other != item);
        let party = (item.priority, item.key);
        if self.of(party).is_empty() {
            self.turns.retain(|other| *other != party);
        }
        self.items.len() < before
    }

    fn pop(&mut self, may: impl Fn(&Item) -> bool) -> Option<Item> {
        let item = self.peek(may)?;
        let party = (item.priority, item.key);
        self.remove(item);
        if let Some(turn) = self.turns.iter().position(|other| *other == party) {
            let party = self.turns.remove(turn);
            self.turns.push(party);
        }
        Some(item)
    }

    fn victim(&self) -> Option<Item> {
        let lowest = self.items.iter().map(|item| item.priority).min()?;
        let parties = self.turns.iter().filter(|(priority, _)| *priority == lowest);
        let most = parties.clone().map(|party| self.of(*party).len()).max()?;
        parties.map(|party| self.of(*party)).find(|items| items.len() == most).map(|items| items[0])
    }
}

#[derive(Debug, Clone)]
enum Op {
    Push(i32, Option<u32>),
    Pop(u32),
    Remove(usize),
    Victim,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (-1..2_i32, prop::option::of(0..3_u32)).prop_map(|(priority, key)| Op::Push(priority, key)),
        3 => (0..5_u32).prop_map(Op::Pop),
        1 => (0..20_usize).prop_map(Op::Remove),
        1 => Just(Op::Victim),
    ];
    prop::collection::vec(op, 1..120)
}

/// A look at who may run together ends with who says that there is no room for more.
#[test]
fn nobody_is_shown_after_the_last_that_fits() {
    let mut queue = Queue::default();
    for (ticket, key) in [(1, None), (2, Some(7)), (3, Some(8)), (4, None), (5, Some(7)), (6, Some(8))] {
        queue.push(Item { ticket, index: 0, priority: 0, key });
    }
    for room in 1..=6 {
        let mut shown = Vec::new();
        queue.together(0, false, |item| {
            shown.push(item.ticket);
            if shown.len() == room { Seen::Enough } else { Seen::Taken }
        });
        assert_eq!(shown, [1, 2, 3, 4, 5, 6][..room]);
    }
    let mut shown = Vec::new();
    queue.together(0, true, |item| {
        shown.push(item.ticket);
        Seen::Taken
    });
    assert_eq!(shown, [1, 2, 3, 4], "one of each key, and all that have none");
    queue.together(1, false, |item| panic!("{item:?} is of another priority"));
}

#[test]
fn who_is_passed_holds_up_its_own_key_only() {
    let mut queue = Queue::default();
    for (ticket, key) in [(1, None), (2, Some(7)), (3, None), (4, Some(7))] {
        queue.push(Item { ticket, index: 0, priority: 0, key });
    }
    let mut shown = Vec::new();
    queue.together(0, false, |item| {
        shown.push(item.ticket);
        if item.ticket <= 2 { Seen::Passed } else { Seen::Taken }
    });
    assert_eq!(shown, [1, 3, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn agrees_with_the_naive_list(ops in ops()) {
        let (mut queue, mut naive) = (Queue::default(), Naive::default());
        let mut ticket = 0;
        for op in ops {
            match op {
                Op::Push(priority, key) => {
                    ticket += 1;
                    let item = Item { ticket, index: ticket as usize * 7, priority, key };
                    queue.push(item);
                    naive.push(item);
                }
                Op::Pop(blocked) => {
                    // A blocked key stands for `serial` with a request of that key running.
                    let may = |item: &Item| item.key != Some(blocked);
                    prop_assert_eq!(queue.peek(may), naive.peek(may));
                    let next = queue.peek(may);
                    prop_assert!(next.is_none_or(|item| queue.take(&item)));
                    prop_assert_eq!(next, naive.pop(may));
                }
                Op::Remove(place) => {
                    let Some(item) = naive.items.get(place).copied() else { continue };
                    prop_assert_eq!(queue.find(|other| other.ticket == item.ticket), Some(item));
                    prop_assert!(queue.remove(&item) && naive.remove(item));
                    prop_assert!(!queue.remove(&item) && !queue.take(&item), "removed twice");
                }
                Op::Victim => {
                    prop_assert_eq!(queue.victim(), naive.victim());
                    if let Some(victim) = queue.victim() {
                        prop_assert!(queue.remove(&victim) && naive.remove(victim));
                    }
                }
            }
            prop_assert_eq!(queue.len(), naive.items.len());
            prop_assert_eq!(queue.is_empty(), naive.items.is_empty());
            let mut tickets: Vec<_> = queue.items().map(|item| item.ticket).collect();
            tickets.sort_unstable();
            prop_assert_eq!(tickets, naive.items.iter().map(|item| item.ticket).collect::<Vec<_>>());
            for item in &naive.items {
                let party: Vec<_> = queue.party(item).copied().collect();
                prop_assert_eq!(party, naive.of((item.priority, item.key)));
            }
        }
    }

    #[test]
    fn flows_take_turns_within_the_largest_priority(
        priorities in prop::collection::vec(prop::option::of(-1..2_i32), 1..6),
        start in 0..6_usize,
    ) {
        let tops = || priorities.iter().enumerate().filter_map(|(flow, top)| top.map(|top| (flow, top)));
        let best = tops().map(|(_, top)| top).max();
        let equals: Vec<usize> = tops().filter(|(_, top)| Some(*top) == best).map(|(flow, _)| flow).collect();
        let mut last = start;
        let served: Vec<usize> = (0..equals.len())
            .filter_map(|_| {
                last = choose_flow(tops(), last)?;
                Some(last)
            })
            .collect();
        let mut sorted = served.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, equals, "one round serves each once: {:?}", served);
    }
}
