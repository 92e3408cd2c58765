//! What can go wrong, one kind for each thing that a caller can do about it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Why something ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The model or an engine's library cannot be loaded.
    Load,
    /// The request itself is wrong: name, dtype, byte order, rank, dimension.
    Input,
    /// There is no room, and the caller may not or will not wait longer.
    QueueFull,
    /// The overflow policy or a reset removed the request.
    Dropped(DropReason),
    /// The deadline passed, before the request ran or while it ran.
    Expired {
        /// True when it was already running.
        running: bool,
    },
    /// Somebody cancelled the request.
    Cancelled,
    /// The engine failed on this request.
    Engine,
    /// The session is closed or belongs to another process.
    Closed,
}

/// Why a request was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The flow was full (`drop_oldest`, `drop_newest`).
    Overflow,
    /// `run_pipeline(reset=True)`, or a new depth.
    PipelineReset,
    /// A join never found its partner.
    Unmatched,
    /// A Run was closed before anybody pulled the outcome.
    Unpulled,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [DropReason; 4] =
        [DropReason::Overflow, DropReason::PipelineReset, DropReason::Unmatched, DropReason::Unpulled];

    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Overflow => "overflow",
            DropReason::PipelineReset => "pipeline_reset",
            DropReason::Unmatched => "unmatched",
            DropReason::Unpulled => "unpulled",
        }
    }
}

/// An error: its kind, a message for people, and what the engine said in numbers.
#[derive(Clone)]
pub struct Error {
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// One clear sentence: the thing, what was expected, what was got, what to do.
    pub message: String,
    /// The engine's own status code, if it gave one (ONNX Runtime: `OrtErrorCode`).
    pub code: Option<i32>,
    /// Something the door understands, such as the exception that a Python engine raised.
    pub payload: Option<Arc<dyn Any + Send + Sync>>,
}

impl Error {
    /// An error with a message and nothing else.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), code: None, payload: None }
    }

    /// Adds the engine's status code.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds something that only the door understands.
    #[must_use]
    pub fn with_payload(mut self, payload: Arc<dyn Any + Send + Sync>) -> Self {
        self.payload = Some(payload);
        self
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?}, code {:?})", self.kind, self.message, self.code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
