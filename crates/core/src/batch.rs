//! Dynamic batching, decided purely: which requests may share a run, and when a run starts.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::engine::BatchAxes;
use crate::request::{Group, Time, Wanted};
use crate::value::{Data, Value};

/// What a session asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in one run.
    pub max_size: u32,
    /// How long the oldest waits for others while a lane is free.
    pub max_delay: Duration,
}

/// Why a run started with what it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing more fits, or nothing more can be admitted.
    Full,
    /// The oldest has waited for `max_delay`.
    Delay,
    /// A deadline would pass otherwise.
    Deadline,
    /// Nobody else is expected, or waiting would cost more than a larger batch saves; a thread that waits for its
    /// own answer never waits for others.
    Idle,
    /// The session closes.
    Closing,
    /// It runs by itself: it cannot be joined, went at once, or is there to learn what a run alone costs.
    Alone,
    /// Batching is off.
    Off,
    /// It took its share: the rest is for lanes that are free or about to be.
    Shared,
}

impl Reason {
    /// Every reason, in the order of its number.
    pub const ALL: [Reason; 8] = [
        Reason::Full,
        Reason::Delay,
        Reason::Deadline,
        Reason::Idle,
        Reason::Closing,
        Reason::Alone,
        Reason::Off,
        Reason::Shared,
    ];

    /// The word in `stats()`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Delay => "delay",
            Reason::Deadline => "deadline",
            Reason::Idle => "idle",
            Reason::Closing => "closing",
            Reason::Alone => "alone",
            Reason::Off => "off",
            Reason::Shared => "shared",
        }
    }
}

/// The requests that would share the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Rows of all of them.
    pub rows: u32,
    /// When the first of them was submitted.
    pub oldest: Time,
    /// The nearest of their deadlines.
    pub deadline: Option<Time>,
    /// Nothing more would fit, or could be admitted.
    pub complete: bool,
    /// A thread is parked on one of them: it submits nothing else.
    pub awaited: bool,
    /// The session admits nothing any more.
    pub closing: bool,
    /// Who shares them.
    pub lanes: Lanes,
}

/// The lanes among which the rows of a group are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    /// Those that are free, and those that run rows of the group and will be.
    pub count: u32,
    /// Rows that these run now: they will be company again, but not now.
    pub running: u32,
}

/// What experience says of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Batching does not pay.
    Off,
    /// One run alone, to know what it costs.
    Alone,
    /// Join what there is.
    Join {
        /// Rows that usually are there at once, waiting or running; `None` while unknown.
        usual: Option<u32>,
        /// Look whether there are more by now.
        probe: bool,
        /// Free lanes share what there is.
        share: bool,
        /// What one row more saves; `None` while unknown.
        saving: Option<Duration>,
        /// How long a run takes; `None` while unknown.
        run: Option<Duration>,
    },
}

/// What to do with the requests that wait while a lane is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Run now.
    Release(Reason),
    /// Look again at this time, or when somebody joins.
    Wait(Time),
}

/// Left between the end of a run and the deadline: timers and wake-ups are late by some of it.
pub const SLACK: Duration = Duration::from_millis(1);

impl Advice {
    /// Rows that a free lane waits for.
    pub fn goal(&self, limits: &Limits, lanes: Lanes) -> u32 {
        let Advice::Join { usual, probe, share, .. } = *self else { return 1 };
        let Some(usual) = usual else { return limits.max_size.max(1) };
        // While others run, whoever is new is seen waiting.
        let more = if probe && lanes.running == 0 { (usual / 2).max(1) } else { 0 };
        let all = usual.saturating_add(more);
        let part = if share { all.div_ceil(lanes.count.max(1)) } else { all };
        part.min(all.saturating_sub(lanes.running)).min(limits.max_size).max(1)
    }

    /// Rows that a lane takes at most when so many wait: with those that run, each lane gets as many.
    pub fn share(&self, limits: &Limits, rows: u32, lanes: Lanes) -> u32 {
        match *self {
            Advice::Join { usual: Some(usual), share: true, .. } if lanes.count > 1 => {
                let all = usual.max(rows.saturating_add(lanes.running));
                all.div_ceil(lanes.count).clamp(1, limits.max_size.max(1))
            }
            _ => limits.max_size.max(1),
        }
    }

