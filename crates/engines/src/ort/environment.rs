//! The process's one environment: made on first need, with the thread pool that its sessions may share.

use std::any::Any;
use std::ffi::CStr;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use headway_core::error::{Error, ErrorKind};
use headway_core::timer;

use super::raw::*;
use super::runtime::Runtime;
use super::text::{OsText, c_string};
use super::{allocator, child, empty, log};

/// What the program asked for, before or after the environment exists.
struct Wishes {
    /// 0 verbose to 4 fatal.
    severity: i32,
    /// Threads that the process's sessions are meant to use in all; `None`: the usable cores.
    budget: Option<usize>,
    /// Sizes of the shared pools, when they were set apart from the budget.
    pools: Option<(i32, i32)>,
}

static WISHES: Mutex<Wishes> = Mutex::new(Wishes { severity: 2, budget: None, pools: None });
static MADE: OnceLock<Environment> = OnceLock::new();

fn wishes() -> MutexGuard<'static, Wishes> {
    WISHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a fork from catching this lock; see [`crate::fork`].
pub(crate) fn hold_wishes() -> impl Any {
    wishes()
}

/// The engine's environment. Never released: its threads and allocator outlive every session.
pub(super) struct Environment {
    pub(super) raw: *mut OrtEnv,
    /// Threads of the shared pool, its caller's own included.
    intra: usize,
    /// The process that has the pool's threads; a fork has none of them.
    generation: u64,
}

// SAFETY: made once and never freed; the C API allows its use from any thread.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

impl Environment {
    /// Threads of the shared pool; `None` in a forked child, where they do not exist.
    pub(super) fn shared_threads(&self) -> Option<usize> {
        (self.generation == timer::generation()).then_some(self.intra)
    }
}

/// The threads that this process's sessions are meant to use in all.
pub fn thread_budget() -> usize {
    wishes().budget.unwrap_or_else(usable_cores)
}

/// Sets [`thread_budget`] for sessions made from now on; `None` is the usable cores again.
pub fn set_thread_budget(budget: Option<usize>) {
    wishes().budget = budget;
}

fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Sets the sizes of the shared pools; 0 or less is the thread budget for operators' threads, 1 between operators.
///
/// # Errors
/// `Engine` with the engine's FAIL once the pools exist or were set.
pub fn set_shared_pool_sizes(intra: i32, inter: i32) -> Result<(), Error> {
    let mut wishes = wishes();
    if MADE.get().is_some() || wishes.pools.is_some() {
        let text = "[ONNXRuntimeError] : 1 : FAIL : Global thread pools have already been created, cannot replace \
                    them. Set their sizes once, before the first session";
        return Err(Error::new(ErrorKind::Engine, text).with_code(1));
    }
    wishes.pools = Some((intra, inter));
    Ok(())
}

