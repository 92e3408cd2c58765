//! Asynchronous submission: inputs copied or held, then into the flow.

use std::sync::Arc;
use std::time::Duration;

use headway_core::admission::Patience;
use headway_core::batch::group_of;
use headway_core::error::Error;
use headway_core::request::{Inputs, Request, StreamKey, Wanted};
use headway_core::slot::{SlotRef, Tag};
use headway_core::state::Manner;
use headway_core::value::{Value, Values};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};

use crate::array::How;
use crate::binding::IoBinding;
use crate::core::{Core, Kind};
use crate::feeds::Found;
use crate::graveyard::drain_graveyard;
use crate::out::Out;
use crate::outputs::Form;
use crate::{errors, feeds, life, pyfeed, wait};

/// What every submitting call takes beside feed and output names.
pub(crate) struct CallOptions<'a, 'py> {
    pub(crate) timeout: Deadline,
    pub(crate) priority: i32,
    pub(crate) stream: Option<&'a Bound<'py, PyAny>>,
    pub(crate) run_options: Option<&'a Bound<'py, PyAny>>,
}

/// What a call runs the model on.
pub(crate) enum Call<'a, 'py> {
    /// A feed and the names of the wanted outputs.
    Feed {
        /// The inputs.
        feed: &'a Bound<'py, PyAny>,
        /// The outputs.
        output_names: Option<&'a Bound<'py, PyAny>>,
        /// What becomes of the outputs.
        form: Form,
        /// Arrays for them.
        out: Option<&'a Out<'a, 'py>>,
    },
    /// Inputs and outputs that were bound before, for a caller who looks for the outputs where they are bound.
    Bound(&'a Bound<'py, IoBinding>),
    /// The same for one who wants them in the answer.
    Binding(&'a Bound<'py, IoBinding>),
}

impl<'a, 'py> Call<'a, 'py> {
    /// The usual one: arrays in, arrays out.
    pub(crate) fn arrays(feed: &'a Bound<'py, PyAny>, output_names: Option<&'a Bound<'py, PyAny>>) -> Self {
        Call::Feed { feed, output_names, form: Form::Arrays, out: None }
    }

    /// `OrtValue`s in and out.
    pub(crate) fn ort_values(
        feed: &'a Bound<'py, PyAny>,
        output_names: Option<&'a Bound<'py, PyAny>>,
    ) -> Self {
        Call::Feed { feed, output_names, form: Form::OrtValues, out: None }
    }

    /// Arrays in, and out into those that the program brings, if it does.
    pub(crate) fn into_arrays(
        feed: &'a Bound<'py, PyAny>,
        output_names: Option<&'a Bound<'py, PyAny>>,
        out: Option<&'a Out<'a, 'py>>,
    ) -> Self {
        let form = if out.is_some() { Form::Out } else { Form::Arrays };
        Call::Feed { feed, output_names, form, out }
    }

    /// What becomes of the outputs.
    pub(crate) fn form(&self) -> Form {
        match self {
            Call::Feed { form, .. } => *form,
            Call::Bound(_) | Call::Binding(_) => Form::Binding,
        }
    }

    pub(crate) fn py(&self) -> Python<'py> {
        match self {
            Call::Feed { feed, .. } => feed.py(),
            Call::Bound(binding) | Call::Binding(binding) => binding.py(),
        }
    }
}

/// A call's own `timeout=`.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    /// Not given: the session's default.
    Session,
    /// None for ever, else that long.
    Own(Option<Duration>),
}

impl Deadline {
    /// Seconds as people give them.
    pub(crate) fn seconds(timeout: f64) -> PyResult<Duration> {
        if timeout.is_nan() {
            return Err(PyValueError::new_err("timeout is not a number"));
        }
        Ok(Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX / 4))
    }
}

impl FromPyObject<'_, '_> for Deadline {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Deadline::Own(None));
        }
        Ok(Deadline::Own(Some(Deadline::seconds(object.extract()?)?)))
    }
}

