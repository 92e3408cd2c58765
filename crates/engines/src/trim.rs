//! Memory that was freed, back to the system.

/// Asks the C library to give back what it keeps of freed memory. A closed model's weights would otherwise stay with
/// the process: glibc returns the top of a heap by itself, and a model's memory seldom lies there.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(keep: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc's own function; it may be called at any time from any thread.
        unsafe { malloc_trim(0) };
    }
}
