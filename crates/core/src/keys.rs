//! Stream keys: numbers for them, and their counters. Pure.

use std::collections::{HashMap, VecDeque};

use crate::metrics::Counters;
use crate::request::StreamKey;
use crate::schedule::KeyId;

/// Idle keys remembered one by one; older idle ones are folded into one total.
pub const IDLE_KEYS: usize = 1024;

/// What a session knows of one key.
#[derive(Debug, Default)]
pub struct KeyState {
    /// The key itself; `None` for a free number.
    pub key: Option<StreamKey>,
    /// Its counters.
    pub counters: Counters,
    /// Admitted and not delivered yet, plus those on a lane (an overrun is delivered before it leaves its lane).
    live: usize,
    /// True while it stands in the line of idle keys (it may have become live again since).
    idle: bool,
    /// How many of them run now: with `serial`, at most one.
    pub running: usize,
}

/// All keys of a session.
#[derive(Debug, Default)]
pub struct Keys {
    numbers: HashMap<StreamKey, KeyId>,
    states: Vec<KeyState>,
    free: Vec<KeyId>,
    /// Keys that became idle, oldest first; each at most once, some live again.
    idle: VecDeque<KeyId>,
    /// Totals of the keys that were folded.
    pub folded: Counters,
}

impl Keys {
    /// The key's number; it counts as live until [`Keys::release`].
    pub fn acquire(&mut self, key: &StreamKey) -> KeyId {
        let id = match self.numbers.get(key) {
            Some(id) => *id,
            None => self.create(key.clone()),
        };
        self.states[id as usize].live += 1;
        id
    }

    fn create(&mut self, key: StreamKey) -> KeyId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.states.push(KeyState::default());
            KeyId::try_from(self.states.len() - 1).unwrap_or(KeyId::MAX)
        });
        self.states[id as usize] = KeyState { key: Some(key.clone()), ..KeyState::default() };
        self.numbers.insert(key, id);
        id
    }

    /// One request of the key is over. Folds the oldest idle key when too many are remembered.
    pub fn release(&mut self, id: KeyId) {
        let state = &mut self.states[id as usize];
        state.live -= 1;
        if state.live == 0 && !state.idle {
            state.idle = true;
            self.idle.push_back(id);
        }
        while self.idle.len() > IDLE_KEYS {
            let Some(oldest) = self.idle.pop_front() else { return };
            self.fold(oldest);
        }
    }

    /// One request of the key is on a lane until [`Keys::stop`].
    pub fn start(&mut self, id: KeyId) {
        let state = &mut self.states[id as usize];
        state.running += 1;
        state.live += 1;
    }

    /// One request of the key has left its lane.
    pub fn stop(&mut self, id: KeyId) {
        self.states[id as usize].running -= 1;
        self.release(id);
    }

    fn fold(&mut self, id: KeyId) {
        let state = &mut self.states[id as usize];
        state.idle = false;
        if state.live > 0 {
            return;
        }
        if let Some(key) = state.key.take() {
            self.folded.add(&std::mem::take(&mut state.counters));
            self.numbers.remove(&key);
            self.free.push(id);
        }
    }

    /// True when every request of every key is over.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn none_live(&self) -> bool {
        self.states.iter().all(|state| state.live == 0)
    }

    /// A key's state.
    pub fn get_mut(&mut self, id: KeyId) -> &mut KeyState {
        &mut self.states[id as usize]
    }

    /// A key's state.
    pub fn get(&self, id: KeyId) -> &KeyState {
        &self.states[id as usize]
    }

    /// The remembered keys and their counters.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamKey, &Counters)> {
        self.states.iter().filter_map(|state| state.key.as_ref().map(|key| (key, &state.counters)))
    }
}