impl Core {
    /// Every public call's first step.
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        drain_graveyard(py);
        life::check(self.generation).map_err(|error| self.raise(py, &error))?;
        if headway_engines::ort::log_waiting() {
            py.import("headway._log")?.call_method0("drain")?;
        }
        Ok(())
    }

    pub(crate) fn raise(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::raise(py, error, self.voice)
    }

    /// A request from Python's arguments. A call that raises here counts as rejected.
    pub(crate) fn request(
        &self,
        call: &Call<'_, '_>,
        how: How,
        options: &CallOptions<'_, '_>,
    ) -> PyResult<Request> {
        self.request_over(call, how, options, &mut Found::new())
    }

    /// The same for one who borrows, for as long as `found` lives: it holds the objects that were fed.
    #[inline(always)]
    pub(crate) fn request_over<'py>(
        &self,
        call: &Call<'_, 'py>,
        how: How,
        options: &CallOptions<'_, '_>,
        found: &mut Found<'py>,
    ) -> PyResult<Request> {
        self.read_request(call, how, options, found).inspect_err(|_| self.shared.reject())
    }

    fn read_request<'py>(
        &self,
        call: &Call<'_, 'py>,
        how: How,
        options: &CallOptions<'_, '_>,
        found: &mut Found<'py>,
    ) -> PyResult<Request> {
        let mut request = match call {
            Call::Feed { feed, output_names, form, out: None } => {
                self.fed(feed, *output_names, *form, how, found)?
            }
            Call::Feed { feed, output_names, form, out: Some(out) } => {
                // Read twice: here and for the arrays.
                let lasting = feeds::lasting_names(*output_names)?;
                let output_names = lasting.as_ref().or(*output_names);
                let mut request = self.fed(feed, output_names, *form, how, found)?;
                out.place(self, &mut request, output_names)?;
                request
            }
            Call::Bound(binding) => binding.get().request(binding.py(), self, true)?,
            Call::Binding(binding) => binding.get().request(binding.py(), self, false)?,
        };
        let timeout = match options.timeout {
            Deadline::Session => self.settings.timeout,
            Deadline::Own(timeout) => timeout,
        };
        request.deadline = timeout.map(|timeout| self.shared.now() + timeout);
        request.priority = options.priority;
        request.stream = options.stream.map(stream_key).transpose()?;
        request.options = options.run_options.map(|given| self.control(given)).transpose()?;
        if let Some(axes) = &self.settings.batch_axes {
            request.group = match &request.inputs {
                Inputs::Feeds(values) if request.options.is_none() => group_of(values, &request.wanted, axes),
                Inputs::Feeds(_) | Inputs::Binding(_) => None,
            };
        }
        Ok(request)
    }

    #[inline(always)]
    fn fed<'py>(
        &self,
        feed: &Bound<'py, PyAny>,
        output_names: Option<&Bound<'_, PyAny>>,
        form: Form,
        how: How,
        found: &mut Found<'py>,
    ) -> PyResult<Request> {
        let py = feed.py();
        let (values, wanted) = match &self.kind {
            Kind::Native(names) => {
                let raise = |error| errors::raise_door(py, error, self.voice);
                let wanted = feeds::read_output_names(py, output_names, names).map_err(raise)?;
                let values = feeds::read_feeds(py, feed, names, how, &|len| self.alloc(len), found);
                (values.map_err(raise)?, wanted)
            }
            Kind::Python(known) if form != Form::OrtValues => {
                let fed = pyfeed::read(self, known, feed, output_names, how)?;
                (Values::from_iter([Value::Opaque(Arc::new(fed))]), Wanted::All)
            }
            Kind::Python(_) => {
                return Err(PyTypeError::new_err("a Python engine takes arrays, not OrtValues"));
            }
        };
        Ok(Request::new(Inputs::Feeds(values), wanted))
    }

    /// Submits; waits for room when `patience` says so. `Err` when no ticket was given.
    pub(crate) fn enqueue(
        &self,
        py: Python<'_>,
        request: Request,
        manner: Manner,
        waits: bool,
    ) -> PyResult<SlotRef> {
        let slot =
            self.shared.submit(request, manner).map_err(|error| errors::raise(py, &error, self.voice))?;
        if slot.is_admitted() {
            return Ok(slot);
        }
        if waits && !slot.is_ended() {
            wait::wait_admitted(py, self, &slot)?;
        }
        if let Some(error) = slot.refusal() {
            return Err(self.raise(py, &error));
        }
        Ok(slot)
    }

    /// How a submitting call waits for room, and until when.
    pub(crate) fn manner(&self, block: bool, bounded: bool, callback: Option<Tag>) -> Manner {
        let patience = match () {
            () if wait::delivers(self) => Patience::Delivery,
            () if block => Patience::Wait,
            () => Patience::Never,
        };
        let room_for = self.settings.submit_timeout.filter(|_| bounded);
        Manner { patience, room_for, callback, ..Manner::default() }
    }

    /// Asynchronous calls copy, unless the session says that they borrow.
    pub(crate) fn how(&self) -> How {
        if self.settings.copy_inputs { How::Copy } else { How::Hold }
    }
}

/// `stream=`: a whole number or a string.
pub(crate) fn stream_key(object: &Bound<'_, PyAny>) -> PyResult<StreamKey> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(StreamKey::Str(text.to_str()?.into()));
    }
    if object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>() {
        return Ok(StreamKey::Int(object.extract()?));
    }
    // NumPy's whole numbers, as trackers give them.
    if !object.is_instance_of::<PyBool>()
        && let Ok(number) = object.extract()
    {
        return Ok(StreamKey::Int(number));
    }
    let text = format!("stream: expected a str or an int, got {}", object.get_type().name()?);
    Err(PyTypeError::new_err(text))
}

/// What a call on a closed session gets.
pub(crate) fn closed() -> Error {
    Error::new(headway_core::error::ErrorKind::Closed, "the session is closed")
}
