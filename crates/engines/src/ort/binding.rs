//! The engine's own IO binding: needed only for outputs that stay on a device.

use std::ffi::{CStr, c_char};
use std::ptr;

use headway_core::error::{Error, ErrorKind};

use super::raw::*;
use super::runtime::Runtime;
use super::session::Session;
use super::text::c_string;

/// A binding that is released when it goes. Made for one run.
pub(super) struct Binding<'a> {
    session: &'a Session,
    raw: *mut OrtIoBinding,
}

impl<'a> Binding<'a> {
    pub(super) fn new(session: &'a Session) -> Result<Binding<'a>, Error> {
        let mut raw = ptr::null_mut();
        // SAFETY: the session is live; an out parameter.
        let status = unsafe { (session.runtime.api.create_binding)(session.raw, &mut raw) };
        session.runtime.api.check_run(status)?;
        Ok(Binding { session, raw })
    }

    /// # Safety
    /// `name` is a C string, `value` live as long as the binding.
    pub(super) unsafe fn input(&self, name: *const c_char, value: *const OrtValue) -> Result<(), Error> {
        let api = &self.session.runtime.api;
        // SAFETY: the caller's promise.
        api.check_run(unsafe { (api.bind_input)(self.raw, name, value) })
    }

    /// # Safety
    /// As for `input`; nobody else uses the value's memory.
    pub(super) unsafe fn output(&self, name: *const c_char, value: *const OrtValue) -> Result<(), Error> {
        let api = &self.session.runtime.api;
        // SAFETY: the caller's promise.
        api.check_run(unsafe { (api.bind_output)(self.raw, name, value) })
    }

    /// # Safety
    /// `name` is a C string, `place` live during the call.
    pub(super) unsafe fn output_on(
        &self,
        name: *const c_char,
        place: *const OrtMemoryInfo,
    ) -> Result<(), Error> {
        let api = &self.session.runtime.api;
        // SAFETY: the caller's promise; the engine copies the description.
        api.check_run(unsafe { (api.bind_output_to_device)(self.raw, name, place) })
    }

    /// Runs, and waits for the copies before and after.
    ///
    /// # Safety
    /// What was bound is still there, and the options are live.
    pub(super) unsafe fn run(&self, options: *const OrtRunOptions) -> Result<(), Error> {
        let api = &self.session.runtime.api;
        // SAFETY: the caller's promise, here and below.
        api.check_run(unsafe { (api.synchronize_inputs)(self.raw) })?;
        // SAFETY: as above.
        api.check_run(unsafe { (api.run_with_binding)(self.session.raw, options, self.raw) })?;
        // SAFETY: as above.
        api.check_run(unsafe { (api.synchronize_outputs)(self.raw) })
    }

    /// Appends the outputs to `values` in the order in which they were bound, for the caller to release.
    pub(super) fn take_outputs(&self, values: &mut Vec<*mut OrtValue>) -> Result<(), Error> {
        let Runtime { api, allocator, .. } = self.session.runtime;
        let (mut found, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the binding is live; out parameters.
        api.check_run(unsafe { (api.bound_outputs)(self.raw, *allocator, &mut found, &mut count) })?;
        if found.is_null() {
            return Ok(());
        }
        // SAFETY: the engine gave `count` values, each of them now the caller's.
        values.extend_from_slice(unsafe { std::slice::from_raw_parts(found, count) });
        // SAFETY: the array came from that allocator; given back once.
        api.check_run(unsafe { (api.allocator_free)(*allocator, found.cast()) })
    }
}

impl Drop for Binding<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, released once.
        unsafe { (self.session.runtime.api.release_binding)(self.raw) };
    }
}

/// A description of a device's memory that is released when it goes.
pub(super) struct Place<'a> {
    runtime: &'a Runtime,
    raw: *mut OrtMemoryInfo,
}

impl<'a> Place<'a> {
    /// The default memory of `("Cuda", 0)`.
    pub(super) fn new(runtime: &'a Runtime, device: &str, id: i32) -> Result<Place<'a>, Error> {
        let name = c_string(device, ErrorKind::Input)?;
        let name: &CStr = &name;
        let mut raw = ptr::null_mut();
        // SAFETY: the name is read during the call; an out parameter.
        let status = unsafe {
            (runtime.api.create_memory_info)(name.as_ptr(), DEVICE_ALLOCATOR, id, MEM_TYPE_DEFAULT, &mut raw)
        };
        runtime.api.check(status, ErrorKind::Input)?;
        Ok(Place { runtime, raw })
    }

    pub(super) fn raw(&self) -> *const OrtMemoryInfo {
        self.raw
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, released once.
        unsafe { (self.runtime.api.release_memory_info)(self.raw) };
    }
}
