//! The orders that outcomes are handed over in: one for each flow, stream key and priority.

use std::collections::HashMap;

use super::Delivery;
use crate::reorder::Reorder;
use crate::request::Ticket;
use crate::schedule::KeyId;

/// By flow, key and priority (0 in a flow whose outcomes are pulled).
pub(crate) type Consumer = (usize, Option<KeyId>, i32);

/// The session's own flow, no key, no priority.
const PLAIN: Consumer = (0, None, 0);

/// Everybody's order.
#[derive(Default)]
pub(crate) struct Consumers {
    /// That of most requests: neither looked up nor made anew.
    plain: Reorder<Delivery>,
    others: HashMap<Consumer, Reorder<Delivery>>,
}

impl Consumers {
    /// Takes a place at the end.
    pub(crate) fn open(&mut self, consumer: Consumer, ticket: Ticket) {
        match consumer {
            PLAIN => self.plain.open(ticket),
            other => self.others.entry(other).or_default().open(ticket),
        }
    }

    /// The order in which a request has its place.
    pub(crate) fn get_mut(&mut self, consumer: &Consumer) -> Option<&mut Reorder<Delivery>> {
        match consumer {
            &PLAIN => Some(&mut self.plain),
            other => self.others.get_mut(other),
        }
    }

    /// Forgets an order, which holds nothing any more.
    pub(crate) fn forget(&mut self, consumer: &Consumer) {
        if *consumer != PLAIN {
            self.others.remove(consumer);
        }
    }

    /// How many orders are kept beside the usual one.
    #[cfg(all(test, not(loom)))]
    pub(super) fn held(&self) -> usize {
        self.others.len()
    }

    /// The ticket that each of a flow's orders waits for.
    pub(crate) fn heads(&self, flow: usize) -> impl Iterator<Item = Ticket> {
        let plain = (flow == PLAIN.0).then(|| self.plain.head()).flatten();
        let of_flow = self.others.iter().filter(move |((of, ..), _)| *of == flow);
        plain.into_iter().chain(of_flow.filter_map(|(_, order)| order.head()))
    }
}
