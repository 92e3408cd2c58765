//! How a model is to be loaded.

use std::path::PathBuf;
use std::sync::Arc;

use headway_core::engine::Engine;

/// The order of the dimensions in which callers feed pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Batch, channels, height, width; the runtime transposes.
    #[default]
    Nchw,
    /// The same, and Headway transposes.
    NchwSoftware,
    /// Batch, height, width, channels.
    Nhwc,
    /// As the model has it.
    Any,
}

/// The element types of outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outputs {
    /// float32 in place of quantised numbers and of float16; whole numbers that are not quantised stay what they are.
    #[default]
    Float32,
    /// As the model has them.
    Native,
}

/// The form of tensors in bound memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Channels last, where the runtime offers it.
    #[default]
    Nhwc,
    /// The NPU's own (groups of channels), where the runtime offers it: the NPU then permutes nothing.
    Native,
}

/// A model's priority on the NPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    /// The runtime's default.
    #[default]
    High,
    /// After high ones.
    Medium,
    /// After all others.
    Low,
}

/// Where one lane runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePlace {
    /// The runtime's core mask; `None` leaves the choice to it.
    pub mask: Option<i32>,
    /// In words, for errors.
    pub name: String,
}

impl Default for LanePlace {
    fn default() -> Self {
        LanePlace { mask: None, name: "the NPU".into() }
    }
}

/// Everything beside the model itself.
#[derive(Clone)]
pub struct RknnOptions {
    /// The runtime's file and no other. Beats the environment variable, which beats the usual places.
    pub library: Option<PathBuf>,
    /// One lane for each of these.
    pub lanes: Vec<LanePlace>,
    /// The order of inputs' dimensions.
    pub layout: Layout,
    /// Outputs' element types.
    pub outputs: Outputs,
    /// Inputs and outputs live in memory that is bound to the context, and the runtime copies nothing.
    pub zero_copy: bool,
    /// The form of what is bound.
    pub form: Form,
    /// Bound outputs a lane may have in its callers' hands, beside the one it writes to.
    pub buffers: usize,
    /// The model's priority.
    pub priority: Priority,
    /// The NPU may keep internal tensors in its SRAM.
    pub sram: bool,
    /// The runtime takes the time of every layer.
    pub perf: bool,
    /// Lanes are duplicates of the first, which shares its weights.
    pub duplicate: bool,
    /// Libraries of custom operators.
    pub custom_ops: Vec<PathBuf>,
    /// A loaded model whose weights this one uses.
    pub share_weights: Option<Arc<dyn Engine>>,
}

impl Default for RknnOptions {
    fn default() -> Self {
        RknnOptions {
            library: None,
            lanes: vec![LanePlace::default()],
            layout: Layout::default(),
            outputs: Outputs::default(),
            zero_copy: false,
            form: Form::default(),
            buffers: 2,
            priority: Priority::default(),
            sram: false,
            perf: false,
            duplicate: true,
            custom_ops: Vec::new(),
            share_weights: None,
        }
    }
}
