//! Counters and histograms, plain numbers that the state lock guards.

use std::time::Duration;

use crate::error::DropReason;

/// Which counter an ending goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Outputs were given.
    Done,
    /// The engine failed on it.
    Failed,
    /// Dropped for a reason.
    Dropped(DropReason),
    /// The deadline passed.
    Expired,
    /// Somebody cancelled it.
    Cancelled,
}

/// The counters of invariant 1, for a session or a stream key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tickets given.
    pub submitted: u64,
    /// Ended well and handed over.
    pub done: u64,
    /// The engine failed on them.
    pub failed: u64,
    /// Dropped, by `DropReason::ALL` order.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Their deadline passed.
    pub expired: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Waiting now.
    pub waiting: u64,
    /// Running now.
    pub running: u64,
    /// Ended, but their callback has not returned or they were not pulled yet.
    pub undelivered: u64,
    /// Calls that raised before a ticket existed. Outside the sum.
    pub rejected: u64,
    /// Callbacks that raised. Outside the sum.
    pub callback_errors: u64,
}

impl Counters {
    /// Counts an ending.
    pub fn end(&mut self, end: End) {
        match end {
            End::Done => self.done += 1,
            End::Failed => self.failed += 1,
            End::Dropped(reason) => self.dropped[reason as usize] += 1,
            End::Expired => self.expired += 1,
            End::Cancelled => self.cancelled += 1,
        }
    }

    /// Invariant 1.
    pub fn conserved(&self) -> bool {
        let ended =
            self.done + self.failed + self.dropped.iter().sum::<u64>() + self.expired + self.cancelled;
        self.submitted == ended + self.waiting + self.running + self.undelivered
    }

    /// Adds another set of counters to this one.
    pub fn add(&mut self, other: &Counters) {
        self.submitted += other.submitted;
        self.done += other.done;
        self.failed += other.failed;
        for (mine, theirs) in self.dropped.iter_mut().zip(other.dropped) {
            *mine += theirs;
        }
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        self.waiting += other.waiting;
        self.running += other.running;
        self.undelivered += other.undelivered;
        self.rejected += other.rejected;
        self.callback_errors += other.callback_errors;
    }
}

const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;
/// Nanoseconds up to 2^44 (nearly five hours); what is longer lands in the last bucket.
const OCTAVES: usize = 44;

/// A log-linear histogram of durations: 16 buckets an octave, so a quantile is right to about 6 %.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Box<[u64; OCTAVES * SUBS]>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: Box::new([0; OCTAVES * SUBS]), count: 0, sum: 0, max: 0 }
    }
}

/// A histogram in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// How many durations.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// Half are at most this long.
    pub p50: Duration,
    /// 90 % are at most this long.
    pub p90: Duration,
    /// 99 % are at most this long.
    pub p99: Duration,
    /// 99.9 % are at most this long.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
}

fn bucket_of(nanos: u64) -> usize {
    if nanos < SUBS as u64 {
        return nanos as usize;
    }
    let octave = 63 - nanos.leading_zeros();
    let sub = (nanos >> (octave - SUB_BITS)) as usize & (SUBS - 1);
    ((octave - SUB_BITS + 1) as usize * SUBS + sub).min(OCTAVES * SUBS - 1)
}

/// The largest value that falls into the bucket.
fn bucket_top(bucket: usize) -> u64 {
    if bucket < SUBS {
        return bucket as u64;
    }
    let octave = (bucket / SUBS) as u32 + SUB_BITS - 1;
    let sub = (bucket % SUBS) as u64;
    (1 << octave) + ((sub + 1) << (octave - SUB_BITS)) - 1
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.max = self.max.max(nanos);
    }

    fn quantile(&self, per_mille: u64) -> Duration {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && bucket + 1 < self.buckets.len() {
                return Duration::from_nanos(bucket_top(bucket).min(self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    /// The histogram in a few numbers; all zero when nothing was recorded.
    pub fn summary(&self) -> Summary {
        if self.count == 0 {
            return Summary::default();
        }
        Summary {
            count: self.count,
            mean: Duration::from_nanos(self.sum / self.count),
            p50: self.quantile(500),
            p90: self.quantile(900),
            p99: self.quantile(990),
            p999: self.quantile(999),
            max: Duration::from_nanos(self.max),
        }
    }
}
