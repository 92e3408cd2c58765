//! One lane's process, as the threads of the session see it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use headway_core::engine::{BatchAxes, Job};
use headway_core::error::Error;
use rustix::process::{Signal, pidfd_send_signal};

use super::caller::Caller;
use super::layout::{BELL, REPLY, TAKEN, sleep, spin, wake};
use super::memory::{Map, SharedFile};
use super::message::Results;
use crate::pool::Pool;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// Somebody else has waited for it and knows.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "ended with exit status {status}"),
            Exit::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {number}"),
            },
            Exit::Unknown => f.write_str("ended"),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 10] = [
        (Signal::SEGV, "SIGSEGV"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::ILL, "SIGILL"),
        (Signal::KILL, "SIGKILL"),
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::SYS, "SIGSYS"),
    ];
    NAMES.iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| *name)
}

/// Why Headway itself ended a process, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Doom {
    /// It did not: what ends it is a crash.
    None = 0,
    /// Its request expired or was cancelled.
    Terminated = 1,
    /// It uses more memory than it may; another one takes its place.
    Retired = 2,
    /// It answers nonsense.
    Insane = 3,
    /// The session closes.
    Closed = 4,
}

/// A process that has its model loaded.
pub(super) struct LaneProcess {
    pub(super) lane: usize,
    pub(super) pid: u32,
    pidfd: Arc<OwnedFd>,
    header: Arc<Map>,
    answers: Arc<SharedFile>,
    caller: Mutex<Caller>,
    doom: AtomicU8,
    dead: AtomicBool,
    exit: OnceLock<Exit>,
}

/// How a call ended.
pub(super) enum Called {
    /// With an answer.
    Answered(Results, Option<String>),
    /// The process died; `taken` says whether it had taken the request.
    Died { taken: bool },
    /// It answered nonsense, and is not to be used again.
    Insane(Error),
    /// The request cannot be sent.
    Refused(Error),
}

impl LaneProcess {
    pub(super) fn new(lane: usize, pid: u32, pidfd: Arc<OwnedFd>, caller: Caller) -> Arc<LaneProcess> {
        Arc::new(LaneProcess {
            lane,
            pid,
            pidfd,
            header: Arc::clone(caller.header()),
            answers: Arc::clone(caller.answers()),
            caller: Mutex::new(caller),
            doom: AtomicU8::new(Doom::None as u8),
            dead: AtomicBool::new(false),
            exit: OnceLock::new(),
        })
    }

    fn caller(&self) -> MutexGuard<'_, Caller> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a batch on the process and waits for its answer or its death.
    pub(super) fn call(
        &self,
        axes: Option<&BatchAxes>,
        jobs: &[Job],
        pool: &Arc<Pool>,
        patience: Duration,
    ) -> Called {
        let mut caller = self.caller();
        if self.doom() != Doom::None {
            // Since it was chosen for this request it was told to end, and has little time for that.
            return Called::Died { taken: false };
        }
        let number = match caller.send(axes, jobs) {
            Ok(number) => number,
            Err(error) => return Called::Refused(error),
        };
        if !self.answered(number, patience) {
            return Called::Died { taken: self.header.word32(TAKEN).load(Ordering::Acquire) == number };
        }
        match caller.receive(pool) {
            Ok((results, refusal)) if results.len() == jobs.len() => Called::Answered(results, refusal),
            Ok(_) => Called::Insane(super::wire::garbled("an answer to another number of requests")),
            Err(error) => Called::Insane(error),
        }
    }

    /// Waits for the answer; false when the process has died without one.
    fn answered(&self, number: u32, patience: Duration) -> bool {
        let (reply, bell) = (self.header.word32(REPLY), self.header.word32(BELL));
        let answered = || reply.load(Ordering::Acquire) == number;
        if spin(patience, || answered() || self.is_dead()) {
            return answered();
        }
        loop {
            // Read before the look: a ring after it then keeps this thread from sleeping.
            let rung = bell.load(Ordering::Acquire);
            if answered() {
                return true;
            }
            if self.is_dead() {
                // It may have answered between the two looks, just before it died.
                return answered();
            }
            sleep(bell, rung);
        }
    }

    /// Kills it. From now on it is given no requests, though it may live for another moment.
    pub(super) fn kill(&self, why: Doom) {
        self.mark(why);
        // Failing means that it has died already.
        let _ = pidfd_send_signal(&*self.pidfd, Signal::KILL);
    }

    /// Asks it to end once it has nothing to run.
    pub(super) fn retire(&self, why: Doom) {
        self.mark(why);
        self.stop_if_idle();
    }

    /// Has a retired process end unless somebody runs on it, who then does this himself.
    pub(super) fn stop_if_idle(&self) {
        if let Ok(caller) = self.caller.try_lock() {
            caller.stop();
        }
    }

    /// True while somebody runs on it.
    pub(super) fn is_running(&self) -> bool {
        self.caller.try_lock().is_err()
    }

    fn mark(&self, why: Doom) {
        let none = Doom::None as u8;
        // The first reason stays.
        let _ = self.doom.compare_exchange(none, why as u8, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Why Headway ends it, if it does.
    pub(super) fn doom(&self) -> Doom {
        match self.doom.load(Ordering::SeqCst) {
            0 => Doom::None,
            1 => Doom::Terminated,
            2 => Doom::Retired,
            3 => Doom::Insane,
            _ => Doom::Closed,
        }
    }

    /// Notes its death and wakes who waits for its answer.
    pub(super) fn died(&self, exit: Exit) {
        let _ = self.exit.set(exit);
        self.dead.store(true, Ordering::SeqCst);
        let bell = self.header.word32(BELL);
        bell.fetch_add(1, Ordering::Release);
        wake(bell);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// How it ended.
    pub(super) fn exit(&self) -> Exit {
        self.exit.get().copied().unwrap_or(Exit::Unknown)
    }

    /// Bytes of memory that are its own, the answers that it wrote among them: what it shares with others, requests and
    /// libraries, does not count.
    pub(super) fn private_memory(&self) -> Option<u64> {
        if self.is_dead() {
            return None;
        }
        let words = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let mut pages = words.split(' ').skip(1).map_while(|word| word.parse::<u64>().ok());
        let (resident, shared) = (pages.next()?, pages.next()?);
        let own = resident.saturating_sub(shared) * rustix::param::page_size() as u64;
        Some(own + self.answers.resident())
    }
}
