//! Starting a lane's process: what it inherits is one socket, as its standard input.
//!
//! Everything else comes over that socket, so that no descriptor is ever open in this process without close-on-exec
//! and nothing leaks into other processes that the program starts at the same time.

use std::ffi::OsString;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::caller::Caller;
use super::process::{Exit, LaneProcess};

/// What a lane's process is started with.
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it is told once it runs: which model on which engine.
    pub description: Vec<u8>,
    /// The model's bytes, where it does not come from a file.
    pub model: Option<Vec<u8>>,
}

/// The same, ready to be used again and again.
pub(super) struct Launcher {
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// The description, then the model's bytes: memory that every process reads.
    parts: Vec<OwnedFd>,
}

/// The longest first message: a model's names and metadata.
const LONGEST: usize = 64 << 20;
/// The longest line of a process's standard error that is logged in one piece.
const LINE: usize = 4096;

/// A process as its supervisor has it.
pub(super) struct Started {
    child: Child,
    pub(super) process: Arc<LaneProcess>,
    pub(super) pidfd: Arc<OwnedFd>,
    /// Closed, it tells the process that this one is gone.
    control: UnixStream,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    line: Vec<u8>,
    pub(super) loading: bool,
    /// More of the first message may come.
    listening: bool,
    /// When it is killed, should it not end by itself.
    pub(super) stop_by: Option<Instant>,
}

impl Launcher {
    pub(super) fn new(launch: Launch) -> io::Result<Launcher> {
        let mut parts = Vec::new();
        for part in [Some(launch.description), launch.model].into_iter().flatten() {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut file = std::fs::File::from(rustix::fs::memfd_create("headway-model", flags)?);
            io::Write::write_all(&mut file, &part)?;
            // One process could otherwise change what the next ones load.
            rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW)?;
            parts.push(OwnedFd::from(file));
        }
        Ok(Launcher { command: launch.command, environment: launch.environment, parts })
    }

    /// Starts a process. The thread that calls this must live as long as the process: it dies with its parent's
    /// thread.
    pub(super) fn start(&self, lane: usize) -> io::Result<Started> {
        let caller = Caller::create()?;
        let (ours, theirs) = UnixStream::pair()?;
        self.send(&ours, [caller.requests().fd(), caller.answers().fd()])?;
        let program = self.command.first().ok_or_else(|| io::Error::other("no program"))?;
        let mut command = Command::new(program);
        command.args(&self.command[1..]).env_clear().envs(self.environment.iter().map(|(a, b)| (a, b)));
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in the terminal is for the program, which then decides about its lanes.
        command.process_group(0);
        let mut child = command.spawn()?;
        // Its copy of the socket's other end must not outlive this call: its closing is how a death shows.
        drop(command);
        let pidfd = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Arc::new(pidfd),
            Err(error) => {
                let _ = (child.kill(), child.wait());
                let text = format!("pidfd_open: {error}; isolation=\"process\" needs Linux 5.3 or later");
                return Err(io::Error::other(text));
            }
        };
        ours.set_nonblocking(true)?;
        let stderr = child.stderr.take();
        if let Some(stderr) = &stderr {
            rustix::fs::fcntl_setfl(stderr, OFlags::NONBLOCK)?;
        }
        Ok(Started {
            process: LaneProcess::new(lane, child.id(), Arc::clone(&pidfd), caller),
            child,
            pidfd,
            control: ours,
            stderr,
            said: Vec::new(),
            line: Vec::new(),
            loading: true,
            listening: true,
            stop_by: None,
        })
    }

    /// The mailbox's memory, and what the process is to know, wait in the socket until it reads them.
    fn send(&self, socket: &UnixStream, mailbox: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        let fds: Vec<_> = mailbox.into_iter().chain(self.parts.iter().map(AsFd::as_fd)).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        rustix::net::sendmsg(socket, &[IoSlice::new(b"h")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Started {
    /// What is to be polled beside the pidfd: the first message, and standard error.
    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let control = self.listening.then(|| self.control.as_fd());
        control.into_iter().chain(self.stderr.as_ref().map(AsFd::as_fd))
    }

    /// Reads what there is of the first message; gives it once it is whole. An error is a process that talks nonsense.
    pub(super) fn listen(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; 16 << 10];
        while self.listening {
            match self.control.read(&mut buffer) {
                Ok(count @ 1..) => self.said.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // It is ending, which the pidfd will tell.
                Ok(0) | Err(_) => self.listening = false,
            }
            let Some(head) = self.said.first_chunk::<8>() else { continue };
            let len = usize::try_from(u64::from_le_bytes(*head)).unwrap_or(usize::MAX);
            if len > LONGEST {
                return Err(io::Error::other("its first message has no end"));
            }
            if self.said.len() >= 8 + len {
                (self.loading, self.listening) = (false, false);
                let said = std::mem::take(&mut self.said);
                return Ok(Some(said[8..8 + len].to_vec()));
            }
        }
        Ok(None)
    }

    /// Hands whole lines of standard error to `log`; what is left too when `all` is set.
    pub(super) fn hear(&mut self, all: bool, log: &mut dyn FnMut(&str)) {
        let mut buffer = [0; 4096];
        // A bound: a process that writes without end must not keep its supervisor.
        for _ in 0..256 {
            let Some(stderr) = &mut self.stderr else { break };
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(count) => self.line.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.stderr = None,
            }
            while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                log(String::from_utf8_lossy(&self.line[..end]).trim_end());
                self.line = rest;
            }
            if self.line.len() > LINE {
                log(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
            }
        }
        if all && !self.line.is_empty() {
            log(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
        }
    }

    /// Ends what a process that has ended has started and left in its group.
    fn end_group(&self) {
        let pid = Pid::from_child(&self.child);
        let looks = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // Its number is its own until it is reaped. If the program has done that, it may be anybody's.
        if let Ok(Some(_)) = waitid(WaitId::Pid(pid), looks) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Waits for the end of a process that has ended, so that no zombie stays.
    pub(super) fn reap(&mut self) -> Exit {
        use std::os::unix::process::ExitStatusExt;
        self.end_group();
        match self.child.wait() {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => Exit::Signal(signal),
                (None, Some(code)) => Exit::Status(code),
                (None, None) => Exit::Unknown,
            },
            // The program waits for all children, or ignores SIGCHLD.
            Err(_) => Exit::Unknown,
        }
    }
}
