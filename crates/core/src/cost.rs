//! What a run costs by its size, and whether joining pays. Pure: time is an argument.

use std::time::Duration;

use crate::batch::{Advice, Limits};
use crate::request::Time;
use crate::samples::{Mean, PAYS, Recent, Rivals};

/// While batching is on, one of so many runs is alone, so that its cost stays known; sooner at first, as below.
const FIRST_SAMPLE: u32 = 8;
const SAMPLE_EVERY: u32 = 64;
/// While it is off, it is tried again after so many requests, or so much time; sooner at first, since a verdict made
/// on a busy machine may be wrong.
const FIRST_PROBE: u64 = 250;
const PROBE_REQUESTS: u64 = 1_000;
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// Groups that are remembered.
const GROUPS: usize = 32;
/// Releases before the usual size of a group is known.
const SEEN: u32 = 8;
/// One of so many releases waits for more than usual.
const PROBE_EVERY: u32 = 8;
/// Sizes 1, 2, 4, ...
const BUCKETS: usize = 16;

/// Whether requests of a group are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Learning,
    On,
    Off { since: Time, requests: u64 },
}

/// One group's experience.
#[derive(Debug, Clone)]
struct Curve {
    key: u64,
    phase: Phase,
    /// Nanoseconds a row: of requests that ran alone, and of those that ran together.
    alone: Recent,
    joined: Recent,
    /// The best of the joined runs since the last alone, while batching is on.
    best: Option<f64>,
    /// Nanoseconds a row, by the size of the run.
    by_size: [Mean; BUCKETS],
    /// Rows that were there at once, waiting or running, and of how many runs that is known.
    rows: Mean,
    releases: u32,
    /// Nanoseconds a row: where lanes shared what was there, and where one took it all.
    shared: Rivals,
    since_alone: u32,
    /// Runs after which the next is alone, while batching is on.
    sample: u32,
    /// The last verdict was that batching does not pay, for a row took so many nanoseconds joined and alone. A trial
    /// does not change that before it is over.
    off: Option<(f64, f64)>,
    /// Requests after which the next probe is due.
    probe: u64,
    runs: u64,
    /// When it was used last, for forgetting.
    used: u64,
}

impl Curve {
    fn new(key: u64) -> Self {
        Curve {
            key,
            phase: Phase::Learning,
            alone: Recent::default(),
            joined: Recent::default(),
            best: None,
            by_size: [Mean::default(); BUCKETS],
            rows: Mean::default(),
            releases: 0,
            shared: Rivals::default(),
            since_alone: 0,
            sample: FIRST_SAMPLE,
            off: None,
            probe: FIRST_PROBE,
            runs: 0,
            used: 0,
        }
    }

    fn pays(&self) -> bool {
        self.joined.value() < PAYS * self.alone.value()
    }

    fn advice(&self, limits: &Limits) -> Advice {
        let sample = match self.phase {
            Phase::Off { .. } => return Advice::Off,
            Phase::Learning => self.joined.known() && !self.alone.known(),
            Phase::On => self.since_alone >= self.sample,
        };
        if sample {
            return Advice::Alone;
        }
        let saving = (self.phase == Phase::On)
            .then(|| Duration::from_nanos((self.alone.value() - self.joined.value()).max(0.0) as u64));
        let run = (self.runs > 0).then(|| self.longest(limits.max_size));
        let usual = (self.releases >= SEEN).then(|| (self.rows.value - 0.05).ceil() as u32);
        // Or a size once found would never grow.
        let probe = self.releases.is_multiple_of(PROBE_EVERY);
        Advice::Join { usual, probe, share: self.shared.choose(), saving, run }
    }

    /// How long a run of this size takes, by the nearest size that is known.
    fn longest(&self, size: u32) -> Duration {
        let known = (0..BUCKETS).rev().find(|&at| self.by_size[at].count > 0);
        let nanos = known.map_or(0.0, |at| self.by_size[at].value * f64::from(size));
        Duration::from_nanos(nanos as u64)
    }

    fn compare(&mut self, together: bool, each: f64) {
        self.since_alone = if together { self.since_alone.saturating_add(1) } else { 0 };
        match (self.phase, together) {
            // Runs alone are rare then. A spell in which the machine is busy must not be held against what was
            // measured alone before it, so both are noted in pairs.
            (Phase::On, true) => self.best = Some(self.best.map_or(each, |best| best.min(each))),
            (Phase::On, false) => {
                self.sample = (2 * self.sample).min(SAMPLE_EVERY);
                if let Some(best) = self.best.take() {
                    self.joined.add(best);
                    self.alone.add(each);
                }
            }
            (_, true) => self.joined.add(each),
            (_, false) => self.alone.add(each),
        }
    }

