//! Where a lane's request writes its outputs.

use std::sync::Arc;

use headway_core::engine::{Dim, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};

use super::raw::*;
use super::request::Request;
use super::tensor::{self, EngineTensor};
use crate::pool::Pool;

/// One output of a lane.
pub(super) struct Output {
    dtype: DType,
    place: Place,
}

/// Where an output is written.
enum Place {
    /// A shape that never changes: straight into a block of the lane's pool.
    Fixed {
        dims: Dims,
        /// What the request writes to, until it is handed out. It keeps the block, since the request has its address.
        block: Option<Memory>,
    },
    /// Wherever OpenVINO likes: copied afterwards.
    Dynamic,
}

impl Output {
    pub(super) fn new(node: &NodeInfo) -> Result<Output, Error> {
        let ValueType::Tensor(dtype, dims) = &node.kind else {
            return Err(Error::new(ErrorKind::Load, format!("output {:?} is no tensor", node.name)));
        };
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(length) => Some(*length),
            Dim::Named(_) | Dim::Any => None,
        };
        let dims: Option<Dims> = dims.as_ref().and_then(|dims| dims.iter().map(fixed).collect());
        let place = match dims {
            // OpenVINO's own memory serves where there is none to give.
            Some(dims) if !dims.contains(&0) => Place::Fixed { dims, block: None },
            _ => Place::Dynamic,
        };
        Ok(Output { dtype: *dtype, place })
    }

    /// Before a run: gives the request a block that nobody else has seen.
    ///
    /// # Safety
    /// The request does not run, and no value shares the block that it was given before: `take` sees to that.
    pub(super) unsafe fn prepare(
        &mut self,
        at: usize,
        request: &Request,
        pool: &Arc<Pool>,
    ) -> Result<(), Error> {
        let Place::Fixed { dims, block: block @ None } = &mut self.place else { return Ok(()) };
        let len = self.dtype.byte_len(dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).product());
        let fresh = pool.try_alloc(len).ok_or_else(|| tensor::no_memory(len))?.memory();
        let runtime = request.compiled.runtime;
        // SAFETY: `fresh` is as long as the dimensions say, and is kept here as long as the request may write to it.
        let over = unsafe { tensor::over_memory(runtime, self.dtype, dims, &fresh) }?;
        // SAFETY: the request is live and does not run.
        runtime.api.check_run(unsafe { (runtime.api.set_output)(request.raw, at, over.raw()) })?;
        *block = Some(fresh);
        Ok(())
    }

    /// After a run: what was written. From then on a fixed output's block belongs to the value.
    ///
    /// # Safety
    /// The request has run well and runs no more before `prepare`.
    pub(super) unsafe fn take(
        &mut self,
        at: usize,
        request: &Request,
        pool: &Arc<Pool>,
    ) -> Result<Value, Error> {
        if let Place::Fixed { dims, block } = &mut self.place
            && let Some(block) = block.take()
        {
            let data = Data::Memory(block);
            return Ok(Value::Tensor(Tensor { dtype: self.dtype, dims: dims.clone(), data }));
        }
        let (runtime, mut raw) = (request.compiled.runtime, std::ptr::null_mut::<OvTensor>());
        // SAFETY: the request is live; an out parameter.
        runtime.api.check_run(unsafe { (runtime.api.get_output)(request.raw, at, &mut raw) })?;
        EngineTensor::own(runtime, raw).copy(self.dtype, pool).map(Value::Tensor)
    }
}
