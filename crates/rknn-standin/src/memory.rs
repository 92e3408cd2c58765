//! Memory that CPU and NPU share: the CPU sees a mapping, the NPU a shadow of it, and only a sync makes them equal.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::abi::TensorMem;

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn ftruncate(fd: c_int, length: i64) -> c_int;
    fn mmap(
        start: *mut c_void,
        length: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(start: *mut c_void, length: usize) -> c_int;
    fn close(fd: c_int) -> c_int;
}

const READ_WRITE: c_int = 3;
const SHARED: c_int = 1;
const CLOEXEC: u32 = 1;

/// One piece.
pub struct Memory {
    /// What callers hold; its address is the memory's name.
    pub head: Box<TensorMem>,
    pub context: u64,
    shadow: Vec<u8>,
    fd: c_int,
    length: usize,
}

// SAFETY: the mapping is the piece's own; the world's lock is held over every use of it here.
unsafe impl Send for Memory {}

impl Memory {
    /// A fresh one, full of 0xa5 for the CPU and of 0x5a for the NPU.
    pub fn new(context: u64, size: u32) -> Option<Memory> {
        let length = (size as usize).max(1);
        // SAFETY: a C string; no memory is touched.
        let fd = unsafe { memfd_create(c"rknn-standin".as_ptr(), CLOEXEC) };
        // SAFETY: the descriptor was just made; the mapping is checked.
        let start = unsafe {
            if fd < 0 || ftruncate(fd, length as i64) != 0 {
                return None;
            }
            mmap(ptr::null_mut(), length, READ_WRITE, SHARED, fd, 0)
        };
        if start.addr() == usize::MAX {
            return None;
        }
        // SAFETY: just mapped, of this length.
        unsafe { start.cast::<u8>().write_bytes(0xa5, length) };
        let head = TensorMem {
            virt_addr: start,
            phys_addr: 0,
            fd,
            offset: 0,
            size,
            flags: 1,
            priv_data: ptr::null_mut(),
        };
        Some(Memory { head: Box::new(head), context, shadow: vec![0x5a; length], fd, length })
    }

    /// Direction 1: the NPU sees what the CPU wrote; 2: the other way round.
    pub fn sync(&mut self, direction: i32) {
        let start = self.head.virt_addr.cast::<u8>();
        // SAFETY: mapping and shadow are both `length` long.
        unsafe {
            if direction & 1 != 0 {
                ptr::copy_nonoverlapping(start, self.shadow.as_mut_ptr(), self.length);
            }
            if direction & 2 != 0 {
                ptr::copy_nonoverlapping(self.shadow.as_ptr(), start, self.length);
            }
        }
    }

    pub fn shadow(&mut self) -> &mut [u8] {
        &mut self.shadow
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped and opened in `new`, once each.
        unsafe {
            munmap(self.head.virt_addr, self.length);
            close(self.fd);
        }
    }
}