    fn record(&mut self, requests: u32, rows: u32, took: Duration, now: Time) {
        let each = (took.as_nanos() as f64).max(1.0) / f64::from(rows.max(1));
        self.runs += 1;
        self.by_size[bucket(rows)].add(each);
        self.compare(requests > 1, each);
        self.phase = match self.phase {
            Phase::Off { since, requests: seen } => {
                let requests = seen + u64::from(requests);
                if requests >= self.probe || now.saturating_sub(since) >= PROBE_AFTER {
                    self.joined = Recent::default();
                    self.probe = (2 * self.probe).min(PROBE_REQUESTS);
                    Phase::Learning
                } else {
                    Phase::Off { since, requests }
                }
            }
            _ if !(self.joined.known() && self.alone.known()) => self.phase,
            Phase::On if self.pays() => Phase::On,
            _ if self.pays() => {
                self.sample = FIRST_SAMPLE;
                self.off = None;
                Phase::On
            }
            _ => {
                self.off = Some((self.joined.value(), self.alone.value()));
                Phase::Off { since: now, requests: 0 }
            }
        };
    }
}

fn bucket(rows: u32) -> usize {
    (rows.max(1).ilog2() as usize).min(BUCKETS - 1)
}

/// What is known of all groups.
#[derive(Debug, Clone, Default)]
pub struct Learner {
    curves: Vec<Curve>,
    tick: u64,
    /// Why the model cannot be batched at all.
    refused: Option<Box<str>>,
}

impl Learner {
    /// What to do with requests of this group.
    pub fn advice(&self, key: u64, limits: &Limits) -> Advice {
        if self.refused.is_some() {
            return Advice::Off;
        }
        match self.curves.iter().find(|curve| curve.key == key) {
            Some(curve) => curve.advice(limits),
            None => Advice::Join { usual: None, probe: false, share: true, saving: None, run: None },
        }
    }

    /// So many rows were there at most while a run was under way.
    pub fn together(&mut self, key: u64, rows: u32) {
        let curve = self.curve(key);
        curve.releases = curve.releases.wrapping_add(1);
        curve.rows.add(f64::from(rows));
    }

    /// What so many rows took that were one of so many lanes' share (1: one lane took all), where lanes could share.
    pub fn split(&mut self, key: u64, rows: u32, lanes: u32, took: Duration) {
        let each = (took.as_nanos() as f64).max(1.0) / f64::from(rows.max(1)) / f64::from(lanes.max(1));
        self.curve(key).shared.add(lanes > 1, each);
    }

    /// A run of this group ended.
    pub fn record(&mut self, key: u64, requests: u32, rows: u32, took: Duration, now: Time) {
        self.curve(key).record(requests, rows, took, now);
    }

    /// The model does not keep to its axes: nothing is joined any more.
    pub fn refuse(&mut self, reason: Box<str>) {
        self.refused.get_or_insert(reason);
    }

    fn curve(&mut self, key: u64) -> &mut Curve {
        self.tick += 1;
        let place = match self.curves.iter().position(|curve| curve.key == key) {
            Some(place) => place,
            None => self.add(Curve::new(key)),
        };
        let curve = &mut self.curves[place];
        curve.used = self.tick;
        curve
    }

    fn add(&mut self, curve: Curve) -> usize {
        if self.curves.len() < GROUPS {
            self.curves.push(curve);
            return self.curves.len() - 1;
        }
        let oldest = (0..GROUPS).min_by_key(|&at| self.curves[at].used).unwrap_or(0);
        self.curves[oldest] = curve;
        oldest
    }

    fn main(&self) -> Option<&Curve> {
        self.curves.iter().max_by_key(|curve| curve.runs)
    }

    /// Why nothing is joined; of the group that runs most.
    pub fn off_reason(&self) -> Option<String> {
        if let Some(refused) = &self.refused {
            return Some(refused.to_string());
        }
        let (joined, alone) = self.main()?.off?;
        let (joined, alone) = (joined / 1e6, alone / 1e6);
        Some(format!("a row takes {joined:.3} ms in a batch and {alone:.3} ms alone"))
    }

    /// How long runs of each size take, of the group that runs most.
    pub fn cost(&self) -> Vec<(u32, Duration)> {
        let sizes = self.main().map(|curve| &curve.by_size[..]).unwrap_or_default();
        let known = sizes.iter().enumerate().filter(|(_, mean)| mean.count > 0);
        known
            .map(|(at, mean)| {
                (1_u32 << at, Duration::from_nanos((mean.value * f64::from(1_u32 << at)) as u64))
            })
            .collect()
    }
}
