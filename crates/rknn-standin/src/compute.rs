//! What a run computes: a trivial operation, or the ONNX model inside the file.

use std::path::PathBuf;
use std::sync::Arc;

use headway_core::engine::{Engine, Job, Lane};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Memory, Tensor as Values, Value};
use headway_engines::ort::{LibrarySource, LoadOptions, ModelSource, OrtEngine};

use crate::file::{Description, Tensor};
use crate::numbers::Kind;

/// Environment variable: ONNX Runtime's library for the stand-in.
const LIBRARY: &str = "HEADWAY_STANDIN_ONNXRUNTIME";

/// A loaded model. Contexts that share weights share this.
pub struct Model {
    pub description: Description,
    engine: Option<OrtEngine>,
}

/// Real numbers of a tensor, in its own order.
pub struct Reals {
    pub dims: Vec<u32>,
    pub values: Vec<f64>,
}

impl Model {
    pub fn load(description: Description, payload: &[u8]) -> Option<Model> {
        let engine = match description.op.as_str() {
            "onnx" => {
                let explicit = std::env::var_os(LIBRARY).map(PathBuf::from);
                let library = LibrarySource { explicit, candidates: Vec::new() };
                let mut options = LoadOptions::new(library, ModelSource::Bytes(payload));
                options.config.intra_op_num_threads = Some(1);
                Some(OrtEngine::load(options).ok()?)
            }
            "identity" | "add" | "mul" | "scale" | "head" => None,
            _ => return None,
        };
        Some(Model { description, engine })
    }

    pub fn lane(&self) -> Option<Box<dyn Lane>> {
        self.engine.as_ref()?.open_lane(0).ok()
    }

    /// Answers in the order of the outputs; `None` when the model cannot run.
    pub fn run(&self, lane: Option<&mut Box<dyn Lane>>, inputs: &[Reals]) -> Option<Vec<Reals>> {
        let same = |input: &Reals| Reals { dims: input.dims.clone(), values: input.values.clone() };
        let outputs = self.description.outputs.len();
        match self.description.op.as_str() {
            "identity" => Some((0..outputs).map(|at| same(&inputs[at % inputs.len()])).collect()),
            "head" => {
                // As many of the first numbers as the output has.
                let output = &self.description.outputs[0];
                let count: u32 = output.dims.iter().product();
                let values = inputs[0].values.iter().copied().take(count as usize).collect();
                Some(vec![Reals { dims: output.dims.clone(), values }])
            }
            "scale" => {
                let scaled = inputs[0].values.iter().map(|value| value * self.description.factor).collect();
                Some(vec![Reals { dims: inputs[0].dims.clone(), values: scaled }])
            }
            "add" => {
                let mut sum = same(&inputs[0]);
                for input in &inputs[1..] {
                    sum.values.iter_mut().zip(&input.values).for_each(|(sum, value)| *sum += value);
                }
                Some(vec![sum])
            }
            "mul" => {
                let mut product = same(&inputs[0]);
                for input in &inputs[1..] {
                    product
                        .values
                        .iter_mut()
                        .zip(&input.values)
                        .for_each(|(product, value)| *product *= value);
                }
                Some(vec![product])
            }
            _ => self.run_onnx(lane?.as_mut(), inputs),
        }
    }

    fn run_onnx(&self, lane: &mut dyn Lane, inputs: &[Reals]) -> Option<Vec<Reals>> {
        let feeds = self.description.inputs.iter().zip(inputs).map(|(tensor, reals)| feed(tensor, reals));
        let mut jobs = [Job {
            inputs: Inputs::Feeds(feeds.collect()),
            wanted: Wanted::All,
            options: None,
            result: None,
        }];
        lane.run(&mut jobs);
        let values = jobs[0].result.take()?.ok()?;
        values.iter().map(reals).collect()
    }
}

/// A tensor of the ONNX model: transposed, in its element type.
fn feed(tensor: &Tensor, reals: &Reals) -> Value {
    let (dims, values) = permuted(&reals.dims, &reals.values, &tensor.perm);
    let kind = tensor.onnx;
    let mut bytes = vec![0; values.len() * kind.bytes()];
    values.iter().enumerate().for_each(|(at, &value)| kind.write(&mut bytes, at, value));
    let owner: Arc<[u8]> = bytes.into();
    let memory =
        Memory { addr: owner.as_ptr().expose_provenance(), len: owner.len(), owner: Some(Arc::new(owner)) };
    let dims: Dims = dims.iter().map(|&dim| i64::from(dim)).collect();
    Value::Tensor(Values { dtype: dtype_of(kind), dims, data: Data::Memory(memory) })
}

fn dtype_of(kind: Kind) -> DType {
    match kind {
        Kind::Float32 => DType::F32,
        Kind::Float16 => DType::F16,
        Kind::Int8 => DType::I8,
        Kind::Uint8 => DType::U8,
        Kind::Int16 => DType::I16,
        Kind::Uint16 => DType::U16,
        Kind::Int32 => DType::I32,
        Kind::Uint32 => DType::U32,
        Kind::Int64 => DType::I64,
        Kind::Bool => DType::Bool,
    }
}

fn reals(value: &Value) -> Option<Reals> {
    let Value::Tensor(tensor) = value else { return None };
    let Data::Memory(memory) = &tensor.data else { return None };
    let kinds = [
        Kind::Float32,
        Kind::Float16,
        Kind::Int8,
        Kind::Uint8,
        Kind::Int16,
        Kind::Uint16,
        Kind::Int32,
        Kind::Uint32,
        Kind::Int64,
        Kind::Bool,
    ];
    let kind = kinds.into_iter().find(|&kind| dtype_of(kind) == tensor.dtype)?;
    // SAFETY: the value keeps its memory, and nobody writes to it.
    let bytes = unsafe {
        std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(memory.addr), memory.len)
    };
    let values = (0..tensor.count()).map(|at| kind.read(bytes, at)).collect();
    Some(Reals { dims: tensor.dims.iter().map(|&dim| dim as u32).collect(), values })
}

/// Dimensions and elements with axis `perm[k]` in place k.
fn permuted(dims: &[u32], values: &[f64], perm: &[usize]) -> (Vec<u32>, Vec<f64>) {
    if perm.is_empty() {
        return (dims.to_vec(), values.to_vec());
    }
    let mut strides = vec![1_usize; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1] as usize;
    }
    let shape: Vec<u32> = perm.iter().map(|&axis| dims[axis]).collect();
    let mut index = vec![0_u32; shape.len()];
    let mut moved = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let place: usize = index.iter().zip(perm).map(|(&at, &axis)| at as usize * strides[axis]).sum();
        moved.push(values[place]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    (shape, moved)
}
