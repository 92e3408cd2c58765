//! The process's own part: what it inherits, what it says first, and the loop of its lane.

use std::io::{self, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use headway_core::engine::{BatchAxes, Engine, Job, Lane, ModelInfo};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::Values;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::callee::Callee;
use super::memory::SharedFile;
use super::message;
use crate::pool::draw_from;

/// What the process was started with.
pub struct Origin {
    /// What it is to load.
    pub description: Vec<u8>,
    /// The model's bytes, where it does not come from a file.
    pub model: Option<Vec<u8>>,
    control: UnixStream,
    requests: SharedFile,
    answers: SharedFile,
}

/// A process's end of its lane.
pub struct Mailbox {
    callee: Callee,
    axes: Option<BatchAxes>,
}

impl Origin {
    /// Takes what the process inherited: the socket that is its standard input, which then reads as empty.
    ///
    /// # Errors
    /// When this process was not started as a lane.
    pub fn inherit() -> io::Result<Origin> {
        // The parent's end closes with it, but this acts even while this process is stuck in a call.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let control = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
        let mut fds = received(&control)?.into_iter();
        let null = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        let mut part = || fds.next().ok_or_else(|| io::Error::other("not started by a headway session"));
        let (requests, answers) = (SharedFile::received(part()?), SharedFile::received(part()?));
        let description = contents(part()?)?;
        let model = fds.next().map(contents).transpose()?;
        Ok(Origin { description, model, control, requests, answers })
    }

    /// Says that the model is loaded, and opens the mailbox.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn welcome(self, info: &ModelInfo, facts: &str) -> io::Result<Mailbox> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let spin = if cores > 1 { Duration::from_micros(30) } else { Duration::ZERO };
        let callee = Callee::new(self.requests, self.answers, spin)?;
        say(&self.control, &message::hello(&Ok((info, facts))))?;
        let control = self.control;
        std::thread::Builder::new().name("headway-parent".into()).spawn(move || watch(control))?;
        Ok(Mailbox { callee, axes: None })
    }

    /// Says why the model cannot be loaded.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn fail(self, error: Error) -> io::Result<()> {
        say(&self.control, &message::hello(&Err(error)))
    }
}

fn say(mut control: &UnixStream, message: &[u8]) -> io::Result<()> {
    control.write_all(&(message.len() as u64).to_le_bytes())?;
    control.write_all(message)
}

/// Ends this process when the parent's end closes, however busy the other threads are.
fn watch(mut control: UnixStream) {
    let mut byte = [0];
    while matches!(control.read(&mut byte), Ok(1..)) {}
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

fn received(control: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(fds)
}

fn contents(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::from(fd);
    // The descriptor is one that every lane reads, at one position: read it at its own.
    let len = file.seek(io::SeekFrom::End(0))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0)?;
    Ok(bytes)
}

impl Mailbox {
    /// Waits for a batch; `None` when there will be no more. What cannot be read is answered with what is wrong.
    pub fn take(&mut self) -> Option<Vec<Job>> {
        loop {
            match self.callee.next()? {
                Ok(batch) => {
                    self.axes = batch.axes;
                    return Some(batch.jobs);
                }
                Err(error) => self.callee.answer(vec![Err(error)], None, || {}),
            }
        }
    }

    /// Answers the batch. `release` is called once the results are gone; whatever of the inputs is held after it keeps
    /// its memory.
    pub fn answer(
        &mut self,
        results: Vec<Result<Values, Error>>,
        refusal: Option<&str>,
        release: impl FnOnce(),
    ) {
        self.callee.answer(results, refusal, release);
    }
}

/// Runs a native engine's lane until the session closes.
pub fn serve(mailbox: &mut Mailbox, engine: &Arc<dyn Engine>) {
    // The lane's pool hands out memory that the session's side sees: large outputs are written where they are read.
    draw_from(Some(mailbox.callee.heap()));
    let mut lane: Option<Box<dyn Lane>> = None;
    while let Some(mut jobs) = mailbox.take() {
        let opened = match lane.take() {
            Some(lane) => Ok(lane),
            None => open(engine, mailbox.axes.as_ref()),
        };
        let refusal = match opened {
            Ok(mut open) => {
                open.run(&mut jobs);
                let refusal = if jobs.len() > 1 { open.refusal() } else { None };
                lane = Some(open);
                refusal
            }
            Err(error) => {
                jobs.iter_mut().for_each(|job| job.result = Some(Err(error.clone())));
                None
            }
        };
        let missing = || Err(Error::new(ErrorKind::Engine, "the engine gave no result"));
        // The jobs go here, and their inputs with them.
        let results = jobs.into_iter().map(|job| job.result.unwrap_or_else(missing)).collect();
        mailbox.answer(results, refusal.as_deref(), || {});
    }
}

fn open(engine: &Arc<dyn Engine>, axes: Option<&BatchAxes>) -> Result<Box<dyn Lane>, Error> {
    if let Some(axes) = axes {
        engine.batch(axes)?;
    }
    engine.open_lane(0)
}
