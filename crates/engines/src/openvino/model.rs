//! Reading a model, compiling it, and what it then says of itself.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use headway_core::engine::{Dim, ModelInfo, ModelMeta, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::onnx::{self, Face};
use super::raw::*;
use super::runtime::Runtime;
use super::tensor;

/// Where the model comes from.
#[derive(Debug, Clone)]
pub enum ModelSource<'a> {
    /// A file: ONNX, OpenVINO's own (.xml, with its .bin beside it), TensorFlow Lite, Paddle.
    Path(PathBuf),
    /// An ONNX file's contents, or an .xml file's with the contents of its .bin file.
    Bytes {
        /// The model.
        model: &'a [u8],
        /// The weights of an .xml model.
        weights: Option<&'a [u8]>,
    },
}

/// As many properties as one model may be compiled with.
const MOST_PROPERTIES: usize = 24;

/// A model between reading and compiling.
pub(super) struct Read {
    runtime: &'static Runtime,
    raw: *mut OvModel,
    face: Option<Face>,
    /// Goes after the model, which reads its weights from here.
    weights: Option<Arc<[u8]>>,
}

impl Drop for Read {
    fn drop(&mut self) {
        // SAFETY: made by `read`, freed once.
        unsafe { (self.runtime.api.free_model)(self.raw) };
    }
}

/// `text` for the C side.
pub(super) fn c_string(text: &str) -> Result<CString, Error> {
    let bad = |_| Error::new(ErrorKind::Load, format!("{text:?} has a NUL character inside"));
    CString::new(text).map_err(bad)
}

/// Reads a model.
pub(super) fn read(runtime: &'static Runtime, source: &ModelSource<'_>) -> Result<Read, Error> {
    let (api, mut raw, mut kept) = (&runtime.api, ptr::null_mut(), None);
    let face = match source {
        ModelSource::Path(path) => {
            let text = c_string(path_text(path)?)?;
            // SAFETY: the core lives for ever; the path is read during the call; an out parameter.
            let status = unsafe { (api.read_file)(runtime.core, text.as_ptr(), ptr::null(), &mut raw) };
            api.check(status, ErrorKind::Load)?;
            File::open(path).ok().and_then(|file| onnx::face(BufReader::new(file)))
        }
        ModelSource::Bytes { model, weights } => {
            kept = weights.map(Arc::<[u8]>::from);
            // SAFETY: the model keeps these bytes, and whatever is compiled from it does too.
            let weights =
                kept.as_deref().map(|bytes| unsafe { tensor::over_bytes(runtime, bytes) }).transpose()?;
            let weights = weights.as_ref().map_or(ptr::null_mut(), tensor::EngineTensor::raw);
            let start = model.as_ptr().cast::<c_char>();
            // SAFETY: as above; the bytes have that length.
            let status = unsafe { (api.read_bytes)(runtime.core, start, model.len(), weights, &mut raw) };
            api.check(status, ErrorKind::Load)?;
            onnx::face(Cursor::new(model))
        }
    };
    Ok(Read { runtime, raw, face, weights: kept })
}

fn path_text(path: &Path) -> Result<&str, Error> {
    if !path.exists() {
        return Err(Error::new(ErrorKind::Load, format!("{}: no such file", path.display())));
    }
    let text = path.to_str();
    text.ok_or_else(|| Error::new(ErrorKind::Load, format!("{}: the path is not UTF-8", path.display())))
}

/// A compiled model.
pub(super) struct Compiled {
    pub(super) runtime: &'static Runtime,
    pub(super) raw: *mut OvCompiled,
    /// Goes after the model, which may go on reading its weights from here.
    _weights: Option<Arc<[u8]>>,
}

// SAFETY: a compiled model may be used from many threads at once; it is freed once, by its owner.
unsafe impl Send for Compiled {}
// SAFETY: as above.
unsafe impl Sync for Compiled {}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: made by `compile`, freed once.
        unsafe { (self.runtime.api.free_compiled)(self.raw) };
    }
}

