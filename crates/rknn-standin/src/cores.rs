//! Simulated cores: each runs one request at a time, in real time or in a time that only the requests move.

use std::time::Duration;

use crate::world::{State, world};

/// The cores.
pub struct Cores {
    /// Each core's speed.
    pub speeds: Vec<f64>,
    taken: Vec<bool>,
    /// Seconds that each core was taken.
    pub busy: Vec<f64>,
    /// Set: time does not pass by itself.
    pub simulated: Option<Simulated>,
}

impl Default for Cores {
    fn default() -> Self {
        Cores::new(vec![1.0; 3])
    }
}

/// A time that moves to the next end of a run once every lane that has something to do is in one.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    pub now: f64,
    /// Lanes that run at once while there is enough to do.
    pub lanes: usize,
    /// Requests that have not ended.
    pub remaining: usize,
    pub ends: Vec<f64>,
}

impl Cores {
    pub fn new(speeds: Vec<f64>) -> Cores {
        let count = speeds.len();
        Cores { speeds, taken: vec![false; count], busy: vec![0.0; count], simulated: None }
    }

    /// The cores that a mask names; `None` while one of them is taken. No mask takes the first free core.
    fn take(&mut self, mask: u32) -> Option<Vec<usize>> {
        let named: Vec<usize> = match mask {
            0 => vec![(0..self.taken.len()).find(|&core| !self.taken[core])?],
            _ => (0..self.taken.len()).filter(|&core| mask & (1 << core) != 0).collect(),
        };
        if named.iter().any(|&core| self.taken[core]) {
            return None;
        }
        named.iter().for_each(|&core| self.taken[core] = true);
        Some(named)
    }

    fn give_back(&mut self, cores: &[usize], seconds: f64) {
        for &core in cores {
            self.taken[core] = false;
            self.busy[core] += seconds;
        }
    }
}

fn cores_of(state: &mut Option<State>) -> &mut Cores {
    &mut state.get_or_insert_with(State::default).cores
}

/// Runs for the model's latency on the cores of `mask`. `note` is told the first of them at the start.
pub fn run(mask: u32, latency: f64, note: impl FnOnce(&mut State, usize)) {
    let mut state = world().lock();
    let taken = loop {
        if let Some(taken) = cores_of(&mut state).take(mask) {
            break taken;
        }
        state = world().wait(state);
    };
    let cores = cores_of(&mut state);
    let speed: f64 = taken.iter().map(|&core| cores.speeds[core]).sum();
    let seconds = latency / speed.max(1e-9);
    let simulated = cores.simulated.is_some();
    note(state.get_or_insert_with(State::default), taken[0]);
    if simulated {
        drop(state);
        simulate(seconds);
    } else {
        drop(state);
        if seconds > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(seconds));
        }
    }
    world().with(|state| state.cores.give_back(&taken, seconds));
}

fn simulate(seconds: f64) {
    let mut state = world().lock();
    let Some(time) = cores_of(&mut state).simulated.as_mut() else { return };
    let end = time.now + seconds;
    time.ends.push(end);
    loop {
        let Some(time) = cores_of(&mut state).simulated.as_mut() else { return };
        if time.ends.len() >= time.lanes.min(time.remaining) {
            time.now = time.ends.iter().copied().fold(f64::INFINITY, f64::min).max(time.now);
            world().changed.notify_all();
        }
        if end <= time.now {
            if let Some(at) = time.ends.iter().position(|&other| other == end) {
                time.ends.swap_remove(at);
            }
            time.remaining = time.remaining.saturating_sub(1);
            return;
        }
        state = world().wait(state);
    }
}