    /// Among how many lanes a run's rows were shared, `all` being those that were there and that others run: 1 when it took
    /// more than its share, 0 where there was nothing to share.
    pub fn parts(&self, limits: &Limits, taken: u32, all: u32, lanes: Lanes) -> u32 {
        let Advice::Join { usual: Some(usual), share, .. } = *self else { return 0 };
        let all = usual.max(all);
        let each = all.div_ceil(lanes.count.max(1));
        match share {
            _ if each >= all.min(limits.max_size) => 0,
            true => lanes.count,
            false => u32::from(taken > each),
        }
    }

    /// Whether so many rows are worth another lane, while `coming` lanes are on their way to take their shares.
    pub fn needs_another(&self, limits: &Limits, rows: u32, coming: u32, mut lanes: Lanes) -> bool {
        let taken = coming.saturating_mul(self.share(limits, rows, lanes));
        lanes.running = lanes.running.saturating_add(taken);
        rows.checked_sub(taken).is_some_and(|left| left >= self.goal(limits, lanes))
    }
}

/// Whether the requests run now.
pub fn decide(limits: &Limits, waiting: &Waiting, advice: Advice, now: Time) -> Verdict {
    let (saving, run) = match advice {
        Advice::Off => return Verdict::Release(Reason::Off),
        Advice::Alone => return Verdict::Release(Reason::Alone),
        Advice::Join { saving, run, .. } => (saving, run),
    };
    if waiting.closing {
        return Verdict::Release(Reason::Closing);
    }
    if waiting.complete || waiting.rows >= limits.max_size {
        return Verdict::Release(Reason::Full);
    }
    let missing = advice.goal(limits, waiting.lanes).saturating_sub(waiting.rows);
    if waiting.awaited || missing == 0 {
        return Verdict::Release(Reason::Idle);
    }
    // Time with a free lane is what waiting costs: no more of it than the missing rows could save.
    let worth = saving.map_or(Duration::MAX, |saving| saving.saturating_mul(missing));
    let (patience, reason) =
        if worth < limits.max_delay { (worth, Reason::Idle) } else { (limits.max_delay, Reason::Delay) };
    let end = waiting.oldest.saturating_add(patience);
    // A model that has never run may take any time: its deadlines are not gambled with.
    let latest = waiting.deadline.map(|at| match run {
        Some(run) => at.saturating_sub(run.saturating_mul(3) / 2 + SLACK),
        None => Time::ZERO,
    });
    let (end, reason) = match latest {
        Some(latest) if latest < end => (latest, Reason::Deadline),
        _ => (end, reason),
    };
    if now >= end { Verdict::Release(reason) } else { Verdict::Wait(end) }
}

/// Which requests may share a run with this one; `None` when none may. The engine looks again before it joins:
/// equal keys are a hint.
pub fn group_of(values: &[Value], wanted: &Wanted, axes: &BatchAxes) -> Option<Group> {
    let mut hasher = DefaultHasher::new();
    let mut rows = None;
    for (at, value) in values.iter().enumerate() {
        let axis = axes.inputs.get(at).copied().flatten();
        let tensor = match (value, axis) {
            (Value::Tensor(tensor), _) => tensor,
            // The model's own default is the same for all; a row that is not there is not.
            (Value::None, None) => {
                hasher.write_u8(0);
                continue;
            }
            _ => return None,
        };
        if matches!(tensor.data, Data::Strings(_)) || tensor.dtype.bits() < 8 {
            return None;
        }
        (at, tensor.dtype, tensor.dims.len()).hash(&mut hasher);
        for (place, &dim) in tensor.dims.iter().enumerate() {
            if Some(place) != axis {
                dim.hash(&mut hasher);
            }
        }
        if let Some(axis) = axis {
            let own = u32::try_from(*tensor.dims.get(axis)?).ok().filter(|&own| own > 0)?;
            if *rows.get_or_insert(own) != own {
                return None;
            }
        }
    }
    match wanted {
        Wanted::All => hasher.write_u8(1),
        Wanted::Some(indices) => indices.hash(&mut hasher),
    }
    Some(Group { key: hasher.finish(), rows: rows? })
}
