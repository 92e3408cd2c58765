//! A stand-in's model file: the container of a real one, a description in JSON, and an ONNX model as its payload.

use serde::Deserialize;

use crate::numbers::Kind;

/// The file's JSON, as far as the stand-in reads it.
#[derive(Debug, Deserialize)]
struct Outer {
    standin: Description,
}

/// What the model is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// `identity`, `add`, `mul`, `scale`, `head` or `onnx`.
    pub op: String,
    #[serde(default = "one")]
    pub factor: f64,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// Seconds that a core of speed 1 takes.
    #[serde(default)]
    pub latency: f64,
    #[serde(default)]
    pub custom_string: String,
    /// Sets of input shapes; none for a model with fixed ones.
    #[serde(default)]
    pub shapes: Vec<ShapeSet>,
    /// Operators that must be registered.
    #[serde(default)]
    pub custom_ops: usize,
    /// Only contexts that share another model's weights can load it.
    #[serde(default)]
    pub remove_weight: bool,
}

/// Shapes of all inputs and outputs together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeSet {
    pub inputs: Vec<Vec<u32>>,
    pub outputs: Vec<Vec<u32>>,
}

/// One input or output.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u32>,
    /// `NCHW`, `NHWC` or `UNDEFINED`.
    pub fmt: String,
    pub kind: Kind,
    /// `none`, `dfp` or `affine`.
    #[serde(default = "none")]
    pub qnt: String,
    #[serde(default)]
    pub zp: i32,
    #[serde(default = "one")]
    pub scale: f64,
    #[serde(default)]
    pub fl: i8,
    /// Rows are padded to a multiple of so many pixels.
    #[serde(default = "one_pixel")]
    pub w_align: u32,
    /// Rows of a picture are so many more than its height.
    #[serde(default)]
    pub h_extra: u32,
    /// Channels of one group in the native format.
    #[serde(default = "sixteen")]
    pub c2: u32,
    /// False where the runtime has no native form with channels last.
    #[serde(default = "yes")]
    pub native_nhwc: bool,
    /// The order of the ONNX model's dimensions, as axes of this tensor; empty where it is the same.
    #[serde(default)]
    pub perm: Vec<usize>,
    /// The ONNX model's element type for it.
    #[serde(default = "float")]
    pub onnx: Kind,
}

fn one() -> f64 {
    1.0
}

fn one_pixel() -> u32 {
    1
}

fn sixteen() -> u32 {
    16
}

fn yes() -> bool {
    true
}

fn none() -> String {
    "none".into()
}

fn float() -> Kind {
    Kind::Float32
}

const HEADER: usize = 64;

/// Description and payload of a file's bytes; `None` when it is no such file.
pub fn read(bytes: &[u8]) -> Option<(Description, Vec<u8>)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?) as usize);
    if bytes.get(..8)? != b"RKNN\0\0\0\0" || number(8)? != 6 {
        return None;
    }
    let end = HEADER.checked_add(number(16)?)?;
    let payload = bytes.get(HEADER..end)?;
    let json = bytes.get(end + 8..)?;
    if json.len() != number(end)? {
        return None;
    }
    let outer: Outer = serde_json::from_slice(json).ok()?;
    Some((outer.standin, payload.to_vec()))
}
