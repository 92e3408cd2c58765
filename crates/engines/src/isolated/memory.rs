//! The shared-memory files of process lanes, mapped span by span: two memfds for each process, one that only the
//! session's side makes grow and one that only the process does, so that nobody appends where the other does.
//!
//! Either side may be wrong about what lies in it, and the other must not fall with it. The file is sealed against
//! shrinking and a span is mapped only where the file reaches, so that touching it never ends in SIGBUS. What is read
//! is copied out before it is checked: it may change at any time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use headway_core::value::Memory;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use crate::pool::Pool;

/// Spans start and end at multiples of this: the largest page that Linux has on the machines Headway runs on.
pub(super) const GRAIN: u64 = 65_536;

/// A file larger than this is somebody's mistake. Only what is touched takes memory, so there is room for as many spans as
/// a callable that keeps its inputs may need in years: each of them is a new one.
const LARGEST: u64 = 1 << 60;

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Span {
    /// The end; `None` for what no span that was made here can be.
    fn end(self) -> Option<u64> {
        let end = self.offset.checked_add(self.len)?;
        let good = self.len > 0
            && self.offset.is_multiple_of(GRAIN)
            && self.len.is_multiple_of(GRAIN)
            && end <= LARGEST;
        good.then_some(end)
    }
}

/// The file.
pub(super) struct SharedFile(OwnedFd);

impl SharedFile {
    /// A new one, empty, which can only grow.
    pub(super) fn create() -> io::Result<SharedFile> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("headway-lane", flags)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK)?;
        Ok(SharedFile(fd))
    }

    /// The one that the other side made.
    pub(super) fn received(fd: OwnedFd) -> SharedFile {
        SharedFile(fd)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// How far it reaches.
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(rustix::fs::fstat(&self.0)?.st_size).unwrap_or(0))
    }

    /// A new span of at least so many bytes at the end. Nobody else may append meanwhile.
    pub(super) fn grow(&self, bytes: u64) -> io::Result<Span> {
        let too_large = || io::Error::other("a process lane's memory cannot grow so far");
        let offset = self.len()?.div_ceil(GRAIN).checked_mul(GRAIN).ok_or_else(too_large)?;
        let len = bytes.max(1).div_ceil(GRAIN).checked_mul(GRAIN).ok_or_else(too_large)?;
        let span = Span { offset, len };
        rustix::fs::ftruncate(&self.0, span.end().ok_or_else(too_large)?)?;
        Ok(span)
    }

    /// Bytes of memory that it takes now.
    pub(super) fn resident(&self) -> u64 {
        // A block is 512 bytes, whatever the pages are.
        rustix::fs::fstat(&self.0).map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0) * 512)
    }

    /// Gives the span's memory back to the system; it reads as zeros from now on.
    pub(super) fn release(&self, span: Span) {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Failing costs memory and nothing else.
        let _ = rustix::fs::fallocate(&self.0, how, span.offset, span.len);
    }

    /// Maps a span, if the file reaches so far.
    pub(super) fn map(&self, span: Span) -> io::Result<Arc<Map>> {
        let end = span.end().filter(|&end| self.len().is_ok_and(|len| end <= len));
        let len = end.and_then(|_| usize::try_from(span.len).ok());
        let len = len.ok_or_else(|| io::Error::other(format!("{span:?} is no part of the lane's memory")))?;
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a fresh mapping at an address of the kernel's choice; the file reaches to its end and cannot shrink.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), len, prot, flags, &self.0, span.offset) }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Arc::new(Map { base, len, span }))
    }
}

/// A mapped span. Its bytes belong to both sides: they are only ever copied, or reached as atomics.
pub(super) struct Map {
    base: NonNull<u8>,
    len: usize,
    pub(super) span: Span,
}

