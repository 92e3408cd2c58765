//! An event loop's bell: native threads ring it, the loop reads which requests it rang for.
//!
//! One byte wakes the loop for a whole batch: only the first ring after the loop has looked writes.

use std::sync::{Mutex, PoisonError};

/// The bell of one event loop. Its descriptor closes when the last slot that could ring it is gone.
#[derive(Debug)]
pub struct Bell {
    /// Numbers rung for since the loop looked last.
    rung: Mutex<Vec<u64>>,
    #[cfg(unix)]
    wire: wire::Wire,
}

impl Bell {
    /// A new bell.
    ///
    /// # Errors
    /// The operating system gives no descriptor (`EMFILE`), or this platform has none to wait on.
    pub fn new() -> std::io::Result<Self> {
        #[cfg(unix)]
        return Ok(Bell { rung: Mutex::new(Vec::new()), wire: wire::Wire::new()? });
        #[cfg(not(unix))]
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "no descriptor to wait on"))
    }

    /// Notes the number and wakes the loop if nothing else has since it looked.
    pub fn ring(&self, number: u64) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        rung.push(number);
        let first = rung.len() == 1;
        drop(rung);
        if first {
            #[cfg(unix)]
            self.wire.write();
        }
    }

    /// What was rung for since the last look. The descriptor is read first, so no ring is lost.
    pub fn answer(&self) -> Vec<u64> {
        #[cfg(unix)]
        self.wire.read();
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The descriptor to wait on for reading.
    #[cfg(unix)]
    pub fn descriptor(&self) -> i32 {
        self.wire.descriptor()
    }
}

#[cfg(unix)]
mod wire {
    use std::os::fd::{AsRawFd, OwnedFd};

    /// A descriptor that turns readable when written: an eventfd on Linux, a pipe elsewhere.
    #[derive(Debug)]
    pub(super) struct Wire {
        reader: OwnedFd,
        #[cfg(not(target_os = "linux"))]
        writer: OwnedFd,
    }

    impl Wire {
        #[cfg(target_os = "linux")]
        pub(super) fn new() -> std::io::Result<Self> {
            use rustix::event::{EventfdFlags, eventfd};
            Ok(Wire { reader: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
        }

        #[cfg(not(target_os = "linux"))]
        pub(super) fn new() -> std::io::Result<Self> {
            let (reader, writer) = rustix::pipe::pipe()?;
            for end in [&reader, &writer] {
                rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
                rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
            }
            Ok(Wire { reader, writer })
        }

        /// A full pipe is as good as a written one: the loop wakes either way.
        pub(super) fn write(&self) {
            #[cfg(target_os = "linux")]
            let _ = rustix::io::write(&self.reader, &1_u64.to_ne_bytes());
            #[cfg(not(target_os = "linux"))]
            let _ = rustix::io::write(&self.writer, &[1]);
        }

        pub(super) fn read(&self) {
            let mut bytes = [0_u8; 64];
            let _ = rustix::io::read(&self.reader, &mut bytes);
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.reader.as_raw_fd()
        }
    }
}