impl Read {
    /// Compiles the model for a device.
    pub(super) fn compile(&self, device: &str, properties: &[(String, String)]) -> Result<Compiled, Error> {
        if properties.len() > MOST_PROPERTIES {
            let text = format!("{} properties, but at most {MOST_PROPERTIES} fit", properties.len());
            return Err(Error::new(ErrorKind::Load, text));
        }
        let texts = properties.iter().flat_map(|(name, value)| [name, value]);
        let texts = texts.map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
        let (device, mut raw) = (c_string(device)?, ptr::null_mut());
        // How many there are is only known here, and a C call has a fixed length: the rest are nulls, which the library
        // does not look at, since it is told how many there are.
        let mut p = [ptr::null::<c_char>(); 2 * MOST_PROPERTIES];
        p.iter_mut().zip(&texts).for_each(|(place, text)| *place = text.as_ptr());
        let (api, core, count) = (&self.runtime.api, self.runtime.core, texts.len());
        // SAFETY: core and model are live; the strings live during the call; an out parameter.
        #[rustfmt::skip]
        let status = unsafe {
            (api.compile)(
                core, self.raw, device.as_ptr(), count, &mut raw,
                p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11],
                p[12], p[13], p[14], p[15], p[16], p[17], p[18], p[19], p[20], p[21], p[22], p[23],
                p[24], p[25], p[26], p[27], p[28], p[29], p[30], p[31], p[32], p[33], p[34], p[35],
                p[36], p[37], p[38], p[39], p[40], p[41], p[42], p[43], p[44], p[45], p[46], p[47],
            )
        };
        api.check(status, ErrorKind::Load)?;
        Ok(Compiled { runtime: self.runtime, raw, _weights: self.weights.clone() })
    }

    fn name(&self) -> String {
        let (api, mut text) = (&self.runtime.api, ptr::null_mut());
        // SAFETY: the model is live; an out parameter.
        let status = unsafe { (api.model_name)(self.raw, &mut text) };
        // SAFETY: made by the library just now.
        if status == OK { unsafe { api.take_text(text) }.unwrap_or_default() } else { String::new() }
    }

    /// Names, types and shapes of a model that was compiled from this one.
    pub(super) fn info(&self, compiled: &Compiled) -> Result<ModelInfo, Error> {
        let face = self.face.as_ref();
        let inputs = compiled.ports(Side::Input)?;
        let outputs = compiled.ports(Side::Output)?;
        if let Some(output) = outputs.iter().find(|port| port.dtype == DType::String) {
            let text = format!(
                "output {:?} holds strings, which OpenVINO's C interface does not give back",
                output.name.as_deref().unwrap_or("")
            );
            return Err(Error::new(ErrorKind::Load, text));
        }
        Ok(ModelInfo {
            inputs: nodes(Side::Input, inputs, face.map(|face| face.inputs.as_slice())),
            outputs: nodes(Side::Output, outputs, face.map(|face| face.outputs.as_slice())),
            initializers: Vec::new(),
            converts: Vec::new(),
            meta: ModelMeta { graph_name: self.name(), version: i64::MAX, ..ModelMeta::default() },
        })
    }
}

/// Which end of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Side::Input => "input",
            Side::Output => "output",
        }
    }
}

/// An input or output as OpenVINO has it.
struct PortInfo {
    /// One of its names; `None` when it has none.
    name: Option<String>,
    dtype: DType,
    /// `None` when the rank is not known.
    dims: Option<Vec<Dim>>,
}

impl Compiled {
    /// The value of a property in words.
    pub(super) fn property(&self, name: &str) -> Result<String, Error> {
        let (api, key, mut text) = (&self.runtime.api, c_string(name)?, ptr::null_mut());
        // SAFETY: the model is live; the key is read during the call; an out parameter.
        api.check_run(unsafe { (api.property)(self.raw, key.as_ptr(), &mut text) })?;
        // SAFETY: made by the library just now.
        Ok(unsafe { api.take_text(text) }.unwrap_or_default())
    }

