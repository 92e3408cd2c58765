//! Requests, tickets and outcomes.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::engine::Control;
use crate::error::{DropReason, Error, ErrorKind};
use crate::value::{Owner, Values};

/// A request's number, given at admission, rising by one.
pub type Ticket = u64;

/// Time since the session's clock began. A plain input everywhere below floor 3.
pub type Time = Duration;

/// Whose request this is: a camera, a user. Order and fairness are kept per key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKey {
    /// A number.
    Int(i64),
    /// A name.
    Str(Arc<str>),
}

/// What a request feeds the engine.
#[derive(Debug, Clone)]
pub enum Inputs {
    /// Values in the model's input order, then its overridable initializers; `Value::None` where nothing was fed.
    Feeds(Values),
    /// A binding made earlier by the engine (inputs and outputs in one).
    Binding(OwnerBox),
}

impl Default for Inputs {
    fn default() -> Self {
        Inputs::Feeds(Values::new())
    }
}

/// An opaque owner with a `Debug` face.
#[derive(Clone)]
pub struct OwnerBox(pub Owner);

impl std::fmt::Debug for OwnerBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("binding")
    }
}

/// Which outputs, by index into the model's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    /// All, in the model's order.
    #[default]
    All,
    /// These, in this order; repeats allowed.
    Some(SmallVec<[u32; 4]>),
}

/// Which requests may share a run with this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Equal for requests that look alike but for how many rows they have. A hint: the engine looks again.
    pub key: u64,
    /// How long the request is along the batch's axis, at least 1.
    pub rows: u32,
}

/// What a caller hands in.
#[derive(Debug)]
pub struct Request {
    /// Inputs or a binding.
    pub inputs: Inputs,
    /// Wanted outputs.
    pub wanted: Wanted,
    /// The request's own run options.
    pub options: Option<Arc<dyn Control>>,
    /// When it expires.
    pub deadline: Option<Time>,
    /// Larger runs first.
    pub priority: i32,
    /// Its stream key.
    pub stream: Option<StreamKey>,
    /// With whom it may share a run; `None` with nobody.
    pub group: Option<Group>,
}

impl Request {
    /// A request with default options.
    pub fn new(inputs: Inputs, wanted: Wanted) -> Self {
        Request { inputs, wanted, options: None, deadline: None, priority: 0, stream: None, group: None }
    }
}

/// How a request ended: exactly one for each ticket.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The wanted outputs.
    Done(Values),
    /// The engine failed on it.
    Failed(Error),
    /// The overflow policy or a reset removed it.
    Dropped(DropReason),
    /// Its deadline passed.
    Expired {
        /// True when it was already running.
        running: bool,
    },
    /// Somebody cancelled it.
    Cancelled,
}

impl Outcome {
    /// The outputs, or the error that this ending is to its caller.
    ///
    /// # Errors
    /// One of `Failed`'s own error, `Dropped`, `Expired`, `Cancelled`.
    pub fn into_result(self) -> Result<Values, Error> {
        match self {
            Outcome::Done(values) => Ok(values),
            Outcome::Failed(error) => Err(error),
            Outcome::Dropped(reason) => Err(Error::new(
                ErrorKind::Dropped(reason),
                format!("the request was dropped: {}", reason.as_str()),
            )),
            Outcome::Expired { running } => {
                let place = if running { "while it was running" } else { "while it was waiting" };
                Err(Error::new(
                    ErrorKind::Expired { running },
                    format!("the request's timeout passed {place}"),
                ))
            }
            Outcome::Cancelled => Err(Error::new(ErrorKind::Cancelled, "the request was cancelled")),
        }
    }
}

/// Where a request spent its time. All since the session's clock began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// When it was submitted.
    pub submitted: Time,
    /// When a lane took it.
    pub started: Option<Time>,
    /// When its outcome was known.
    pub ended: Option<Time>,
}
