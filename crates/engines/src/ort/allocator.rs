//! The CPU allocator that Headway registers with the engine's environment.
//!
//! Its memory is pooled blocks: from the lane's own pool while a lane runs on the calling thread, from the shared pool
//! otherwise (loading, the engine's own pool threads). The engine's arena has one lock for each session; this has none.

use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, OnceLock};

use super::raw::{OrtAllocator, OrtMemoryInfo};
use crate::pool::{Block, Pool, alloc_here};

/// Free memory that the shared pool may keep.
const SHARED_LIMIT: usize = 64 << 20;

/// The pool of threads that run no lane.
pub(super) fn shared_pool() -> &'static Arc<Pool> {
    static SHARED: OnceLock<Arc<Pool>> = OnceLock::new();
    SHARED.get_or_init(|| Pool::new(SHARED_LIMIT))
}

/// The allocator and what its `Info` answers with; the engine only knows the head.
#[repr(C)]
struct Allocator {
    head: OrtAllocator,
    memory_info: *const OrtMemoryInfo,
}

/// Makes the allocator. Never freed: it must outlive every value that it made.
pub(super) fn make(memory_info: *const OrtMemoryInfo) -> *mut OrtAllocator {
    let allocator = Allocator {
        head: OrtAllocator {
            version: 18,
            alloc: Some(alloc),
            free: Some(free),
            info: Some(info),
            reserve: Some(reserve),
            later: [ptr::null(); 4],
        },
        memory_info,
    };
    Box::into_raw(Box::new(allocator)).cast()
}

unsafe extern "system" fn alloc(_this: *mut OrtAllocator, size: usize) -> *mut c_void {
    if size == 0 {
        return ptr::null_mut();
    }
    raw(alloc_here(shared_pool(), size))
}

/// For what lives as long as the model, such as its weights: nothing that a cache could serve again.
unsafe extern "system" fn reserve(_this: *mut OrtAllocator, size: usize) -> *mut c_void {
    if size == 0 {
        return ptr::null_mut();
    }
    raw(shared_pool().try_alloc_uncached(size))
}

fn raw(block: Option<Block>) -> *mut c_void {
    block.map_or(ptr::null_mut(), |block| block.into_raw().cast())
}

unsafe extern "system" fn free(_this: *mut OrtAllocator, data: *mut c_void) {
    if !data.is_null() {
        // SAFETY: the engine gives back what `alloc` or `reserve` gave it, once.
        drop(unsafe { Block::from_raw(data.cast()) });
    }
}

unsafe extern "system" fn info(this: *const OrtAllocator) -> *const OrtMemoryInfo {
    // SAFETY: `this` is the head of the `Allocator` that `make` leaked.
    unsafe { (*this.cast::<Allocator>()).memory_info }
}
