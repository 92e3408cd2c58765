//! The one thread of a session that starts its processes, waits for them and notes their deaths.
//!
//! It sleeps in poll, on every process's pidfd among others, so a death shows at once and a lane that waits for the
//! dead process's answer is woken. It starts them all: a process dies with the thread that started it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::error::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fleet::{Fleet, log};
use super::message::read_hello;
use super::process::Doom;
use super::spawn::{Launcher, Started};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// How often the processes' memory is looked at, where it is bounded.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of standard error that an error about loading shows.
const TAIL: usize = 8;

struct Ward {
    started: Started,
    /// What it wrote last to standard error.
    tail: Vec<String>,
}

/// What the thread does until the session ends.
pub(super) fn supervise(fleet: &Arc<Fleet>, launcher: &Launcher) {
    let mut wards: Vec<Ward> = Vec::new();
    let mut looked = Instant::now();
    loop {
        let (orders, stopping) = fleet.orders();
        if stopping {
            if wards.is_empty() {
                return;
            }
            wards.iter_mut().for_each(dismiss);
        } else {
            for lane in orders {
                match launcher.start(lane) {
                    Ok(started) => wards.push(Ward { started, tail: Vec::new() }),
                    Err(error) => {
                        fleet.lost(lane, None, true, &format!("its process does not start: {error}"))
                    }
                }
            }
        }
        let ended = sleep(fleet, &wards);
        for (at, ward) in wards.iter_mut().enumerate() {
            attend(fleet, ward, ended.contains(&at));
        }
        for at in ended.into_iter().rev() {
            bury(fleet, wards.swap_remove(at));
        }
        if fleet.limits.memory.is_some() && looked.elapsed() >= LOOK {
            looked = Instant::now();
            wards.iter_mut().for_each(|ward| weigh(fleet, ward));
        }
        retire(&mut wards);
    }
}

/// Waits until there is something to do. Gives the processes that have ended, in order.
fn sleep(fleet: &Fleet, wards: &[Ward]) -> Vec<usize> {
    let mut fds = vec![PollFd::new(&fleet.bell, PollFlags::IN)];
    fds.extend(wards.iter().map(|ward| PollFd::new(&*ward.started.pidfd, PollFlags::IN)));
    for ward in wards {
        fds.extend(ward.started.sources().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    }
    let looks = fleet.limits.memory.map(|_| LOOK);
    let now = Instant::now();
    let stops = wards.iter().filter_map(|ward| ward.started.stop_by);
    let until = stops.map(|at| at.saturating_duration_since(now)).chain(looks).min();
    let until =
        until.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
    // Interrupted: everything is looked at anyway.
    let _ = poll(&mut fds, until.as_ref());
    let ended = fds[1..=wards.len()].iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    ended.map(|(at, _)| at).collect()
}

/// Hears what the process has to say.
fn attend(fleet: &Fleet, ward: &mut Ward, ended: bool) {
    let Ward { started, tail } = ward;
    let lane = started.process.lane;
    started.hear(ended, &mut |line| {
        if line.is_empty() {
            return;
        }
        log(2, lane, line);
        if tail.len() == TAIL {
            tail.remove(0);
        }
        tail.push(line.to_owned());
    });
    if !started.loading {
        return;
    }
    match started.listen() {
        Ok(None) => {}
        Ok(Some(message)) => tail.extend(greet(fleet, started, &message).map(str::to_owned)),
        Err(_) => started.process.kill(Doom::Insane),
    }
}

/// The process's first message: its model is loaded, or cannot be. Gives what is wrong with a process that is killed for it.
fn greet(fleet: &Fleet, started: &mut Started, message: &[u8]) -> Option<&'static str> {
    let process = &started.process;
    match read_hello(message) {
        Ok(Ok((info, _))) if !fleet.is_the_model(&info) => {
            started.loading = true;
            process.kill(Doom::Insane);
            Some("its model has other inputs or outputs than the session's: the file has been replaced")
        }
        Ok(Ok((info, facts))) => {
            let first = fleet.loaded.get().is_none();
            if let (true, Some(limit), Some(takes)) = (first, fleet.limits.memory, process.private_memory())
                && takes >= limit
            {
                let (takes, limit) = (takes >> 20, limit >> 20);
                let text = format!("memory_limit={limit}: a process takes {takes} MB with its model alone");
                fleet.failed(Error::new(ErrorKind::Load, text));
            }
            fleet.moored(process, info, facts);
            None
        }
        Ok(Err(error)) => {
            log(3, process.lane, format!("process {}: {}", process.pid, error.message));
            // It ends now, and counts as dead while loading.
            started.loading = true;
            fleet.failed(error);
            None
        }
        Err(error) => {
            log(3, process.lane, error.message);
            started.loading = true;
            process.kill(Doom::Insane);
            Some("its first message is garbled")
        }
    }
}

/// A process has ended.
fn bury(fleet: &Fleet, mut ward: Ward) {
    let exit = ward.started.reap();
    let process = &ward.started.process;
    process.died(exit);
    let mut why = format!("process {} of lane {} {exit}", process.pid, process.lane);
    if ward.started.loading {
        why.push_str(" while it loaded the model");
        if !ward.tail.is_empty() {
            why.push_str("; its last words: ");
            why.push_str(&ward.tail.join("\n"));
        }
    }
    fleet.lost(process.lane, Some(process), ward.started.loading, &why);
}

/// Has a process replaced that uses more memory than it may.
fn weigh(fleet: &Fleet, ward: &mut Ward) {
    let process = &ward.started.process;
    if ward.started.loading || process.doom() != Doom::None {
        return;
    }
    if let (Some(limit), Some(takes)) = (fleet.limits.memory, process.private_memory())
        && takes > limit
        && fleet.replace(process)
    {
        let text = format!(
            "process {} uses {} MB, more than memory_limit: it is replaced",
            process.pid,
            takes >> 20
        );
        log(2, process.lane, text);
    }
}

/// Sets a time for processes that were asked to end, and kills those whose time is up.
fn retire(wards: &mut [Ward]) {
    let now = Instant::now();
    for ward in wards {
        let started = &mut ward.started;
        match (started.process.doom(), started.stop_by) {
            (Doom::None, _) => {}
            (_, Some(at)) if at <= now => {
                started.process.kill(Doom::Closed);
                started.stop_by = Some(now + GRACE);
            }
            // A retired one may still run a request, which has its own deadline.
            (Doom::Retired, None) if started.process.is_running() => {}
            (_, None) => started.stop_by = Some(now + GRACE),
            (_, Some(_)) => {}
        }
    }
}

/// The session closes.
fn dismiss(ward: &mut Ward) {
    let started = &mut ward.started;
    if started.stop_by.is_some() {
        return;
    }
    if started.loading {
        started.process.kill(Doom::Closed);
    } else {
        started.process.retire(Doom::Closed);
    }
    started.stop_by = Some(Instant::now() + GRACE);
}
