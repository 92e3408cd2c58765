//! One counted, aligned block of memory, and the header in front of it.

use std::alloc::Layout;
use std::cell::Cell;
use std::mem::{align_of, size_of};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

use headway_core::value::Memory;

use super::Pool;
use super::class::{self, NO_CLASS};

/// Blocks that the system has given and not got back, over all pools.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many blocks, in use or cached, are held from the system at this moment by all pools together.
pub fn live_blocks() -> usize {
    LIVE.load(Ordering::SeqCst)
}

/// Memory of another kind than the system's allocator gives.
pub(crate) trait Source: Sync {
    /// So many writable bytes, 64-byte aligned, that are nobody else's; `None` leaves it to the system.
    fn alloc(&self, len: usize) -> Option<NonNull<u8>>;

    /// Takes back what `alloc` gave, from any thread.
    ///
    /// # Safety
    /// `at` came from `alloc`, and nobody reaches its memory any more.
    unsafe fn free(&self, at: NonNull<u8>);
}

thread_local! {
    /// Where the blocks come from that this thread takes.
    static SOURCE: Cell<Option<&'static dyn Source>> = const { Cell::new(None) };
}

/// Has the blocks that this thread takes from now on come from there; `None` for the system again.
pub(crate) fn draw_from(source: Option<&'static dyn Source>) {
    SOURCE.set(source);
}

/// Bookkeeping in front of the data: exactly one cache line, so that the data starts on one.
#[repr(C, align(64))]
pub(super) struct Header {
    refs: AtomicUsize,
    /// The next block on whichever free list this one lies on; meaningless while in use.
    pub(super) next: AtomicPtr<Header>,
    /// The pool it goes back to. Held only while in use: a cached block must not keep its own pool alive.
    home: AtomicPtr<Pool>,
    len: AtomicUsize,
    pub(super) class: u32,
    capacity: usize,
    /// Who gave the memory, where it was not the system.
    source: Option<&'static dyn Source>,
}

const DATA: usize = size_of::<Header>();
const _: () = assert!(DATA == 64 && align_of::<Header>() == 64);

impl Header {
    /// Takes a block from the system; `None` when it has none to give.
    pub(super) fn from_system(len: usize, class: u32) -> Option<NonNull<Header>> {
        let capacity = if class == NO_CLASS { len } else { class::size_of(class) };
        let layout = Header::layout(capacity)?;
        // What lives as long as a model is the system's.
        let source = SOURCE.get().filter(|_| class != NO_CLASS);
        let (source, header) = match source.and_then(|source| Some((source, source.alloc(layout.size())?))) {
            Some((source, at)) => (Some(source), at.cast::<Header>()),
            // SAFETY: the layout is never empty, it has at least the header.
            None => (None, NonNull::new(unsafe { std::alloc::alloc(layout) }.cast::<Header>())?),
        };
        let fresh = Header {
            refs: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            home: AtomicPtr::new(ptr::null_mut()),
            len: AtomicUsize::new(0),
            class,
            capacity,
            source,
        };
        // SAFETY: freshly allocated with a header's size and alignment.
        unsafe { header.write(fresh) };
        LIVE.fetch_add(1, Ordering::Relaxed);
        Some(header)
    }

    /// Gives the block back to the system.
    ///
    /// # Safety
    /// The caller owns the block alone, and it lies on no list.
    pub(super) unsafe fn to_system(header: NonNull<Header>) {
        // SAFETY: the caller owns it, so the header is readable.
        let (capacity, source) = unsafe { (header.as_ref().capacity, header.as_ref().source) };
        match (source, Header::layout(capacity)) {
            // SAFETY: it came from there, and the caller owns it alone.
            (Some(source), _) => unsafe { source.free(header.cast()) },
            // SAFETY: allocated with this same layout in `from_system`.
            (None, Some(layout)) => unsafe { std::alloc::dealloc(header.as_ptr().cast(), layout) },
            (None, None) => return,
        }
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }

    fn layout(capacity: usize) -> Option<Layout> {
        Layout::from_size_align(capacity.checked_add(DATA)?, align_of::<Header>()).ok()
    }

