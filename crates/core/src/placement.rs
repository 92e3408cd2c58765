//! Which lane a request goes to, where lanes are on different cores. Decided purely.

use crate::request::Ticket;

/// The cores of a session's lanes, and in which proportion they get work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Each lane's core.
    cores: Vec<usize>,
    /// Cores in turn; one that is named more often has more weight.
    schedule: Vec<usize>,
    pinned: bool,
}

impl Placement {
    /// Lanes on `cores`. Pinned: request number i (from 0) runs on core `schedule[i % len]` and nowhere else. Else the
    /// first free lane gets it, and of several that are free the one whose core has had least for its weight.
    /// `None` when a core of the schedule has no lane, or there is none.
    pub fn new(cores: Vec<usize>, schedule: Vec<usize>, pinned: bool) -> Option<Placement> {
        let sound = !schedule.is_empty()
            && schedule.iter().all(|core| cores.contains(core))
            && cores.iter().all(|core| schedule.contains(core));
        sound.then_some(Placement { cores, schedule, pinned })
    }

    /// True when requests may run only on their own core.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// How many lanes it is about.
    pub fn lanes(&self) -> usize {
        self.cores.len()
    }

    /// True when the request with this ticket (from 1) may run on the lane.
    pub fn fits(&self, lane: usize, ticket: Ticket) -> bool {
        let turn = (ticket.saturating_sub(1) % self.schedule.len() as u64) as usize;
        !self.pinned || self.cores.get(lane) == self.schedule.get(turn)
    }

    /// Of `free` lanes that a request may run on, the one whose core has had least for its weight; `runs` says how often
    /// a lane has run.
    pub fn choose(&self, free: impl Iterator<Item = usize>, runs: impl Fn(usize) -> u64) -> Option<usize> {
        let had = |core: usize| -> u64 {
            (0..self.cores.len()).filter(|&lane| self.cores[lane] == core).map(&runs).sum()
        };
        let weight = |core: usize| self.schedule.iter().filter(|&&other| other == core).count() as u64;
        let share = |lane: usize| {
            let core = self.cores[lane];
            // In whole numbers: `had / weight`, fine enough to tell any two apart.
            u128::from(had(core)) * 1_000_000 / u128::from(weight(core).max(1))
        };
        free.filter(|&lane| lane < self.cores.len()).min_by_key(|&lane| (share(lane), runs(lane), lane))
    }
}
