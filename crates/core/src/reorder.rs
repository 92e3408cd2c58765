//! Order of delivery for one consumer, decided purely.

use std::collections::VecDeque;

use crate::request::Ticket;

/// One place in the order.
#[derive(Debug)]
struct Place<T> {
    ticket: Ticket,
    item: Option<T>,
    /// Places that stood right before this one and were given up.
    gap: u64,
}

/// Holds outcomes back until everything opened before them has ended.
///
/// Bounded by construction: whatever it holds was admitted, and a place that is given up leaves only a number.
#[derive(Debug)]
pub struct Reorder<T> {
    /// In order of admission.
    places: VecDeque<Place<T>>,
    /// Places given up after the last one.
    trailing: u64,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Reorder { places: VecDeque::new(), trailing: 0 }
    }
}

impl<T> Reorder<T> {
    /// Takes a place at the end. Tickets rise.
    pub fn open(&mut self, ticket: Ticket) {
        debug_assert!(self.places.back().is_none_or(|last| last.ticket < ticket));
        let gap = std::mem::take(&mut self.trailing);
        self.places.push_back(Place { ticket, item: None, gap });
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        // Most come in order: the first place is the one.
        let first = self.places.front().is_some_and(|place| place.ticket == ticket);
        let found = match first {
            true => Some(0),
            false => self.places.binary_search_by_key(&ticket, |place| place.ticket).ok(),
        };
        found.filter(|place| self.places[*place].item.is_none())
    }

    /// Puts an outcome in its place. False (and the item is lost) when the ticket has no open place.
    pub fn fill(&mut self, ticket: Ticket, item: T) -> bool {
        let found = self.find(ticket);
        if let Some(place) = found {
            self.places[place].item = Some(item);
        }
        found.is_some()
    }

    /// Gives a place up: nothing will come, and the next outcome says how many places were given up before it.
    pub fn skip(&mut self, ticket: Ticket) -> bool {
        let Some(place) = self.find(ticket) else { return false };
        let gap = self.places.remove(place).map_or(0, |place| place.gap) + 1;
        match self.places.get_mut(place) {
            Some(next) => next.gap += gap,
            None => self.trailing += gap,
        }
        true
    }

    /// The next outcome in order if it is there, with the number of places given up before it.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.places.front()?.item.as_ref()?;
        let place = self.places.pop_front()?;
        place.item.map(|item| (place.gap, item))
    }

    /// The places given up since the last outcome, once nothing else is open.
    pub fn take_trailing(&mut self) -> u64 {
        if self.places.is_empty() { std::mem::take(&mut self.trailing) } else { 0 }
    }

    /// The ticket that everything else waits for.
    pub fn head(&self) -> Option<Ticket> {
        self.places.front().filter(|place| place.item.is_none()).map(|place| place.ticket)
    }

    /// True when no place is taken.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