    /// Bytes that the block counts for when it is cached.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }
}

/// A counted stretch of pooled memory, 64-byte aligned. Its contents are whatever the last user left.
///
/// The last clone to go gives it back to the pool it came from, from whatever thread.
pub struct Block(NonNull<Header>);

// SAFETY: the count is atomic, giving back is lock-free from any thread, and the data is only reached
// through raw pointers, whose users answer for their own accesses.
unsafe impl Send for Block {}
// SAFETY: as above; `&Block` gives addresses and lengths, never references to the data.
unsafe impl Sync for Block {}

impl Block {
    /// Makes the block ready for use by its first holder.
    ///
    /// # Safety
    /// The caller owns the header alone, and it lies on no list.
    pub(super) unsafe fn start(header: NonNull<Header>, home: Arc<Pool>, len: usize) -> Block {
        // SAFETY: the caller owns it.
        let fields = unsafe { header.as_ref() };
        fields.refs.store(1, Ordering::Relaxed);
        fields.len.store(len, Ordering::Relaxed);
        fields.home.store(Arc::into_raw(home).cast_mut(), Ordering::Relaxed);
        Block(header)
    }

    fn header(&self) -> &Header {
        // SAFETY: the count that this handle holds keeps the header there.
        unsafe { self.0.as_ref() }
    }

    /// Where the data starts.
    pub fn as_ptr(&self) -> *mut u8 {
        // SAFETY: the allocation reaches at least to the end of the header.
        unsafe { self.0.as_ptr().cast::<u8>().add(DATA) }
    }

    /// The address of the data, for a [`Memory`].
    pub fn addr(&self) -> usize {
        self.as_ptr().expose_provenance()
    }

    /// How many bytes were asked for.
    pub fn len(&self) -> usize {
        self.header().len.load(Ordering::Relaxed)
    }

    /// True when no bytes were asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole block as a value's memory, which then keeps it alive.
    pub fn memory(self) -> Memory {
        let len = self.len();
        self.memory_of(len)
    }

    /// The first `len` bytes of the block as a value's memory; at most what was asked for.
    pub fn memory_of(self, len: usize) -> Memory {
        let len = len.min(self.len());
        Memory { addr: self.addr(), len, owner: Some(Arc::new(self)) }
    }

    /// Gives the data's address away together with this handle's count; see [`Block::from_raw`].
    pub fn into_raw(self) -> *mut u8 {
        let data = self.as_ptr();
        std::mem::forget(self);
        data
    }

    /// Takes back what [`Block::into_raw`] gave away.
    ///
    /// # Safety
    /// `data` came from `into_raw`, and each such count is taken back once.
    pub unsafe fn from_raw(data: *mut u8) -> Block {
        // SAFETY: the header lies right in front of the data, in the same allocation.
        Block(unsafe { NonNull::new_unchecked(data.sub(DATA).cast::<Header>()) })
    }

    /// A further handle to a block that somebody else holds by its raw address.
    ///
    /// # Safety
    /// `data` came from `into_raw`, and that count is not taken back before this call has returned.
    pub unsafe fn share_raw(data: *mut u8) -> Block {
        // SAFETY: the same promise; the count behind `data` stays with its holder.
        let held = std::mem::ManuallyDrop::new(unsafe { Block::from_raw(data) });
        Block::clone(&held)
    }
}

impl Clone for Block {
    fn clone(&self) -> Block {
        self.header().refs.fetch_add(1, Ordering::Relaxed);
        Block(self.0)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let header = self.header();
        // Alone: nobody can add a count but through this handle, so no read-modify-write is needed.
        if header.refs.load(Ordering::Acquire) != 1 {
            if header.refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
        }
        // The pool is taken out first: once given back, the header belongs to the next user.
        let home = header.home.load(Ordering::Relaxed);
        // SAFETY: `start` put this count of the pool there, and the last holder takes it once.
        let home = unsafe { Arc::from_raw(home) };
        // SAFETY: this was the last handle, so the block is owned here alone.
        unsafe { home.give_back(self.0) };
    }
}
