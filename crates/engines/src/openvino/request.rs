//! OpenVINO's infer request: what a lane runs, and what stops it.

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use headway_core::engine::Control;
use headway_core::error::{Error, ErrorKind};

use super::model::Compiled;
use super::raw::*;

/// The requests of one compiled model. None is made while another runs.
///
/// Making one reads the descriptors of memory that all requests of a model share, and OpenVINO's CPU device does that
/// without the lock under which a run replaces and frees them, as soon as an output's shape changes. It has killed
/// processes (2026.4.1), a program in C that calls nothing but OpenVINO among them.
#[derive(Default)]
pub(super) struct Requests {
    made: Mutex<Vec<Weak<Request>>>,
}

impl Requests {
    /// Makes one: waits until no other runs, and those that would start wait meanwhile.
    pub(super) fn make(&self, compiled: &Arc<Compiled>, can_cancel: bool) -> Result<Arc<Request>, Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|request| request.strong_count() > 0);
        let others: Vec<_> = made.iter().filter_map(Weak::upgrade).collect();
        let write = others.iter().map(|other| other.running.write().unwrap_or_else(PoisonError::into_inner));
        let _still: Vec<_> = write.collect();
        let request = Arc::new(Request::new(Arc::clone(compiled), can_cancel)?);
        made.push(Arc::downgrade(&request));
        Ok(request)
    }
}

/// One infer request. Its lane runs it; whoever stops it only calls `cancel`, which any thread may.
pub(super) struct Request {
    pub(super) compiled: Arc<Compiled>,
    pub(super) raw: *mut OvRequest,
    /// Set between `terminate` and `reset`.
    stopped: AtomicBool,
    /// Whether the device obeys.
    can_cancel: bool,
    /// Read by a run, of which there is one at a time; written while another request is made. Each has its own, so that
    /// the lanes of many cores share no line of memory here. Its readers let a waiting writer go first, which a mutex's
    /// next holder would not: a busy lane cannot keep a new one waiting.
    running: RwLock<()>,
}

// SAFETY: see the type.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

impl Request {
    fn new(compiled: Arc<Compiled>, can_cancel: bool) -> Result<Request, Error> {
        let (api, mut raw) = (&compiled.runtime.api, ptr::null_mut());
        // SAFETY: the model is live; an out parameter.
        api.check_run(unsafe { (api.create_request)(compiled.raw, &mut raw) })?;
        Ok(Request { compiled, raw, stopped: AtomicBool::new(false), can_cancel, running: RwLock::new(()) })
    }

    /// Runs on this thread until the outputs are there.
    ///
    /// OpenVINO forgets a cancellation that comes before its request has begun. One that came before this call is seen
    /// here. Between this look and OpenVINO's own beginning lie a few instructions; a cancellation that falls into them
    /// has no effect, as on a device that cannot cancel: the request runs to its end, and its answer goes nowhere.
    ///
    /// # Safety
    /// Only the lane calls this, and every tensor it has set is still there.
    pub(super) unsafe fn infer(&self) -> Result<(), Error> {
        let api = &self.compiled.runtime.api;
        let _running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::SeqCst) {
            return api.check_run(CANCELLED);
        }
        // SAFETY: the caller's promise.
        api.check_run(unsafe { (api.infer)(self.raw) })
    }
}

impl Control for Request {
    fn terminate(&self) {
        if !self.can_cancel {
            return;
        }
        self.stopped.store(true, Ordering::SeqCst);
        // It sets the request's state under a lock that no inference holds, and does not wait. What it answers says
        // nothing: it is content with a request that does not run.
        // SAFETY: the request is live, and any thread may cancel it.
        unsafe { (self.compiled.runtime.api.cancel)(self.raw) };
    }

    fn reset(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the last holder is going, so it does not run; freed once.
        unsafe { (self.compiled.runtime.api.free_request)(self.raw) };
    }
}

/// Run options of a request, which this engine has none of.
#[cold]
pub(super) fn no_options() -> Error {
    Error::new(ErrorKind::Input, "the openvino engine takes no run options")
}
