//! The free lists of one pool: touched only by the thread that holds the pool.

use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::block::Header;
use super::class::{self, CLASSES, NO_CLASS};

/// So many uses of the pool make an epoch: blocks that a whole epoch never needed go back to the system.
const EPOCH: u32 = 256;

#[derive(Clone, Copy)]
struct List {
    head: *mut Header,
    len: u32,
    /// The shortest that the list has been in this epoch: as many blocks were never needed.
    low: u32,
}

const EMPTY: List = List { head: ptr::null_mut(), len: 0, low: 0 };

/// Free lists by class, and the addresses given out since the user entered.
pub(super) struct Local {
    lists: [List; CLASSES],
    cached: usize,
    uses: u32,
    /// Data addresses given to the present user since it entered.
    pub(super) log: Vec<usize>,
}

impl Local {
    pub(super) fn new() -> Local {
        Local { lists: [EMPTY; CLASSES], cached: 0, uses: 0, log: Vec::new() }
    }

    /// Bytes on the lists.
    pub(super) fn cached(&self) -> usize {
        self.cached
    }

    /// A free block of this class.
    pub(super) fn pop(&mut self, class: u32) -> Option<NonNull<Header>> {
        let list = self.lists.get_mut(class as usize)?;
        let header = NonNull::new(list.head)?;
        // SAFETY: blocks on a list are owned by it.
        let fields = unsafe { header.as_ref() };
        list.head = fields.next.load(Ordering::Relaxed);
        list.len -= 1;
        list.low = list.low.min(list.len);
        self.cached -= fields.capacity();
        Some(header)
    }

    /// Puts a free block on its list.
    ///
    /// # Safety
    /// The caller owns the block alone, gives it away here, and its class is not `NO_CLASS`.
    pub(super) unsafe fn push(&mut self, header: NonNull<Header>) {
        // SAFETY: owned by the caller until now, by the list from here on.
        let fields = unsafe { header.as_ref() };
        debug_assert_ne!(fields.class, NO_CLASS);
        let list = &mut self.lists[fields.class as usize];
        fields.next.store(list.head, Ordering::Relaxed);
        list.head = header.as_ptr();
        list.len += 1;
        self.cached += fields.capacity();
    }

    /// Counts one use of the pool; at the end of an epoch frees what was not needed in it.
    pub(super) fn age(&mut self) {
        self.uses += 1;
        if self.uses < EPOCH {
            return;
        }
        self.uses = 0;
        for class in 0..CLASSES as u32 {
            for _ in 0..self.lists[class as usize].low {
                self.free_one(class);
            }
            self.lists[class as usize].low = self.lists[class as usize].len;
        }
    }

    /// Frees blocks, the largest first, until at most `limit` bytes are cached.
    pub(super) fn shrink_to(&mut self, limit: usize) {
        for class in (0..CLASSES as u32).rev() {
            if self.cached <= limit {
                return;
            }
            let surplus = (self.cached - limit).div_ceil(class::size_of(class));
            for _ in 0..surplus {
                if !self.free_one(class) {
                    break;
                }
            }
        }
    }

    fn free_one(&mut self, class: u32) -> bool {
        let Some(header) = self.pop(class) else { return false };
        // SAFETY: just taken off its list, so it is owned here alone.
        unsafe { Header::to_system(header) };
        true
    }
}
