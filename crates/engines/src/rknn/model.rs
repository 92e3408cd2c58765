//! A loaded model: what it takes, what it gives, and in which order of dimensions.

use headway_core::engine::{Dim, ModelInfo, ModelMeta, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::attr::{Format, TensorAttr};
use super::context::Context;
use super::layout::reorder;
use super::options::{Layout, Outputs};
use super::raw::query;

/// Element types from which the runtime converts an input.
pub(super) const TAKES: [DType; 10] = [
    DType::F32,
    DType::F16,
    DType::I8,
    DType::U8,
    DType::I16,
    DType::U16,
    DType::I32,
    DType::U32,
    DType::I64,
    DType::Bool,
];

/// One input.
pub(super) struct InputPlan {
    /// As the runtime says it.
    pub(super) attr: TensorAttr,
    /// The order in which callers feed it.
    pub(super) fed: Format,
    /// The order in which it is handed to the runtime, which transposes where its own is another.
    pub(super) passed: Format,
    /// The shapes that it may have, in the runtime's order; one where it is fixed.
    pub(super) shapes: Vec<Vec<u32>>,
}

/// One output.
pub(super) struct OutputPlan {
    /// As the runtime says it.
    pub(super) attr: TensorAttr,
    /// The element type that callers get.
    pub(super) dtype: DType,
}

/// What every lane knows.
pub(super) struct Plans {
    pub(super) inputs: Vec<InputPlan>,
    pub(super) outputs: Vec<OutputPlan>,
    /// Shapes may change from request to request.
    pub(super) dynamic: bool,
}

impl Plans {
    /// Asks a context of the model.
    pub(super) fn read(context: &Context, layout: Layout, outputs: Outputs) -> Result<Plans, Error> {
        let counts = context.counts()?;
        let inputs = context.attrs(query::INPUT_ATTR, counts.inputs, "input")?;
        let given = context.attrs(query::OUTPUT_ATTR, counts.outputs, "output")?;
        let inputs: Vec<_> = inputs.into_iter().map(|attr| input(context, attr, layout)).collect();
        let dynamic = inputs.iter().any(|plan| plan.shapes.len() > 1);
        let outputs = given.into_iter().map(|attr| {
            let float = outputs == Outputs::Float32 && attr.reads_as_float();
            OutputPlan { dtype: if float { DType::F32 } else { attr.dtype }, attr }
        });
        Ok(Plans { outputs: outputs.collect(), dynamic, inputs })
    }

    /// Which of the listed sets of shapes was fed. Shapes are in the callers' order.
    pub(super) fn shape_set(&self, fed: &[&[i64]]) -> Result<usize, Error> {
        let sets = self.inputs.iter().map(|plan| plan.shapes.len()).max().unwrap_or(1);
        let fits = |set: usize| self.inputs.iter().zip(fed).all(|(plan, dims)| same(&plan.shape(set), dims));
        (0..sets).find(|&set| fits(set)).ok_or_else(|| self.wrong_shape(fed, sets))
    }

    #[cold]
    fn wrong_shape(&self, fed: &[&[i64]], sets: usize) -> Error {
        let stray = |(plan, dims): &(&InputPlan, &&[i64])| !(0..sets).any(|set| same(&plan.shape(set), dims));
        let message = match self.inputs.iter().zip(fed).find(stray) {
            Some((plan, dims)) => {
                let known: Vec<_> =
                    (0..plan.shapes.len()).map(|set| format!("{:?}", plan.shape(set))).collect();
                format!("input {:?}: expected the shape {}, got {dims:?}", plan.attr.name, known.join(" or "))
            }
            None => format!(
                "the shapes {fed:?} do not belong together: those of all inputs must come from one set"
            ),
        };
        Error::new(ErrorKind::Input, message)
    }

    /// What callers see.
    pub(super) fn info(&self, custom: Option<String>, graph: &str) -> ModelInfo {
        let custom = custom.map(|text| ("rknn_custom_string".to_owned(), text)).into_iter().collect();
        ModelInfo {
            inputs: self.inputs.iter().map(InputPlan::node).collect(),
            outputs: self.outputs.iter().map(|plan| plan.node(self.dynamic)).collect(),
            converts: TAKES.to_vec(),
            meta: ModelMeta {
                producer_name: "rknn".into(),
                graph_name: graph.to_owned(),
                version: i64::MAX,
                custom,
                ..ModelMeta::default()
            },
            ..ModelInfo::default()
        }
    }
}

fn same(known: &[u32], fed: &[i64]) -> bool {
    known.len() == fed.len() && known.iter().zip(fed).all(|(&known, &fed)| i64::from(known) == fed)
}

fn input(context: &Context, attr: TensorAttr, layout: Layout) -> InputPlan {
    let picture = attr.dims.len() == 4 && matches!(attr.format, Format::Nchw | Format::Nhwc);
    let (fed, passed) = match layout {
        _ if !picture => (attr.format, Format::Undefined),
        Layout::Nchw => (Format::Nchw, Format::Nchw),
        Layout::NchwSoftware => (Format::Nchw, attr.format),
        Layout::Nhwc => (Format::Nhwc, Format::Nhwc),
        Layout::Any => (attr.format, attr.format),
    };
    let listed = context.shapes(attr.index);
    let shapes = if listed.is_empty() { vec![attr.dims.clone()] } else { listed };
    InputPlan { fed, passed, shapes, attr }
}

impl InputPlan {
    /// A listed shape in the callers' order; an input with one shape has it in every set.
    pub(super) fn shape(&self, set: usize) -> Vec<u32> {
        reorder(self.listed(set), self.attr.format, self.fed)
    }

    /// A listed shape in the runtime's order.
    pub(super) fn listed(&self, set: usize) -> &[u32] {
        self.shapes.get(set).or(self.shapes.first()).map_or(&self.attr.dims, |shape| shape)
    }

    fn node(&self) -> NodeInfo {
        let first = self.shape(0);
        let dims = first.iter().enumerate().map(|(axis, &length)| {
            let fixed = (1..self.shapes.len()).all(|set| self.shape(set).get(axis) == Some(&length));
            if fixed { Dim::Fixed(i64::from(length)) } else { Dim::Any }
        });
        let kind = ValueType::Tensor(self.attr.dtype, Some(dims.collect()));
        NodeInfo { name: self.attr.name.clone(), kind, required: true }
    }
}

impl OutputPlan {
    fn node(&self, dynamic: bool) -> NodeInfo {
        let dim = |&length: &u32| if dynamic { Dim::Any } else { Dim::Fixed(i64::from(length)) };
        let dims = self.attr.dims.iter().map(dim).collect();
        NodeInfo {
            name: self.attr.name.clone(),
            kind: ValueType::Tensor(self.dtype, Some(dims)),
            required: true,
        }
    }
}