// SAFETY: the mapping stays where it is until it is dropped, and is reached through raw pointers and atomics only.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// True when so many bytes lie in it from there on.
    pub(super) fn holds(&self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// The address of a byte, for a value over this memory.
    pub(super) fn addr(&self, at: usize) -> usize {
        assert!(at <= self.len, "outside the mapping");
        self.base.as_ptr().expose_provenance() + at
    }

    fn word(&self, at: usize, size: usize) -> *mut u8 {
        assert!(at.is_multiple_of(size) && self.holds(at, size), "outside the mapping");
        // SAFETY: inside the mapping, as was just checked.
        unsafe { self.base.as_ptr().add(at) }
    }

    /// A word of the header.
    pub(super) fn word32(&self, at: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping, aligned, and there as long as `self`; both sides reach it as an atomic.
        unsafe { AtomicU32::from_ptr(self.word(at, 4).cast()) }
    }

    /// A long word of the header.
    pub(super) fn word64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.word(at, 8).cast()) }
    }

    /// A copy of a stretch; `None` outside the mapping, and where there is no memory.
    pub(super) fn read(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        self.holds(at, len).then_some(())?;
        let mut copy = Vec::new();
        // The file may be larger than memory.
        copy.try_reserve_exact(len).ok()?;
        copy.resize(len, 0);
        // SAFETY: inside the mapping, and the vector is as long. Should the other side write meanwhile, against the
        // protocol, the bytes are any bytes, which is what they are taken for.
        unsafe { ptr::copy_nonoverlapping(self.base.as_ptr().add(at), copy.as_mut_ptr(), len) };
        Some(copy)
    }

    /// A pooled copy of a stretch; `None` outside the mapping, and where there is no memory.
    pub(super) fn copy_out(&self, at: usize, len: usize, pool: &Arc<Pool>) -> Option<Memory> {
        self.holds(at, len).then_some(())?;
        let block = pool.try_alloc(len)?;
        // SAFETY: inside the mapping, and the fresh block is as long; else as in `read`.
        unsafe { ptr::copy_nonoverlapping(self.base.as_ptr().add(at), block.as_ptr(), len) };
        Some(block.memory())
    }

    /// Writes a stretch.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) {
        // SAFETY: a slice is readable.
        unsafe { self.write_from(at, bytes.as_ptr().addr(), bytes.len()) };
    }

    /// Writes what lies at an address.
    ///
    /// # Safety
    /// `addr` has `len` readable bytes for the length of this call.
    pub(super) unsafe fn write_from(&self, at: usize, addr: usize, len: usize) {
        assert!(self.holds(at, len), "outside the mapping");
        if len > 0 {
            let from = ptr::with_exposed_provenance::<u8>(addr);
            // SAFETY: inside the mapping, as was just checked; the caller's promise for the other end. `copy`, because
            // a value that came in by this very mapping may be given back.
            unsafe { ptr::copy(from, self.base.as_ptr().add(at), len) };
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped in `SharedFile::map` with this length; nobody reaches it any more.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_span_is_mapped_only_where_the_file_reaches() {
        let file = SharedFile::create().expect("a file");
        let span = file.grow(100).expect("room");
        assert_eq!(span, Span { offset: 0, len: GRAIN });
        let map = file.map(span).expect("a mapping");
        map.write(3, b"abc");
        assert_eq!(map.read(3, 3).as_deref(), Some(&b"abc"[..]));
        assert_eq!(map.read(usize::MAX, 3), None);
        assert_eq!(map.read(GRAIN as usize - 1, 2), None);
        for wrong in [
            Span { offset: 0, len: 2 * GRAIN },
            Span { offset: GRAIN, len: GRAIN },
            Span { offset: 1, len: GRAIN },
            Span { offset: u64::MAX - GRAIN + 1, len: GRAIN },
            Span { offset: 0, len: 0 },
        ] {
            assert!(file.map(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_file_cannot_shrink() {
        let file = SharedFile::create().expect("a file");
        file.grow(1).expect("room");
        assert!(rustix::fs::ftruncate(file.fd(), 0).is_err());
    }

    #[test]
    fn a_stretch_that_is_larger_than_memory_is_not_copied() {
        let file = SharedFile::create().expect("a file");
        let map = file.grow(1 << 45).and_then(|span| file.map(span)).expect("a hole takes no memory");
        assert_eq!(map.read(0, 1 << 45), None);
        assert!(map.copy_out(0, 1 << 45, &Pool::new(0)).is_none());
        assert_eq!(map.read(1 << 44, 2).as_deref(), Some(&[0, 0][..]));
    }

    #[test]
    fn there_is_room_for_years_of_inputs_that_are_kept() {
        let file = SharedFile::create().expect("a file");
        // A year of 16 MB a frame, a hundred frames a second.
        rustix::fs::ftruncate(file.fd(), (16 << 20) * 100 * 86_400 * 365).expect("a hole");
        let span = file.grow(16 << 20).expect("room");
        let map = file.map(span).expect("a mapping");
        map.write(0, b"there");
        file.release(span);
        assert_eq!(map.read(0, 2).as_deref(), Some(&[0, 0][..]));
    }

    #[test]
    fn both_mappings_see_one_memory() {
        let file = SharedFile::create().expect("a file");
        let span = file.grow(1).expect("room");
        let (one, two) = (file.map(span).expect("one"), file.map(span).expect("two"));
        one.word32(64).store(7, Ordering::Relaxed);
        assert_eq!(two.word32(64).load(Ordering::Relaxed), 7);
        file.release(span);
        assert_eq!(two.word32(64).load(Ordering::Relaxed), 0);
    }
}
