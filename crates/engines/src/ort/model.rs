//! What a loaded model says of itself.

use std::ffi::{CStr, c_char};
use std::ptr;

use headway_core::engine::{Dim, ModelInfo, ModelMeta, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::raw::*;
use super::runtime::Runtime;
use super::text::c_string;

type CountFn = unsafe extern "system" fn(*const OrtSession, *mut usize) -> Status;
type NameFn =
    unsafe extern "system" fn(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> Status;
type TypeFn = unsafe extern "system" fn(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> Status;
type MetaFn =
    unsafe extern "system" fn(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;

/// Reads everything.
///
/// # Safety
/// `session` is a live session of this runtime.
pub(super) unsafe fn read(runtime: &Runtime, session: *const OrtSession) -> Result<ModelInfo, Error> {
    let api = &runtime.api;
    let reader = Reader { runtime, session };
    Ok(ModelInfo {
        inputs: reader.nodes(api.input_count, api.input_name, api.input_type, true)?,
        outputs: reader.nodes(api.output_count, api.output_name, api.output_type, true)?,
        initializers: reader.nodes(
            api.initializer_count,
            api.initializer_name,
            api.initializer_type,
            false,
        )?,
        converts: Vec::new(),
        meta: reader.meta()?,
    })
}

struct Reader<'a> {
    runtime: &'a Runtime,
    session: *const OrtSession,
}

impl Reader<'_> {
    fn check(&self, status: Status) -> Result<(), Error> {
        self.runtime.api.check(status, ErrorKind::Load)
    }

    fn nodes(
        &self,
        count: CountFn,
        name: NameFn,
        kind: TypeFn,
        required: bool,
    ) -> Result<Vec<NodeInfo>, Error> {
        let mut length = 0;
        // SAFETY: `read`'s promise; an out parameter.
        self.check(unsafe { count(self.session, &mut length) })?;
        (0..length).map(|at| self.node(at, name, kind, required)).collect()
    }

    fn node(&self, at: usize, name: NameFn, kind: TypeFn, required: bool) -> Result<NodeInfo, Error> {
        let mut text = ptr::null_mut();
        // SAFETY: `at` is below the count; an out parameter.
        self.check(unsafe { name(self.session, at, self.runtime.allocator, &mut text) })?;
        // SAFETY: made by that allocator just now.
        let name = unsafe { self.runtime.take_text(text) }?;
        let mut info = ptr::null_mut();
        // SAFETY: as above.
        self.check(unsafe { kind(self.session, at, &mut info) })?;
        let info = TypeInfo { runtime: self.runtime, raw: info };
        Ok(NodeInfo { name, kind: info.value_type()?, required })
    }

    fn meta(&self) -> Result<ModelMeta, Error> {
        let api = &self.runtime.api;
        let mut raw = ptr::null_mut();
        // SAFETY: `read`'s promise; an out parameter.
        self.check(unsafe { (api.model_metadata)(self.session, &mut raw) })?;
        let meta = self.read_meta(raw);
        // SAFETY: made above, released once.
        unsafe { (api.release_model_metadata)(raw) };
        meta
    }

    fn read_meta(&self, raw: *const OrtModelMetadata) -> Result<ModelMeta, Error> {
        let api = &self.runtime.api;
        let text = |get: MetaFn| {
            let mut text = ptr::null_mut();
            // SAFETY: the metadata is live; an out parameter.
            self.check(unsafe { get(raw, self.runtime.allocator, &mut text) })?;
            // SAFETY: made by that allocator just now.
            unsafe { self.runtime.take_text(text) }
        };
        let mut version = 0;
        // SAFETY: the metadata is live; an out parameter.
        self.check(unsafe { (api.meta_version)(raw, &mut version) })?;
        Ok(ModelMeta {
            producer_name: text(api.meta_producer_name)?,
            graph_name: text(api.meta_graph_name)?,
            graph_description: text(api.meta_graph_description)?,
            domain: text(api.meta_domain)?,
            description: text(api.meta_description)?,
            version,
            custom: self.custom(raw)?,
        })
    }

    fn custom(&self, raw: *const OrtModelMetadata) -> Result<Vec<(String, String)>, Error> {
        let api = &self.runtime.api;
        let (mut keys, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the metadata is live; out parameters.
        self.check(unsafe { (api.meta_keys)(raw, self.runtime.allocator, &mut keys, &mut count) })?;
        let mut pairs = Vec::new();
        for at in 0..usize::try_from(count).unwrap_or(0) {
            // SAFETY: the engine gave `count` strings of its allocator, each taken over once.
            let key = unsafe { self.runtime.take_text(*keys.add(at)) }?;
            let name = c_string(&key, ErrorKind::Load)?;
            let mut value = ptr::null_mut();
            // SAFETY: as for the other metadata calls.
            self.check(unsafe { (api.meta_lookup)(raw, self.runtime.allocator, name.as_ptr(), &mut value) })?;
            // SAFETY: made by that allocator just now.
            pairs.push((key, unsafe { self.runtime.take_text(value) }?));
        }
        if !keys.is_null() {
            // SAFETY: the array itself came from the same allocator; given back once.
            self.check(unsafe { (api.allocator_free)(self.runtime.allocator, keys.cast()) })?;
        }
        Ok(pairs)
    }
}

/// A type description that is released when it goes.
pub(super) struct TypeInfo<'a> {
    runtime: &'a Runtime,
    raw: *mut OrtTypeInfo,
}

impl Drop for TypeInfo<'_> {
    fn drop(&mut self) {
        // SAFETY: every `TypeInfo` owns its description.
        unsafe { (self.runtime.api.release_type_info)(self.raw) };
    }
}

impl TypeInfo<'_> {
    fn check(&self, status: Status) -> Result<(), Error> {
        self.runtime.api.check(status, ErrorKind::Load)
    }

    fn class(&self) -> Result<i32, Error> {
        let mut class = 0;
        // SAFETY: the description is live; an out parameter.
        self.check(unsafe { (self.runtime.api.type_class)(self.raw, &mut class) })?;
        Ok(class)
    }

    fn value_type(&self) -> Result<ValueType, Error> {
        if self.class()? == class::TENSOR {
            let info = self.tensor()?;
            if let Some(dtype) = DType::from_onnx(self.element(info)?) {
                return Ok(ValueType::Tensor(dtype, self.dims(info)?));
            }
        }
        Ok(ValueType::Other(self.describe()?))
    }

    fn tensor(&self) -> Result<*const OrtTensorInfo, Error> {
        let mut info = ptr::null();
        // SAFETY: the description is live and owns what this gives.
        self.check(unsafe { (self.runtime.api.as_tensor_info)(self.raw, &mut info) })?;
        Ok(info)
    }

    fn element(&self, info: *const OrtTensorInfo) -> Result<i32, Error> {
        let mut element = 0;
        // SAFETY: `info` lives as long as `self`.
        self.check(unsafe { (self.runtime.api.element_type)(info, &mut element) })?;
        Ok(element)
    }

    fn dims(&self, info: *const OrtTensorInfo) -> Result<Option<Vec<Dim>>, Error> {
        let api = &self.runtime.api;
        let mut rank = 0;
        // SAFETY: `info` lives as long as `self`; out parameters, and arrays as long as the rank.
        self.check(unsafe { (api.rank)(info, &mut rank) })?;
        // Without that slot a scalar looks like an unknown rank; unknown is the safe answer.
        // SAFETY: as above.
        let known = rank > 0 || api.has_shape.is_some_and(|has_shape| unsafe { has_shape(info) });
        if !known {
            return Ok(None);
        }
        let mut sizes = vec![0; rank];
        // SAFETY: as above.
        self.check(unsafe { (api.dims)(info, sizes.as_mut_ptr(), rank) })?;
        let mut names = vec![ptr::null(); rank];
        // SAFETY: as above; the strings live as long as `info`.
        self.check(unsafe { (api.symbolic_dims)(info, names.as_mut_ptr(), rank) })?;
        let dim = |(&size, &name): (&i64, &*const c_char)| {
            // SAFETY: as above.
            let name = if name.is_null() { None } else { unsafe { CStr::from_ptr(name) }.to_str().ok() };
            match name {
                _ if size >= 0 => Dim::Fixed(size),
                Some(name) if !name.is_empty() => Dim::Named(name.to_owned()),
                _ => Dim::Any,
            }
        };
        Ok(Some(sizes.iter().zip(&names).map(dim).collect()))
    }

    /// The type in ONNX Runtime's words.
    fn describe(&self) -> Result<String, Error> {
        let api = &self.runtime.api;
        Ok(match self.class()? {
            class::TENSOR => format!("tensor({})", element_name(self.element(self.tensor()?)?)),
            class::SPARSE_TENSOR => format!("sparse_tensor({})", element_name(self.element(self.tensor()?)?)),
            class::SEQUENCE => {
                let mut info = ptr::null();
                // SAFETY: the description is live and owns what this gives.
                self.check(unsafe { (api.as_sequence_info)(self.raw, &mut info) })?;
                // SAFETY: `info` lives as long as `self`.
                format!("seq({})", self.inner(|out| unsafe { (api.sequence_element_type)(info, out) })?)
            }
            class::OPTIONAL => {
                let mut info = ptr::null();
                // SAFETY: the description is live and owns what this gives.
                self.check(unsafe { (api.as_optional_info)(self.raw, &mut info) })?;
                // SAFETY: `info` lives as long as `self`.
                let inner = self.inner(|out| unsafe { (api.optional_contained_type)(info, out) })?;
                format!("optional({inner})")
            }
            class::MAP => self.describe_map()?,
            other => format!("type {other}"),
        })
    }

    fn describe_map(&self) -> Result<String, Error> {
        let api = &self.runtime.api;
        let (mut info, mut key) = (ptr::null(), 0);
        // SAFETY: the description is live and owns what this gives.
        self.check(unsafe { (api.as_map_info)(self.raw, &mut info) })?;
        // SAFETY: `info` lives as long as `self`; an out parameter.
        self.check(unsafe { (api.map_key_type)(info, &mut key) })?;
        // SAFETY: `info` lives as long as `self`.
        let value = self.inner(|out| unsafe { (api.map_value_type)(info, out) })?;
        Ok(format!("map({},{value})", element_name(key)))
    }

    fn inner(&self, get: impl FnOnce(*mut *mut OrtTypeInfo) -> Status) -> Result<String, Error> {
        let mut raw = ptr::null_mut();
        self.check(get(&mut raw))?;
        TypeInfo { runtime: self.runtime, raw }.describe()
    }
}

fn element_name(code: i32) -> String {
    DType::from_onnx(code).map_or_else(|| format!("type {code}"), |dtype| dtype.as_str().to_owned())
}
