//! The end of a forked child, which has the engine's shared pool but none of its threads.

/// Lets a forked child end without the engine's static destructors, which would join the shared pool's threads: of
/// those the child has none, so it would hang or abort. To be called once the environment is there: exit handlers run
/// in the reverse order of their registration, so this one comes before what the engine registered.
pub(super) fn spare_children() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::spare_children();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::OnceLock;

    use headway_core::timer;

    /// The process that has the pool's threads.
    static OWNER: OnceLock<u64> = OnceLock::new();

    unsafe extern "C" {
        fn on_exit(call: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
        fn fflush(stream: *mut c_void) -> c_int;
        fn _exit(status: c_int) -> !;
    }

    pub(super) fn spare_children() {
        if OWNER.set(timer::generation()).is_ok() {
            // SAFETY: glibc's own function; what it will call is never unloaded, as the library never is.
            unsafe { on_exit(leave, ptr::null_mut()) };
        }
    }

    extern "C" fn leave(status: c_int, _: *mut c_void) {
        if OWNER.get().is_some_and(|&owner| owner != timer::generation()) {
            // SAFETY: the C library's own functions; null means every stream.
            unsafe {
                fflush(ptr::null_mut());
                _exit(status)
            }
        }
    }
}
