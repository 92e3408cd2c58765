//! Which requests expire when. Pure: time is an argument.

use std::collections::BTreeMap;

use crate::request::Time;

/// Live deadlines in order. Holds nothing for requests that have ended.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// (when, request id) -> where the state keeps the request while it waits.
    due: BTreeMap<(Time, u64), usize>,
}

impl Deadlines {
    /// Adds a request.
    pub fn insert(&mut self, at: Time, id: u64, index: usize) {
        self.due.insert((at, id), index);
    }

    /// Forgets a request that ended or changed its deadline.
    pub fn remove(&mut self, at: Time, id: u64) {
        self.due.remove(&(at, id));
    }

    /// The next request whose time has come.
    pub fn pop_due(&mut self, now: Time) -> Option<(u64, usize)> {
        let entry = self.due.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let (_, id) = *entry.key();
        Some((id, entry.remove()))
    }

    /// When the next one expires.
    pub fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}
