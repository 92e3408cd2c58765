//! The model's admission: the table "Room" again, in its own words.

use headway_core::admission::{Overflow, Patience};
use headway_core::request::Group;

use crate::New;
use crate::support::{Ask, ask};
use crate::system::{At, One, Sys};

impl Sys {
    pub(super) fn submit(&mut self, new: New) {
        let id = self.all.len();
        let (depth, policy) = self.flows[new.flow];
        let waiting = self.waiting(new.flow);
        let noticed = self.noticed(new.flow);
        let (deadline, room) = (new.deadline.map(|d| self.now + d), new.room.map(|r| self.now + r));
        let result = self.bench.try_submit(self.ask(id, new));
        let slot = result.ok();
        let accepted = slot.is_some();
        let one = One {
            new,
            at: At::Refused,
            ticket: 0,
            submitted: self.now,
            deadline,
            room,
            parked: false,
            end: String::new(),
            delivered: false,
            inline: false,
            slot,
        };
        self.all.push(one);
        let extra = new.patience == Patience::Delivery && waiting < 2 * depth && !noticed;
        let late = new.deadline == Some(0);
        let free = extra || (waiting < depth && !noticed && self.line[new.flow].is_empty());
        let may_line = new.patience == Patience::Wait && !late;
        let lines = noticed
            || policy == Overflow::Block
            || (policy == Overflow::DropOldest && !self.line[new.flow].is_empty());
        let expect = match policy {
            _ if !self.open => At::Refused,
            _ if free => At::Waiting,
            Overflow::Raise => At::Refused,
            _ if lines && may_line => At::Line,
            _ if lines => At::Refused,
            Overflow::DropOldest => At::Waiting,
            _ => At::Ended,
        };
        assert_eq!(accepted, expect != At::Refused, "{new:?}");
        match expect {
            At::Refused => {}
            At::Line => {
                self.all[id].at = At::Line;
                self.line[new.flow].push(id);
            }
            At::Waiting if late => self.ends_at_once(id, "expired waiting"),
            At::Ended => self.ends_at_once(id, if late { "expired waiting" } else { "dropped overflow" }),
            _ => {
                if !free {
                    self.displaced(new.flow);
                }
                self.enroll(id, At::Waiting);
            }
        }
    }

    pub(super) fn ends_at_once(&mut self, id: usize, end: &str) {
        self.enroll(id, At::Waiting);
        self.end(id, end);
    }

    pub(super) fn ask(&self, id: usize, new: New) -> Ask {
        let mut asked = ask(id as u64).on(new.flow).priority(new.priority).patience(new.patience);
        asked = if let Some(key) = new.key { asked.key(key) } else { asked };
        asked = if let Some(deadline) = new.deadline { asked.deadline(self.now + deadline) } else { asked };
        asked = if new.callback { asked.callback() } else { asked };
        asked.request.group = new.group.map(|(key, rows)| Group { key, rows });
        asked.manner.room_until = new.room.map(|room| std::time::Duration::from_millis(self.now + room));
        asked
    }

    /// Exactly one made room: the oldest of a key that holds most, in the lowest priority.
    pub(super) fn displaced(&mut self, flow: usize) {
        let waiting: Vec<usize> = self.ids(At::Waiting).filter(|id| self.all[*id].new.flow == flow).collect();
        let gone: Vec<usize> = waiting
            .iter()
            .copied()
            .filter(|id| self.all[*id].slot.as_ref().is_some_and(|slot| slot.is_ended()))
            .collect();
        assert_eq!(gone.len(), 1);
        let new = |id: usize| self.all[id].new;
        let lowest = waiting.iter().map(|id| new(*id).priority).min();
        assert_eq!(Some(new(gone[0]).priority), lowest);
        let held = |key| {
            waiting.iter().filter(|id| Some(new(**id).priority) == lowest && new(**id).key == key).count()
        };
        let most =
            waiting.iter().filter(|id| Some(new(**id).priority) == lowest).map(|id| held(new(*id).key)).max();
        assert_eq!(Some(held(new(gone[0]).key)), most);
        assert!(self.first_of_its_party(gone[0]));
        self.end(gone[0], "dropped overflow");
    }

    pub(super) fn first_of_its_party(&self, id: usize) -> bool {
        let party = |id: usize| (self.all[id].new.flow, self.all[id].new.priority, self.all[id].new.key);
        self.ids(At::Waiting)
            .filter(|other| party(*other) == party(id))
            .all(|other| self.all[other].ticket >= self.all[id].ticket)
    }
}
