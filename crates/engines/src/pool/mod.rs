//! Pooled memory: 64-byte aligned, counted blocks that come back to the pool they came from.
//!
//! A pool has free lists and a return stack. The free lists belong to one thread at a time: the *user*
//! (a lane for the length of a run, [`Pool::enter`]) or whoever holds the pool for one allocation. A block
//! freed by any other thread goes onto the return stack, pushed by compare-and-swap and only ever taken
//! whole, so that no block can come back under a pusher's hands (no ABA). Nobody waits for anybody: who finds the
//! lists held takes memory from the system instead.

mod block;
mod class;
mod local;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use headway_core::value::Memory;

use self::block::Header;
pub use self::block::{Block, live_blocks};
#[cfg(target_os = "linux")]
pub(crate) use self::block::{Source, draw_from};
use self::class::{NO_CLASS, class_of};
use self::local::Local;

/// Nobody holds the free lists.
const FREE: u8 = 0;
/// Somebody holds them for a few instructions.
const BRIEF: u8 = 1;
/// A user has entered.
const USED: u8 = 2;

/// How often a short-lived holder is waited for before memory comes from the system.
const SPINS: u32 = 64;

thread_local! {
    /// The pool that this thread is the user of.
    static CURRENT: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

/// Free blocks by size, bounded in bytes.
pub struct Pool {
    limit: AtomicUsize,
    holder: AtomicU8,
    local: UnsafeCell<Local>,
    /// `local`'s cached bytes, published for others to read.
    cached: AtomicUsize,
    returned: ReturnStack,
}

/// What other threads write to: on cache lines of its own, away from what the user writes to.
#[repr(align(128))]
struct ReturnStack {
    top: AtomicPtr<Header>,
    bytes: AtomicUsize,
}

// SAFETY: `local` is reached only by the thread that `holder` names; all else is atomic.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// A pool that keeps at most about `limit_bytes` of free memory.
    pub fn new(limit_bytes: usize) -> Arc<Pool> {
        Arc::new(Pool {
            limit: AtomicUsize::new(limit_bytes),
            holder: AtomicU8::new(FREE),
            local: UnsafeCell::new(Local::new()),
            cached: AtomicUsize::new(0),
            returned: ReturnStack { top: AtomicPtr::new(ptr::null_mut()), bytes: AtomicUsize::new(0) },
        })
    }

    /// A block of at least `len` bytes with arbitrary contents.
    pub fn alloc(self: &Arc<Self>, len: usize) -> Block {
        self.try_alloc(len).unwrap_or_else(|| {
            let layout = std::alloc::Layout::from_size_align(len, class::SMALLEST);
            std::alloc::handle_alloc_error(layout.unwrap_or(std::alloc::Layout::new::<Header>()))
        })
    }

    /// Like [`Pool::alloc`]; `None` when the system has no memory to give.
    pub fn try_alloc(self: &Arc<Self>, len: usize) -> Option<Block> {
        let class = class_of(len);
        let header = match self.with_local(|pool, local| pool.take(local, class)).flatten() {
            Some(header) => header,
            None => Header::from_system(len, class)?,
        };
        // SAFETY: fresh, or just off a list: owned here alone.
        let block = unsafe { Block::start(header, Arc::clone(self), len) };
        if self.is_current() {
            // SAFETY: this thread is the user, and nothing else borrows the lists here.
            unsafe { &mut *self.local.get() }.log.push(block.as_ptr().addr());
        }
        Some(block)
    }

    /// A block that goes back to the system when it is freed: for memory that lives as long as a model.
    pub fn try_alloc_uncached(self: &Arc<Self>, len: usize) -> Option<Block> {
        let header = Header::from_system(len, NO_CLASS)?;
        // SAFETY: fresh, so owned here alone.
        Some(unsafe { Block::start(header, Arc::clone(self), len) })
    }

    /// A block as a value's memory, for the caller to fill before anybody else sees it.
    pub fn alloc_memory(self: &Arc<Self>, len: usize) -> Memory {
        self.alloc(len).memory()
    }

    /// A copy of `bytes` as a value's memory.
    pub fn copy_memory(self: &Arc<Self>, bytes: &[u8]) -> Memory {
        let block = self.alloc(bytes.len());
        // SAFETY: the fresh block is at least as long and nobody else has its address yet.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_ptr(), bytes.len()) };
        block.memory()
    }

    /// Makes this thread the pool's user until the guard goes. `None` while another thread is.
    pub fn enter(self: &Arc<Self>) -> Option<Entered> {
        self.hold(USED, u32::MAX)?;
        // SAFETY: just became the holder.
        unsafe { &mut *self.local.get() }.log.clear();
        let before = CURRENT.replace(Arc::as_ptr(self));
        Some(Entered { pool: Arc::clone(self), before, not_send: PhantomData })
    }

    /// Frees what is cached. Does nothing while there is a user: its addresses must stay blocks until it leaves.
    pub fn trim(&self) {
        if self.is_current() {
            return;
        }
        self.with_local(|pool, local| {
            pool.collect(local);
            local.shrink_to(0);
        });
    }

    /// Caches nothing from now on; what is in use goes to the system when it is freed.
    pub fn close(&self) {
        self.limit.store(0, Ordering::Relaxed);
        self.trim();
    }

    /// Bytes of free memory held.
    pub fn cached_bytes(&self) -> usize {
        self.cached.load(Ordering::Relaxed) + self.returned.bytes.load(Ordering::Relaxed)
    }

    fn is_current(&self) -> bool {
        ptr::eq(CURRENT.get(), self)
    }

    /// Becomes the holder, waiting at most `spins` rounds for a short-lived one and never for a user.
    fn hold(&self, how: u8, spins: u32) -> Option<()> {
        for _ in 0..=spins {
            match self.holder.compare_exchange_weak(FREE, how, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(()),
                Err(USED) => return None,
                Err(_) => std::hint::spin_loop(),
            }
        }
        None
    }

    /// Runs `step` with the free lists, unless somebody else holds them.
    fn with_local<T>(&self, step: impl FnOnce(&Pool, &mut Local) -> T) -> Option<T> {
        let current = self.is_current();
        if !current {
            self.hold(BRIEF, SPINS)?;
        }
        // SAFETY: this thread is the holder, and no step calls back into the pool's public face.
        let local = unsafe { &mut *self.local.get() };
        let answer = step(self, local);
        if !current {
            local.age();
        }
        self.cached.store(local.cached(), Ordering::Relaxed);
        if !current {
            self.holder.store(FREE, Ordering::Release);
        }
        Some(answer)
    }

    fn take(&self, local: &mut Local, class: u32) -> Option<NonNull<Header>> {
        if let Some(header) = local.pop(class) {
            return Some(header);
        }
        self.collect(local);
        local.pop(class)
    }

    /// Moves the return stack onto the free lists.
    fn collect(&self, local: &mut Local) {
        if self.returned.top.load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut next = self.returned.top.swap(ptr::null_mut(), Ordering::Acquire);
        let mut bytes = 0;
        while let Some(header) = NonNull::new(next) {
            // SAFETY: the whole stack was taken, so its blocks are owned here alone.
            let fields = unsafe { header.as_ref() };
            next = fields.next.load(Ordering::Relaxed);
            bytes += fields.capacity();
            // SAFETY: as above; only blocks with a class are pushed.
            unsafe { local.push(header) };
        }
        self.returned.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes a block that nobody uses any more.
    ///
    /// # Safety
    /// The caller owns the block alone and gives it away here.
    unsafe fn give_back(&self, header: NonNull<Header>) {
        // SAFETY: the caller owns it.
        let (class, size) = unsafe { (header.as_ref().class, header.as_ref().capacity()) };
        if class == NO_CLASS {
            // SAFETY: owned here alone, on no list.
            unsafe { Header::to_system(header) };
        } else if self.is_current() {
            // SAFETY: this thread is the user, and nothing else borrows the lists here.
            let local = unsafe { &mut *self.local.get() };
            // SAFETY: the caller gives it away. A user's surplus goes when it leaves: see `push_returned`.
            unsafe { local.push(header) };
            self.cached.store(local.cached(), Ordering::Relaxed);
        } else {
            // SAFETY: the caller gives it away.
            unsafe { self.push_returned(header, size) };
        }
    }

    /// Gives a block back from a thread that is not the user.
    ///
    /// While there is a user, nothing goes to the system: an address in the user's log must stay a block's address
    /// until it leaves. The bound is then kept at leaving. Two threads that find the last room at once
    /// may overshoot the bound by a block each.
    ///
    /// # Safety
    /// The caller owns the block alone and gives it away here.
    unsafe fn push_returned(&self, header: NonNull<Header>, size: usize) {
        let cached =
            self.returned.bytes.fetch_add(size, Ordering::Relaxed) + self.cached.load(Ordering::Relaxed);
        let full = cached + size > self.limit.load(Ordering::Relaxed);
        if full && self.holder.load(Ordering::Relaxed) != USED {
            self.returned.bytes.fetch_sub(size, Ordering::Relaxed);
            // SAFETY: owned here alone, on no list.
            return unsafe { Header::to_system(header) };
        }
        // SAFETY: owned here until the exchange below succeeds.
        let fields = unsafe { header.as_ref() };
        let mut head = self.returned.top.load(Ordering::Relaxed);
        loop {
            fields.next.store(head, Ordering::Relaxed);
            let put = self.returned.top.compare_exchange_weak(
                head,
                header.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match put {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Blocks in use hold the pool, so only free ones are left, and nobody else can see them.
        self.trim();
    }
}

/// This thread is the pool's user for as long as this lives.
pub struct Entered {
    pool: Arc<Pool>,
    before: *const Pool,
    not_send: PhantomData<*const ()>,
}

impl Entered {
    /// True when a block with this data address was given to this thread since it entered. Until it leaves, such an
    /// address can only be a block of this pool.
    pub fn gave(&self, addr: usize) -> bool {
        // SAFETY: this guard makes this thread the user, and nothing else borrows the lists here.
        let log = unsafe { &(*self.pool.local.get()).log };
        log.iter().rev().any(|&given| given == addr)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
        let pool = &self.pool;
        // SAFETY: this guard made this thread the holder.
        let local = unsafe { &mut *pool.local.get() };
        local.age();
        let limit = pool.limit.load(Ordering::Relaxed);
        if local.cached() + pool.returned.bytes.load(Ordering::Relaxed) > limit {
            pool.collect(local);
            local.shrink_to(limit);
        }
        pool.cached.store(local.cached(), Ordering::Relaxed);
        pool.holder.store(FREE, Ordering::Release);
    }
}

/// A block for whoever calls back on this thread: from the pool that the thread is the user of, else from `shared`.
pub(crate) fn alloc_here(shared: &Arc<Pool>, len: usize) -> Option<Block> {
    let current = CURRENT.get();
    if current.is_null() {
        return shared.try_alloc(len);
    }
    // SAFETY: the guard that set this pointer, on this same thread, holds an `Arc` of the pool; this one only borrows
    // its count and never gives it back.
    let pool = ManuallyDrop::new(unsafe { Arc::from_raw(current) });
    pool.try_alloc(len)
}
