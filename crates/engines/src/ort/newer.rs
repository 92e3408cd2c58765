//! Slots that not every library has: each line begins with the minor version of 1.x that brought it, then its index.

use std::ffi::{c_char, c_void};

use super::raw::*;

macro_rules! newer {
    ($($minor:literal $index:literal $name:ident($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The newer slots; `None` where the library is older.
        #[derive(Clone, Copy, Default)]
        pub(super) struct Newer {
            $(pub(super) $name: Option<unsafe extern "system" fn($($arg),*) $(-> $ret)?>,)*
        }

        impl Newer {
            /// Reads what a library of this version has.
            ///
            /// # Safety
            /// `table` is the library's table, with these functions in these slots from those versions on.
            pub(super) unsafe fn read(table: *const *const c_void, version: (u32, u32)) -> Newer {
                Newer {
                    $($name: if version >= (1, $minor) {
                        // SAFETY: the table is that long since that version; null means none.
                        unsafe { std::mem::transmute::<*const c_void, Option<_>>(*table.add($index)) }
                    } else {
                        None
                    },)*
                }
            }
        }
    };
}

newer! {
    18 279 add_external_files(*mut OrtSessionOptions, *const *const OsChar, *const *mut c_char, *const usize, usize) -> Status;
    20 280 create_adapter(*const OsChar, *mut OrtAllocator, *mut *mut OrtLoraAdapter) -> Status;
    20 282 release_adapter(*mut OrtLoraAdapter);
    20 283 add_adapter(*mut OrtRunOptions, *const OrtLoraAdapter) -> Status;
    20 284 set_dynamic_options(*mut OrtSession, *const *const c_char, *const *const c_char, usize) -> Status;
    22 293 set_load_cancellation(*mut OrtSessionOptions, bool) -> Status;
    22 298 key_values(*const OrtKeyValues, *mut *const *const c_char, *mut *const *const c_char, *mut usize);
    22 301 register_provider_library(*mut OrtEnv, *const c_char, *const OsChar) -> Status;
    22 302 unregister_provider_library(*mut OrtEnv, *const c_char) -> Status;
    22 303 ep_devices(*const OrtEnv, *mut *const *const OrtEpDevice, *mut usize) -> Status;
    22 304 append_devices(*mut OrtSessionOptions, *mut OrtEnv, *const *const OrtEpDevice, usize,
        *const *const c_char, *const *const c_char, usize) -> Status;
    22 305 set_selection_policy(*mut OrtSessionOptions, i32) -> Status;
    22 307 hardware_type(*const OrtHardwareDevice) -> i32;
    22 308 hardware_vendor_id(*const OrtHardwareDevice) -> u32;
    22 309 hardware_vendor(*const OrtHardwareDevice) -> *const c_char;
    22 310 hardware_device_id(*const OrtHardwareDevice) -> u32;
    22 311 hardware_metadata(*const OrtHardwareDevice) -> *const OrtKeyValues;
    22 312 ep_name(*const OrtEpDevice) -> *const c_char;
    22 313 ep_vendor(*const OrtEpDevice) -> *const c_char;
    22 314 ep_metadata(*const OrtEpDevice) -> *const OrtKeyValues;
    22 315 ep_options(*const OrtEpDevice) -> *const OrtKeyValues;
    22 316 ep_hardware(*const OrtEpDevice) -> *const OrtHardwareDevice;
}
