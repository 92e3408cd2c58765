//! The worker threads of a session: started with it, joined at its close.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::close::CloseReport;
use crate::error::{Error, ErrorKind};
use crate::runtime::Shared;
use crate::sync::{Arc, lock};
use crate::worker;

/// A session's worker threads. Dropping it detaches them: they finish what was admitted once the session closes.
#[derive(Debug, Default)]
pub struct Threads {
    handles: Vec<(usize, JoinHandle<()>)>,
}

impl Threads {
    /// Starts one thread for each lane with a worker.
    ///
    /// # Errors
    /// `Load` when the operating system gives no thread; those already started leave again.
    pub fn start(shared: &Arc<Shared>) -> Result<Self, Error> {
        let workers = lock(&shared.state).config.workers;
        let mut threads = Threads::default();
        for lane in 0..workers {
            let flow = Arc::clone(shared);
            let builder = std::thread::Builder::new().name(format!("headway-{lane}"));
            match builder.spawn(move || worker::work(&flow, lane)) {
                Ok(handle) => threads.handles.push((lane, handle)),
                Err(error) => {
                    shared.begin_close(false);
                    return Err(Error::new(ErrorKind::Load, format!("no thread for lane {lane}: {error}")));
                }
            }
        }
        Ok(threads)
    }

    /// Gives every callers' lane a thread too, for requests that any lane may run. Those that have one keep it.
    pub fn staff(&mut self, shared: &Arc<Shared>) {
        let (workers, lanes) = {
            let state = lock(&shared.state);
            (state.config.workers, state.lanes.len())
        };
        for lane in workers..lanes {
            if !shared.staff(lane) {
                continue;
            }
            let flow = Arc::clone(shared);
            let builder = std::thread::Builder::new().name(format!("headway-{lane}"));
            match builder.spawn(move || worker::work(&flow, lane)) {
                Ok(handle) => self.handles.push((lane, handle)),
                // Without a thread the lane stays what it was: the other lanes do the work.
                Err(_) => shared.act(|state, _, fx| state.unstaff(lane, fx)),
            }
        }
    }

    /// Joins the threads that have left or are about to; an abandoned lane's thread is detached.
    pub fn join(self, report: &CloseReport) {
        for (lane, handle) in self.handles {
            if !report.abandoned.contains(&lane) {
                // A worker that panicked has said so on its way; there is nothing left to do with it.
                let _ = handle.join();
            }
        }
    }

    /// True when every thread has ended.
    pub fn ended(&self) -> bool {
        self.handles.iter().all(|(_, handle)| handle.is_finished())
    }
}

/// How long `close` waits by default.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
