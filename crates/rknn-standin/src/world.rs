//! Everything there is, and what was counted, under one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::abi::{CTX_INVALID, FAIL};
use crate::context::Context;
use crate::cores::Cores;
use crate::memory::Memory;

/// What goes wrong at one call of one function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub function: String,
    /// The call's number since the last reset, from 1; 0 is every call.
    pub call: u64,
    /// What it answers; functions that give a pointer answer null.
    pub code: Option<i32>,
    /// Milliseconds before it goes on.
    #[serde(default)]
    pub delay: u64,
    /// It waits until it is released.
    #[serde(default)]
    pub hang: bool,
}

/// What was counted since the last reset; live things are counted where they are.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Counts {
    pub calls: BTreeMap<String, u64>,
    /// Two threads inside one context, a context destroyed in use or before those that share its weights, mixed ways.
    pub violations: Vec<String>,
    /// Calls on a context that there is not, or no more.
    pub bad_contexts: u64,
    /// Calls on memory that there is not, or of another context.
    pub bad_memories: u64,
    /// Models loaded with weights of their own.
    pub weight_loads: u64,
    pub most_at_once: usize,
    pub flags: Vec<u32>,
    /// The order of dimensions of all that was bound, first to last.
    pub bound: Vec<i32>,
    /// Each run in the order of its start: its first core, and the first number that was fed.
    pub runs: Vec<(usize, f64)>,
}

#[derive(Default)]
pub struct State {
    pub contexts: HashMap<u64, Arc<Context>>,
    pub next: u64,
    pub memories: HashMap<usize, Memory>,
    pub faults: Vec<Fault>,
    pub counts: Counts,
    pub cores: Cores,
    pub hanging: usize,
    pub releases: u64,
    pub at_once: usize,
    /// Outputs that were got and not released.
    pub unreleased: usize,
}

impl State {
    pub fn violation(&mut self, text: impl Into<String>) {
        self.counts.violations.push(text.into());
    }
}

pub struct World {
    state: Mutex<Option<State>>,
    pub changed: Condvar,
}

static WORLD: World = World { state: Mutex::new(None), changed: Condvar::new() };

pub fn world() -> &'static World {
    &WORLD
}

/// The locked state.
pub type Locked = MutexGuard<'static, Option<State>>;

impl World {
    /// The state, made at the first look.
    pub fn lock(&'static self) -> Locked {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.get_or_insert_with(State::default);
        state
    }

    /// Changes the state, and tells everybody who waits.
    pub fn with<T>(&'static self, step: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = step(state.get_or_insert_with(State::default));
        drop(state);
        self.changed.notify_all();
        answer
    }

    pub fn wait(&'static self, state: Locked) -> Locked {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and lets happen what was to go wrong at it.
    pub fn call(&'static self, function: &str) -> Result<(), i32> {
        let fault = self.with(|state| {
            let calls = state.counts.calls.entry(function.to_owned()).or_default();
            *calls += 1;
            let number = *calls;
            let hit =
                |fault: &&Fault| fault.function == function && (fault.call == 0 || fault.call == number);
            state.faults.iter().find(hit).cloned()
        });
        let Some(fault) = fault else { return Ok(()) };
        if fault.delay > 0 {
            std::thread::sleep(Duration::from_millis(fault.delay));
        }
        if fault.hang {
            self.hang();
        }
        fault.code.map_or(Ok(()), Err)
    }

    fn hang(&'static self) {
        let releases = self.with(|state| {
            state.hanging += 1;
            state.releases
        });
        let mut state = self.lock();
        while state.as_ref().is_some_and(|state| state.releases == releases) {
            state = self.wait(state);
        }
        drop(state);
        self.with(|state| state.hanging -= 1);
    }

    /// Goes into a context, which nobody else may be in.
    pub fn enter(&'static self, function: &str, id: u64) -> Result<Inside, i32> {
        let found = self.with(|state| {
            let found = state.contexts.get(&id).cloned();
            state.counts.bad_contexts += u64::from(found.is_none());
            found
        });
        let context = found.ok_or(CTX_INVALID)?;
        if context.inside.swap(true, Ordering::SeqCst) {
            self.with(|state| state.violation(format!("{function}: another thread is inside context {id}")));
            return Err(FAIL);
        }
        let inside = Inside(context);
        self.call(function)?;
        Ok(inside)
    }
}

/// A context that one thread is in.
pub struct Inside(pub Arc<Context>);

impl std::ops::Deref for Inside {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.store(false, Ordering::SeqCst);
    }
}

/// The answer of a function that gives a code.
pub fn code(answer: Result<(), i32>) -> i32 {
    answer.err().unwrap_or(crate::abi::SUCCESS)
}
