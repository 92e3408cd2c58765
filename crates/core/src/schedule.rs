//! The waiting requests and who is next, decided purely.
//!
//! Larger priorities first; within a priority the stream keys take turns; within a key first come first served.

use std::collections::{HashMap, VecDeque};

use smallvec::SmallVec;

use crate::request::Ticket;

/// A stream key's number inside one session.
pub type KeyId = u32;

/// One waiting request, as the schedule knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its ticket; rising within every queue.
    pub ticket: Ticket,
    /// Where the state keeps it.
    pub index: usize,
    /// Its priority.
    pub priority: i32,
    /// Its stream key, if it has one.
    pub key: Option<KeyId>,
}

/// What a look at a waiting request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It goes along.
    Taken,
    /// It does not.
    Passed,
    /// It goes along, and there is no room for more.
    Enough,
}

/// How many requests without a key are looked at for one that goes along.
const LOOK: usize = 64;

/// Requests of one priority.
#[derive(Debug, Default)]
struct Level {
    priority: i32,
    /// Requests without a key: one more party in the ring.
    plain: VecDeque<Item>,
    keyed: HashMap<KeyId, VecDeque<Item>>,
    /// Parties that have something waiting, in the order of their turns. `None` is the plain party.
    ring: VecDeque<Option<KeyId>>,
}

impl Level {
    fn queue(&self, key: Option<KeyId>) -> Option<&VecDeque<Item>> {
        match key {
            None => Some(&self.plain),
            Some(key) => self.keyed.get(&key),
        }
    }

    fn queue_mut(&mut self, key: Option<KeyId>) -> &mut VecDeque<Item> {
        match key {
            None => &mut self.plain,
            Some(key) => self.keyed.entry(key).or_default(),
        }
    }

    fn push(&mut self, item: Item) {
        let queue = self.queue_mut(item.key);
        queue.push_back(item);
        if queue.len() == 1 {
            self.ring.push_back(item.key);
        }
    }

    /// The item that goes next: the first party's whose head may start.
    fn next(&self, may_start: &mut impl FnMut(&Item) -> bool) -> Option<Item> {
        self.ring.iter().find_map(|key| {
            let head = *self.queue(*key)?.front()?;
            may_start(&head).then_some(head)
        })
    }

    /// The party goes to the end of the ring, if anything of it is left.
    fn end_turn(&mut self, key: Option<KeyId>) {
        if let Some(turn) = self.ring.iter().position(|other| *other == key) {
            self.ring.remove(turn);
            self.ring.push_back(key);
        }
    }

    fn remove(&mut self, item: &Item) -> bool {
        let queue = self.queue_mut(item.key);
        let found = queue.binary_search_by_key(&item.ticket, |other| other.ticket);
        if let Ok(place) = found {
            queue.remove(place);
        }
        if queue.is_empty() {
            self.ring.retain(|key| *key != item.key);
            self.forget(item.key);
        }
        found.is_ok()
    }

    fn forget(&mut self, key: Option<KeyId>) {
        if let Some(key) = key {
            self.keyed.remove(&key);
        }
    }
}

/// How far a party has been looked at.
struct Round<'a> {
    keyed: bool,
    items: std::collections::vec_deque::Iter<'a, Item>,
}

impl Round<'_> {
    /// The party's next request that goes along; `Passed` when there is none.
    fn next(&mut self, visit: &mut impl FnMut(&Item) -> Seen) -> Seen {
        for item in self.items.by_ref().take(LOOK) {
            match visit(item) {
                Seen::Passed if self.keyed => return Seen::Passed,
                Seen::Passed => {}
                seen => return seen,
            }
        }
        Seen::Passed
    }
}

/// The waiting requests of one flow.
#[derive(Debug, Default)]
pub struct Queue {
    /// Largest priority first; empty levels other than the usual one are removed.
    levels: Vec<Level>,
    len: usize,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a request behind those of its key and priority.
    pub fn push(&mut self, item: Item) {
        self.len += 1;
        let place = self.levels.partition_point(|level| level.priority > item.priority);
        match self.levels.get_mut(place) {
            Some(level) if level.priority == item.priority => level.push(item),
            _ => {
                let mut level = Level { priority: item.priority, ..Level::default() };
                level.push(item);
                self.levels.insert(place, level);
            }
        }
    }

    /// The request that goes next, left where it is.
    pub fn peek(&self, mut may_start: impl FnMut(&Item) -> bool) -> Option<Item> {
        self.levels.iter().find_map(|level| level.next(&mut may_start))
    }

