//! Order of delivery for one consumer, decided purely.

use std::collections::VecDeque;

use crate::request::Ticket;

/// Holds outcomes back until everything opened before them has ended.
///
/// Bounded by construction: whatever it holds was admitted.
#[derive(Debug)]
pub struct Reorder<T> {
    /// Tickets in order of admission, with what has ended.
    places: VecDeque<(Ticket, Option<T>)>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Reorder { places: VecDeque::new() }
    }
}

impl<T> Reorder<T> {
    /// Takes a place at the end. Tickets rise.
    pub fn open(&mut self, ticket: Ticket) {
        debug_assert!(self.places.back().is_none_or(|(last, _)| *last < ticket));
        self.places.push_back((ticket, None));
    }

    /// Puts an outcome in its place. False (and the item is lost) when the ticket has no open place.
    pub fn fill(&mut self, ticket: Ticket, item: T) -> bool {
        match self.places.binary_search_by_key(&ticket, |(other, _)| *other) {
            Ok(place) if self.places[place].1.is_none() => {
                self.places[place].1 = Some(item);
                true
            }
            _ => false,
        }
    }

    /// The next outcome in order, if it is there.
    pub fn pop(&mut self) -> Option<T> {
        let ready = self.places.front().is_some_and(|(_, item)| item.is_some());
        if ready { self.places.pop_front().and_then(|(_, item)| item) } else { None }
    }

    /// The ticket that everything else waits for.
    pub fn head(&self) -> Option<Ticket> {
        self.places.front().filter(|(_, item)| item.is_none()).map(|(ticket, _)| *ticket)
    }

    /// True when no place is taken.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
