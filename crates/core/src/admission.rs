//! Admission, decided purely: what happens to a request that is offered to a flow.

/// What a full flow does with one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Callers wait for room, first come first served.
    #[default]
    Block,
    /// The new request is refused.
    Raise,
    /// The oldest waiting request of the lowest priority, of the key holding most, makes room.
    DropOldest,
    /// The new request gets a ticket that ends at once as dropped.
    DropNewest,
}

/// How full a flow is, seen by one offer.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests waiting in the flow.
    pub waiting: usize,
    /// The flow's `queue_depth`.
    pub depth: usize,
    /// Callers already waiting for room.
    pub line: usize,
    /// Requests that ended without running (dropped, expired, cancelled) and wait for their callbacks or to be pulled.
    pub notices: usize,
}

/// Who offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// May wait for room.
    Wait,
    /// Takes "no" for an answer.
    Never,
    /// The delivery thread: never waits, and may go `queue_depth` over the bound
    /// (otherwise a callback that submits would wait for itself).
    Delivery,
}

/// What to do with the offered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It goes into the queue.
    Admit,
    /// It goes into the queue, and the flow's victim ends as dropped.
    Displace,
    /// It gets a ticket and ends at once as dropped.
    DropNew,
    /// It joins the line of callers that wait for room.
    Line,
    /// It is refused: no ticket.
    Refuse,
}

/// At most this many notices per place in the queue wait for callbacks; then every policy acts like `Block`.
pub const NOTICES_PER_PLACE: usize = 16;

impl Load {
    /// True when one more may go into the queue.
    pub fn has_room(&self) -> bool {
        self.waiting < self.depth && !self.is_noticed()
    }

    /// True when so many requests ended without running and wait for their callbacks that no more may join them.
    pub fn is_noticed(&self) -> bool {
        self.notices >= self.depth.max(1).saturating_mul(NOTICES_PER_PLACE)
    }
}

/// Decides what happens to one more request. Nobody overtakes the line of callers that wait for room.
pub fn decide(policy: Overflow, load: Load, patience: Patience) -> Decision {
    let spare = load.waiting < load.depth.saturating_mul(2) && !load.is_noticed();
    match patience {
        _ if load.has_room() && load.line == 0 => Decision::Admit,
        Patience::Delivery if spare => Decision::Admit,
        Patience::Wait | Patience::Never | Patience::Delivery => overflow(policy, load, patience),
    }
}

fn overflow(policy: Overflow, load: Load, patience: Patience) -> Decision {
    let waits = if patience == Patience::Wait { Decision::Line } else { Decision::Refuse };
    match policy {
        Overflow::Block => waits,
        Overflow::Raise => Decision::Refuse,
        Overflow::DropOldest | Overflow::DropNewest if load.is_noticed() => waits,
        // The victim's place belongs to whoever has waited longest.
        Overflow::DropOldest if load.line > 0 => waits,
        Overflow::DropOldest if load.waiting > 0 => Decision::Displace,
        Overflow::DropOldest | Overflow::DropNewest => Decision::DropNew,
    }
}
