//! The loop of a native worker thread.

use std::time::{Duration, Instant};

use crate::cores;
use crate::runtime::Shared;
use crate::state::{Effects, Turn};
use crate::sync::{Arc, Ordering, lock, wait};
use crate::vigil::{Next, Vigil};
use crate::work::Work;

/// What a worker thread does until its lane is closed. It never enters Python (invariant 2).
pub(crate) fn work(shared: &Arc<Shared>, lane: usize) {
    let spot = &shared.spots[lane];
    spot.begin();
    // Alone there is nobody to make way for, and a run may be shorter than asking where it runs.
    let beside = shared.spots.len() > 1;
    let mut finished = None;
    while let Some(mut work) = shared.step(lane, finished.take()) {
        if beside {
            spot.enter();
        }
        work.run();
        if beside {
            spot.exit();
        }
        finished = Some(work);
    }
    spot.end();
}

impl Shared {
    /// Completes what was taken before and takes the next, under one lock; sleeps when there is nothing.
    pub(crate) fn step(self: &Arc<Self>, lane: usize, mut finished: Option<Work>) -> Option<Work> {
        if let Some(work) = &mut finished {
            work.release();
        }
        let may_spin = !self.spin.is_zero();
        let turn = self.act(|state, now, fx| {
            if let Some(work) = finished {
                state.complete(work, now, fx);
            }
            state.turn(lane, false, now, fx)
        });
        match turn {
            Turn::Work(work) => return Some(work),
            Turn::Leave => return None,
            Turn::Park => {}
        }
        let mut woken = false;
        loop {
            if may_spin {
                self.spin(woken);
            }
            match self.park(lane) {
                Turn::Work(work) => {
                    self.spots[lane].arrive();
                    return Some(work);
                }
                Turn::Leave => return None,
                // Whoever it was woken for was quicker: the next may be quick to come, too.
                Turn::Park => woken = true,
            }
        }
    }

    /// Stays awake until there is something to take, or nothing came for long enough.
    fn spin(&self, woken: bool) {
        let start = Instant::now();
        let mut vigil = Vigil::new(self.spin, woken, self.sign(), Duration::ZERO);
        loop {
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            let rounds = match vigil.look(self.sign(), start.elapsed()) {
                Next::Claim | Next::Park => return,
                Next::LookSoon => 4,
                Next::Look => 32,
            };
            for _ in 0..rounds {
                std::hint::spin_loop();
            }
            if rounds > 4 {
                // The thread that is waited for may want this very core.
                std::thread::yield_now();
            }
        }
    }

    /// Takes work or the end, if there is either; else sleeps until the worker is woken, and says `Park`.
    fn park(self: &Arc<Self>, lane: usize) -> Turn {
        let mut state = lock(&self.state);
        loop {
            let mut fx = Effects::default();
            let now = state.no_earlier(self.clock.now());
            let turn = state.turn(lane, true, now, &mut fx);
            self.publish(&mut state, &mut fx);
            match turn {
                Turn::Park if fx.is_idle() => break,
                // Expired requests were ended on the way: tell their callers first.
                Turn::Park => {
                    drop(state);
                    self.apply(&mut fx);
                    state = lock(&self.state);
                }
                turn => {
                    drop(state);
                    self.apply(&mut fx);
                    return turn;
                }
            }
        }
        while state.is_parked(lane) {
            state = wait(&self.lane_bells[lane], state, None);
        }
        let running = state.lanes_running();
        drop(state);
        let core = cores::current();
        if core != 0 && self.waker.swap(0, Ordering::Relaxed) == core {
            cores::leave(core, running);
        }
        Turn::Park
    }
}