impl Runtime {
    /// The environment, made now if there is none yet.
    pub(super) fn environment(&self) -> Result<&'static Environment, Error> {
        if let Some(made) = MADE.get() {
            return Ok(made);
        }
        // Held while it is made: one environment, and no wish that comes too late unnoticed.
        let wishes = wishes();
        if let Some(made) = MADE.get() {
            return Ok(made);
        }
        let made = self.make_environment(&wishes)?;
        Ok(MADE.get_or_init(|| made))
    }

    fn make_environment(&self, wishes: &Wishes) -> Result<Environment, Error> {
        let budget = wishes.budget.unwrap_or_else(usable_cores);
        let (intra, inter) = wishes.pools.unwrap_or((0, 0));
        let intra = if intra > 0 { intra } else { i32::try_from(budget).unwrap_or(i32::MAX) };
        let raw = self.create_environment(wishes.severity, intra, inter.max(1))?;
        child::spare_children();
        // SAFETY: the environment was just made; the allocator and its memory info live for ever.
        let status = unsafe { (self.api.register_allocator)(raw, allocator::make(self.cpu)) };
        self.api.check(status, ErrorKind::Load)?;
        // Here, where no fork comes in between (`fork.rs`): the library guards its set-up with locks of its own, and a
        // child that has one of them locked hangs in its first session.
        empty::try_one(self, raw);
        let intra = usize::try_from(intra).unwrap_or(1);
        Ok(Environment { raw, intra, generation: timer::generation() })
    }

    fn create_environment(&self, severity: i32, intra: i32, inter: i32) -> Result<*mut OrtEnv, Error> {
        let api = &self.api;
        let check = |status| api.check(status, ErrorKind::Load);
        let mut threading = ptr::null_mut();
        // SAFETY: an out parameter.
        check(unsafe { (api.create_threading_options)(&mut threading) })?;
        let mut env = ptr::null_mut();
        // SAFETY: `threading` was just made.
        let made = check(unsafe { (api.set_shared_intra_threads)(threading, intra) })
            // SAFETY: as above.
            .and_then(|()| check(unsafe { (api.set_shared_inter_threads)(threading, inter) }))
            .and_then(|()| {
                let (receive, name) = (log::receive, c"headway".as_ptr());
                // SAFETY: function and name are static, `threading` is live, the last is an out parameter.
                check(unsafe {
                    (api.create_env)(receive, ptr::null_mut(), severity, name, threading, &mut env)
                })
            });
        // SAFETY: released once; the environment has copied it.
        unsafe { (api.release_threading_options)(threading) };
        made.map(|()| env)
    }

    /// How the library was built, in its own words.
    pub fn build_info(&self) -> String {
        // SAFETY: gives a static C string.
        unsafe { CStr::from_ptr((self.api.build_info)()) }.to_string_lossy().into_owned()
    }

    /// Turns the library's telemetry on or off; off for good where its environment variable said so at first.
    ///
    /// # Errors
    /// What the engine says.
    pub fn set_telemetry(&self, on: bool) -> Result<(), Error> {
        let env = self.environment()?.raw;
        let set = if on { self.api.enable_telemetry } else { self.api.disable_telemetry };
        // SAFETY: the environment lives for ever.
        self.api.check(unsafe { set(env) }, ErrorKind::Engine)
    }

    /// Registers a library of execution providers under a name.
    ///
    /// # Errors
    /// What the engine says; `Load` when this library is older than 1.22.
    pub fn register_provider_library(&self, name: &str, path: &Path) -> Result<(), Error> {
        let register = self.needs(self.api.newer.register_provider_library, "a provider library", "1.22")?;
        let (env, name) = (self.environment()?.raw, c_string(name, ErrorKind::Input)?);
        // SAFETY: the environment lives for ever; the engine copies both strings.
        let status = unsafe { register(env, name.as_ptr(), OsText::new(path).as_ptr()) };
        self.api.check(status, ErrorKind::Engine)
    }

    /// Undoes [`Runtime::register_provider_library`]; no session may use its providers any more.
    ///
    /// # Errors
    /// What the engine says; `Load` when this library is older than 1.22.
    pub fn unregister_provider_library(&self, name: &str) -> Result<(), Error> {
        let unregister =
            self.needs(self.api.newer.unregister_provider_library, "a provider library", "1.22")?;
        let (env, name) = (self.environment()?.raw, c_string(name, ErrorKind::Input)?);
        // SAFETY: as above.
        self.api.check(unsafe { unregister(env, name.as_ptr()) }, ErrorKind::Engine)
    }

    /// A newer library's function, or the error that says which library has it.
    pub(super) fn needs<F>(&self, slot: Option<F>, what: &str, since: &str) -> Result<F, Error> {
        slot.ok_or_else(|| {
            let text = format!("{what} needs onnxruntime {since} or newer, this is {}", self.version);
            Error::new(ErrorKind::Load, text)
        })
    }
}

/// Sets from which severity on the environment logs, 0 verbose to 4 fatal; also when it does not exist yet.
///
/// # Errors
/// What the engine says.
pub fn set_log_severity(severity: i32) -> Result<(), Error> {
    wishes().severity = severity;
    match (Runtime::loaded(), MADE.get()) {
        (Some(runtime), Some(made)) => {
            // SAFETY: the environment lives for ever.
            let status = unsafe { (runtime.api.set_env_log_severity)(made.raw, severity) };
            runtime.api.check(status, ErrorKind::Engine)
        }
        _ => Ok(()),
    }
}
