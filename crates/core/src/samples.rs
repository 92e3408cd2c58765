//! What is remembered of measurements that other processes disturb.

/// Samples of either kind that a verdict needs, and those that it looks at.
const RUNS: usize = 8;
const RECENT: usize = 8;
/// What is to be preferred has to take less than this share of what it is compared with.
pub(crate) const PAYS: f64 = 0.95;
/// Of two ways, the one that is not gone is tried once in so many.
const TRY_EVERY: u32 = 64;

/// A mean that follows slowly: the last eight samples or so, none of which counts for more than twice the mean.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    pub(crate) count: u32,
}

impl Mean {
    pub(crate) fn add(&mut self, sample: f64) {
        self.count = self.count.saturating_add(1);
        // The first run of a kind allocates what later ones find.
        if self.count <= 2 {
            self.value = sample;
            return;
        }
        let weight = 1.0 / f64::from((self.count - 1).min(8));
        self.value += (sample.min(2.0 * self.value) - self.value) * weight;
    }
}

/// The last samples of a kind. What disturbs a run only makes it longer, so the shortest of them is compared:
/// a mean would follow every other process on the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recent {
    last: [f64; RECENT],
    count: usize,
}

impl Recent {
    pub(crate) fn add(&mut self, sample: f64) {
        self.last[self.count % RECENT] = sample;
        self.count += 1;
    }

    pub(crate) fn known(&self) -> bool {
        self.count >= RUNS
    }

    pub(crate) fn value(&self) -> f64 {
        let known = &self.last[..self.count.min(RECENT)];
        known.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0)
    }
}

/// Two ways to do the same, of which the quicker is gone: the new one until both are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rivals {
    new: Recent,
    old: Recent,
    /// The best of the way that is gone since the other was tried.
    best: Option<f64>,
    since: u32,
}

impl Rivals {
    /// Which way it goes now: true for the new one.
    pub(crate) fn choose(&self) -> bool {
        match (self.new.known(), self.old.known()) {
            (false, _) => true,
            (true, false) => false,
            (true, true) => self.prefers_new() != (self.since >= TRY_EVERY),
        }
    }

    fn prefers_new(&self) -> bool {
        self.new.value() < PAYS * self.old.value()
    }

    /// It went a way, and took so long. Once both are known they are noted in pairs: a spell in which the machine is busy
    /// must not be held against the way that is gone all the time.
    pub(crate) fn add(&mut self, new: bool, took: f64) {
        if !(self.new.known() && self.old.known()) {
            return if new { self.new.add(took) } else { self.old.add(took) };
        }
        if new == self.prefers_new() {
            self.best = Some(self.best.map_or(took, |best| best.min(took)));
            self.since = self.since.saturating_add(1);
            return;
        }
        self.since = 0;
        if let Some(best) = self.best.take() {
            let (gone, tried) =
                if new { (&mut self.old, &mut self.new) } else { (&mut self.new, &mut self.old) };
            gone.add(best);
            tried.add(took);
        }
    }
}
