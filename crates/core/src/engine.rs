//! What the flow needs of an engine. Implemented by `crates/engines`; faked there too.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::request::{Inputs, Wanted};
use crate::value::{DType, Values};

/// One dimension of a model's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(i64),
    /// Any length; the same name means the same length within one request.
    Named(String),
    /// Any length.
    Any,
}

/// The type of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// A tensor: element type, and dimensions when the rank is known.
    Tensor(DType, Option<Vec<Dim>>),
    /// Anything else, in the engine's words: `seq(map(int64,tensor(float)))`.
    Other(String),
}

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ValueType,
    /// Inputs only: false when the model has a default for it (an overridable initializer).
    pub required: bool,
}

/// What a model says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelMeta {
    /// Who made the file.
    pub producer_name: String,
    /// The graph's name.
    pub graph_name: String,
    /// The graph's description.
    pub graph_description: String,
    /// The model's domain.
    pub domain: String,
    /// The model's description.
    pub description: String,
    /// The model's version; `i64::MAX` when unset, as in ONNX Runtime.
    pub version: i64,
    /// Free key-value pairs.
    pub custom: Vec<(String, String)>,
}

/// A loaded model's face.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// Inputs in the model's order: the required and defaulted ones first as the model lists them.
    pub inputs: Vec<NodeInfo>,
    /// Outputs in the model's order.
    pub outputs: Vec<NodeInfo>,
    /// Initializers that a feed may override, after the inputs in a request's value order.
    pub initializers: Vec<NodeInfo>,
    /// Element types from which the engine converts an input by itself; empty where an input takes only its own.
    pub converts: Vec<DType>,
    /// What the model says of itself.
    pub meta: ModelMeta,
}

/// The axis along which each input and output of a model is joined; `None` for what all requests of a batch share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchAxes {
    /// In the order of a request's values: inputs, then initializers.
    pub inputs: Vec<Option<usize>>,
    /// In the model's order.
    pub outputs: Vec<Option<usize>>,
}

/// One request on its way through a lane.
#[derive(Debug)]
pub struct Job {
    /// The inputs; their memory is theirs until the lane has returned (invariant 6).
    pub inputs: Inputs,
    /// The outputs to give, in this order.
    pub wanted: Wanted,
    /// The request's own run options, made by the engine that runs it.
    pub options: Option<Arc<dyn Control>>,
    /// What the lane puts here before it returns.
    pub result: Option<Result<Values, Error>>,
}

/// A loaded model that can open lanes.
pub trait Engine: Send + Sync + 'static {
    /// The engine's word: `onnxruntime`, `fake`, ...
    fn name(&self) -> &'static str;
    /// Names, types and metadata.
    fn info(&self) -> &ModelInfo;
    /// Opens lane number `id`.
    ///
    /// # Errors
    /// Whatever the engine says when it has no more lanes to give.
    fn open_lane(&self, id: usize) -> Result<Box<dyn Lane>, Error>;
    /// True when [`Control::terminate`] stops a running request, at least between two operators.
    fn can_cancel(&self) -> bool;
    /// From now on, lanes that are opened join the jobs they get along these axes.
    ///
    /// # Errors
    /// `Input` on an engine that does not batch.
    fn batch(&self, _axes: &BatchAxes) -> Result<(), Error> {
        let text = format!("batching: the {} engine does not batch", self.name());
        Err(Error::new(ErrorKind::Input, text))
    }
    /// True when its lanes take `Inputs::Binding` made of `ort::Places`: outputs are written where the caller says.
    fn places_outputs(&self) -> bool {
        false
    }
    /// Ends what runs beside its lanes, when no request will come any more. Waits until `until` (`None`: for ever), or for
    /// as long as ending usually takes if that is longer, and names the lanes of which something has not ended.
    fn end(&self, _until: Option<Instant>) -> Vec<usize> {
        Vec::new()
    }
    /// For callers that know the concrete engine.
    fn as_any(&self) -> &dyn Any;
}

/// One place where one inference at a time can run.
///
/// `Send`, not `Sync`: whoever has taken work on the lane owns it until that work is completed.
pub trait Lane: Send {
    /// Runs the batch: blocks, and leaves a `result` in every job. A bad job fails alone.
    fn run(&mut self, jobs: &mut [Job]);
    /// Why the last batch showed that this model cannot be batched; asked once after every batch of several.
    fn refusal(&mut self) -> Option<Box<str>> {
        None
    }
    /// Stops what runs on this lane when a job has no options of its own.
    fn control(&self) -> Option<Arc<dyn Control>>;
}

/// A running request's terminate flag. Both calls only store a flag: the state lock is held over them.
pub trait Control: Send + Sync {
    /// Asks the engine to stop as soon as it can.
    fn terminate(&self);
    /// Clears the flag before the next request.
    fn reset(&self);
    /// For the engine that made it.
    fn as_any(&self) -> &dyn Any;
}

impl std::fmt::Debug for dyn Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}