    /// Takes a request to run it: whoever it belongs to has had its turn. False when it does not wait here.
    pub fn take(&mut self, item: &Item) -> bool {
        self.extract(item, true)
    }

    /// Takes a request that will not run. False when it does not wait here.
    pub fn remove(&mut self, item: &Item) -> bool {
        self.extract(item, false)
    }

    fn extract(&mut self, item: &Item, turn_over: bool) -> bool {
        let place = self.levels.partition_point(|level| level.priority > item.priority);
        let Some(level) = self.levels.get_mut(place).filter(|level| level.priority == item.priority) else {
            return false;
        };
        let removed = level.remove(item);
        if removed && turn_over {
            level.end_turn(item.key);
        }
        self.len -= usize::from(removed);
        self.tidy();
        removed
    }

    /// The first request in schedule order that satisfies `wanted`, heads or not.
    pub fn find(&self, mut wanted: impl FnMut(&Item) -> bool) -> Option<Item> {
        self.levels.iter().find_map(|level| {
            level.ring.iter().filter_map(|key| level.queue(*key)).flatten().find(|item| wanted(item)).copied()
        })
    }

    /// Shows the requests of one priority in the order in which they may run together: the parties in turn, one of each
    /// a round. Nobody passes another of its own key; `one_each` takes at most one of a key.
    pub fn together(&self, priority: i32, one_each: bool, mut visit: impl FnMut(&Item) -> Seen) {
        let Some(level) = self.levels.iter().find(|level| level.priority == priority) else { return };
        let mut parties: SmallVec<[Round<'_>; 8]> = SmallVec::new();
        for key in &level.ring {
            let Some(queue) = level.queue(*key) else { continue };
            let mut round = Round { keyed: key.is_some(), items: queue.iter() };
            match round.next(&mut visit) {
                Seen::Enough => return,
                Seen::Taken if !(round.keyed && one_each) => parties.push(round),
                Seen::Taken | Seen::Passed => {}
            }
        }
        while !parties.is_empty() {
            let mut full = false;
            parties.retain(|round| {
                let seen = if full { Seen::Enough } else { round.next(&mut visit) };
                full |= seen == Seen::Enough;
                seen == Seen::Taken
            });
            if full {
                return;
            }
        }
    }

    /// The waiting requests of the item's key and priority, first come first.
    pub fn party(&self, item: &Item) -> impl Iterator<Item = &Item> {
        let level = self.levels.iter().find(|level| level.priority == item.priority);
        level.and_then(|level| level.queue(item.key)).into_iter().flatten()
    }

    /// Who makes room under `drop_oldest`: the oldest of the lowest priority, of the key holding most.
    pub fn victim(&self) -> Option<Item> {
        let level = self.levels.iter().rev().find(|level| !level.ring.is_empty())?;
        let mut best: Option<&VecDeque<Item>> = None;
        for queue in level.ring.iter().filter_map(|key| level.queue(*key)) {
            if best.is_none_or(|most| queue.len() > most.len()) {
                best = Some(queue);
            }
        }
        best?.front().copied()
    }

    /// Every waiting request, in no particular order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.levels.iter().flat_map(|level| level.plain.iter().chain(level.keyed.values().flatten()))
    }

    /// Keeps one level so that the usual flow never allocates; others go when empty.
    fn tidy(&mut self) {
        if self.levels.len() > 1 {
            self.levels.retain(|level| !level.ring.is_empty());
        }
    }
}

/// Chooses among flows: the largest top priority wins, equals take turns starting after `last`.
pub fn choose_flow(tops: impl Iterator<Item = (usize, i32)>, last: usize) -> Option<usize> {
    let mut best: Option<(usize, i32)> = None;
    let turn = |flow: usize| if flow > last { flow - last } else { flow + usize::MAX / 2 };
    for (flow, priority) in tops {
        let better = best
            .is_none_or(|(other, most)| priority > most || (priority == most && turn(flow) < turn(other)));
        if better {
            best = Some((flow, priority));
        }
    }
    best.map(|(flow, _)| flow)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Callers choose priorities and keys freely: nothing is kept of those that nobody uses any more.
    #[test]
    fn what_is_empty_is_forgotten() {
        let mut queue = Queue::default();
        for ticket in 1..100_u32 {
            let item = Item { ticket: ticket.into(), index: 0, priority: ticket as i32, key: Some(ticket) };
            queue.push(item);
            assert!(queue.take(&item));
        }
        assert!(queue.is_empty() && queue.levels.len() <= 1);
        assert!(queue.levels.iter().all(|level| level.keyed.is_empty() && level.ring.is_empty()));
    }
}
