//! From a loaded model to a session's insides.

use std::sync::Arc;

use headway_core::error::Error;
use headway_core::runtime::Shared;
use headway_core::state::Config;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::core::{Core, Kind, Settings};
use crate::errors::Voice;
use crate::feeds::FeedNames;
use crate::model::Model;
use crate::pyfeed::PyNames;
use crate::{callback, errors};

/// The flow on a model's engine, which is taken out of it, and the delivery thread where drops are told.
pub(crate) fn core(
    py: Python<'_>,
    model: &Model,
    config: Config,
    settings: Settings,
    voice: Voice<'static>,
) -> PyResult<Arc<Core>> {
    let engine = model.take().ok_or_else(|| PyValueError::new_err("another session has this model"))?;
    let names = FeedNames::new(py, &model.info);
    let kind = match model.python {
        Some(face) => Kind::Python(PyNames::new(names, face)),
        None => Kind::Native(names),
    };
    if let Some(axes) = &settings.batch_axes {
        engine.batch(axes).map_err(|error| PyValueError::new_err(error.message))?;
    }
    let raise = |error: Error| errors::raise(py, &error, voice);
    let tell_drops = config.tell_drops;
    let shared = Shared::new(config, Some(engine), model.clock()).map_err(raise)?;
    if let Some(clock) = &model.clock {
        clock.get().adopt(&shared);
    }
    let core =
        Core::new(shared, kind, model.info.clone(), voice, settings, model.run_options).map_err(raise)?;
    if tell_drops {
        callback::start_delivery(py, &core)?;
    }
    Ok(core)
}
