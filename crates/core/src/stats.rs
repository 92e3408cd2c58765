//! A session's state in numbers, taken in one look.

use std::time::Duration;

use crate::metrics::{Counters, Summary};
use crate::request::{StreamKey, Time};
use crate::runtime::Shared;
use crate::state::{BatchStats, Histograms, LaneStats, State};

/// What `stats()` shows.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The counters of invariant 1.
    pub counters: Counters,
    /// Each remembered stream key's counters.
    pub streams: Vec<(StreamKey, Counters)>,
    /// Totals of older idle keys.
    pub folded: Counters,
    /// Each lane.
    pub lanes: Vec<LaneStats>,
    /// Time from submission to start.
    pub queue: Summary,
    /// Time on the lane.
    pub run: Summary,
    /// Time from the ending to the callback's return.
    pub delivery: Summary,
    /// Time from submission to the end (of the callback, where there is one).
    pub total: Summary,
    /// Time since the session's clock began.
    pub uptime: Duration,
    /// Dynamic batching, where the session has it.
    pub batching: Option<BatchStats>,
}

impl Stats {
    /// What is taken under the lock; the histograms are copied, to be summarised without it.
    pub(crate) fn of(state: &State, now: Time) -> (Self, Histograms) {
        let none = Summary::default();
        let stats = Stats {
            counters: state.counters.clone(),
            streams: state.keys.iter().map(|(key, counters)| (key.clone(), counters.clone())).collect(),
            folded: state.keys.folded.clone(),
            lanes: Shared::lane_lines(state, now),
            queue: none,
            run: none,
            delivery: none,
            total: none,
            uptime: now,
            batching: state.batcher.as_ref().map(|batcher| batcher.stats()),
        };
        (stats, state.histograms.clone())
    }

    pub(crate) fn summarise(&mut self, histograms: &Histograms) {
        self.queue = histograms.queue.summary();
        self.run = histograms.run.summary();
        self.delivery = histograms.delivery.summary();
        self.total = histograms.total.summary();
    }
}
