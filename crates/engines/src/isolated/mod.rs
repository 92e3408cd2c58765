//! Isolated lanes: any engine, each lane in a process of its own.
//!
//! `memory` is a shared-memory file, `layout` its header and waiting on it, `wire`, `values` and `message` what is
//! written into it; `caller` and `callee` are the two ends, with `heap` and `views` for what engines write there
//! themselves. `spawn` starts a process, `process` is one as the session's
//! threads see it, `fleet` is all of them with the `breaker`, and `supervisor` the thread that looks after them. `lane`
//! is what the flow sees; `serve` is the loop in the process itself.

mod breaker;
mod callee;
mod caller;
mod fleet;
mod heap;
mod lane;
mod layout;
mod memory;
mod message;
mod process;
mod serve;
mod spawn;
mod supervisor;
#[cfg(test)]
mod tests;
mod values;
mod views;
mod wire;

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headway_core::engine::{BatchAxes, Engine, Lane, ModelInfo};
use headway_core::error::{Error, ErrorKind};
use headway_core::timer;

use self::fleet::Fleet;
pub use self::fleet::LaneReport;
use self::lane::IsolatedLane;
pub use self::message::RemoteTraceback;
pub use self::process::Exit;
pub use self::serve::{Mailbox, Origin, serve};
pub use self::spawn::Launch;
use self::spawn::Launcher;

/// The payload of an error that the death of a lane's process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed {
    /// The lane.
    pub lane: usize,
    /// Its process; 0 when none could be started.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
}

/// What bounds the processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// How often a request whose process died is run again.
    pub retries: usize,
    /// Bytes of private memory beyond which a process is replaced.
    pub memory: Option<u64>,
    /// How long a lane looks for an answer before it sleeps.
    pub spin: Duration,
}

/// How long processes may take to end at least: a second by themselves, then they are killed. One that is still there
/// is in a call of the system's that nothing interrupts.
const ENDING: Duration = Duration::from_secs(5);

/// An engine whose lanes are processes.
pub struct IsolatedEngine {
    name: &'static str,
    fleet: Arc<Fleet>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
    generation: u64,
}

impl IsolatedEngine {
    /// Starts `lanes` processes. `name` is the engine in them.
    ///
    /// # Errors
    /// `Load` when the system gives no memory or no thread.
    pub fn start(name: &str, lanes: usize, launch: Launch, limits: Limits) -> Result<IsolatedEngine, Error> {
        let load =
            |error: std::io::Error| Error::new(ErrorKind::Load, format!("isolation=\"process\": {error}"));
        let launcher = Launcher::new(launch).map_err(load)?;
        let fleet = Fleet::new(lanes, limits).map_err(load)?;
        let builder = std::thread::Builder::new().name("headway-lanes".into());
        let theirs = Arc::clone(&fleet);
        let thread = builder.spawn(move || supervisor::supervise(&theirs, &launcher)).map_err(load)?;
        Ok(IsolatedEngine {
            name: known(name),
            fleet,
            supervisor: Mutex::new(Some(thread)),
            generation: timer::generation(),
        })
    }

    /// Waits until every process has its model loaded; false when the time is up.
    ///
    /// # Errors
    /// What keeps one of them from loading it.
    pub fn wait_loaded(&self, timeout: Duration) -> Result<bool, Error> {
        self.fleet.wait_loaded(timeout)
    }

    /// What the first process told the loader of its model.
    pub fn facts(&self) -> &str {
        self.fleet.loaded.get().map_or("", |(_, facts)| facts)
    }

    /// Each lane's process, and what went wrong last.
    pub fn report(&self) -> (Vec<LaneReport>, Option<String>) {
        self.fleet.report()
    }
}

impl Engine for IsolatedEngine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn info(&self) -> &ModelInfo {
        static NONE: ModelInfo = ModelInfo {
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Vec::new(),
            converts: Vec::new(),
            meta: headway_core::engine::ModelMeta {
                producer_name: String::new(),
                graph_name: String::new(),
                graph_description: String::new(),
                domain: String::new(),
                description: String::new(),
                version: 0,
                custom: Vec::new(),
            },
        };
        self.fleet.loaded.get().map_or(&NONE, |(info, _)| info)
    }

    fn open_lane(&self, id: usize) -> Result<Box<dyn Lane>, Error> {
        self.fleet.open(id);
        Ok(Box::new(IsolatedLane::new(Arc::clone(&self.fleet), id)))
    }

    /// Ending the process stops anything.
    fn can_cancel(&self) -> bool {
        true
    }

    fn batch(&self, axes: &BatchAxes) -> Result<(), Error> {
        // A session's axes are set once, before its lanes open.
        let _ = self.fleet.axes.set(axes.clone());
        Ok(())
    }

    fn end(&self, until: Option<Instant>) -> Vec<usize> {
        // In a forked child the processes are the parent's.
        if self.generation != timer::generation() {
            return Vec::new();
        }
        let Some(thread) = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Vec::new();
        };
        let left = self.fleet.stop(until.map(|at| at.max(Instant::now() + ENDING)));
        if left.is_empty() {
            let _ = thread.join();
        }
        // Otherwise the thread stays to bury the rest: they would die with it, if they could.
        left
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for IsolatedEngine {
    fn drop(&mut self) {
        // Nothing to do after a close. Whoever lets go of the engine without one is kept for a moment at most.
        self.end(Some(Instant::now()));
    }
}

/// An engine's word that lives as long as the process. There are few engines, so few are kept.
fn known(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.iter().find(|known| **known == name) {
        Some(known) => known,
        None => {
            let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
            names.push(kept);
            kept
        }
    }
}