    fn ports(&self, side: Side) -> Result<Vec<PortInfo>, Error> {
        let api = &self.runtime.api;
        let (count, get) = match side {
            Side::Input => (api.input_count, api.input),
            Side::Output => (api.output_count, api.output),
        };
        let mut length = 0;
        // SAFETY: the model is live; an out parameter.
        api.check(unsafe { count(self.raw, &mut length) }, ErrorKind::Load)?;
        (0..length)
            .map(|at| {
                let mut port = ptr::null_mut();
                // SAFETY: `at` is below the count; an out parameter.
                api.check(unsafe { get(self.raw, at, &mut port) }, ErrorKind::Load)?;
                // SAFETY: just made.
                let info = unsafe { self.port(port, side, at) };
                // SAFETY: made above, freed once.
                unsafe { (api.free_port)(port) };
                info
            })
            .collect()
    }

    /// # Safety
    /// `port` is live.
    unsafe fn port(&self, port: *const OvPort, side: Side, at: usize) -> Result<PortInfo, Error> {
        let api = &self.runtime.api;
        let (mut text, mut code) = (ptr::null_mut(), 0);
        // SAFETY: the port is live; an out parameter. A port without a name is an error to this call.
        let named = unsafe { (api.port_name)(port, &mut text) } == OK;
        // SAFETY: made by the library just now.
        let name = if named { unsafe { api.take_text(text) } } else { None };
        // SAFETY: as above.
        api.check(unsafe { (api.port_type)(port, &mut code) }, ErrorKind::Load)?;
        let dtype = self.runtime.types.known(code).map_err(|word| {
            let (side, name) = (side.word(), name.as_deref().unwrap_or(""));
            let text =
                format!("{side} number {at} ({name:?}) has elements of {word}, which Headway does not know");
            Error::new(ErrorKind::Load, text)
        })?;
        let none = Dimension { min: 0, max: 0 };
        let mut shape = PartialShape { rank: none, dims: ptr::null_mut() };
        // SAFETY: as above.
        api.check(unsafe { (api.port_shape)(port, &mut shape) }, ErrorKind::Load)?;
        let rank = usize::try_from(shape.rank.max).ok().filter(|_| shape.rank.min == shape.rank.max);
        let dims = rank.map(|rank| {
            // SAFETY: the library gave as many dimensions as the rank says.
            let read = |at: usize| unsafe { *shape.dims.add(at) };
            (0..rank)
                .map(read)
                .map(|dim| if dim.min == dim.max { Dim::Fixed(dim.min) } else { Dim::Any })
                .collect()
        });
        // SAFETY: filled above, freed once.
        unsafe { (api.free_partial_shape)(&mut shape) };
        Ok(PortInfo { name, dtype, dims })
    }
}

/// The ports under the file's own names where it has them, else under OpenVINO's.
fn nodes(side: Side, ports: Vec<PortInfo>, own: Option<&[onnx::Port]>) -> Vec<NodeInfo> {
    // OpenVINO keeps the file's order, so equal numbers are the same ports.
    let own = own.filter(|own| own.len() == ports.len());
    let mut nodes: Vec<NodeInfo> = Vec::with_capacity(ports.len());
    for (at, port) in ports.into_iter().enumerate() {
        let file = own.and_then(|own| own.get(at));
        let name = file.map(|port| port.name.clone()).or(port.name);
        let mut name =
            name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{}_{at}", side.word()));
        while nodes.iter().any(|node| node.name == name) {
            name = format!("{name}_{at}");
        }
        let mut dims = port.dims;
        if let (Some(dims), Some(file)) = (&mut dims, file)
            && dims.len() == file.symbols.len()
        {
            for (dim, symbol) in dims.iter_mut().zip(&file.symbols) {
                if let (Dim::Any, Some(symbol)) = (&*dim, symbol) {
                    *dim = Dim::Named(symbol.clone());
                }
            }
        }
        nodes.push(NodeInfo { name, kind: ValueType::Tensor(port.dtype, dims), required: true });
    }
    nodes
}
