//! OpenVINO's C functions: those used here, by name, with what a status becomes.

use std::ffi::{CStr, c_char, c_void};

use headway_core::error::{Error, ErrorKind};
use libloading::Library;

use super::raw::*;

/// Strings, how many, dimensions, the tensor made of them.
pub(super) type TensorOfStrings =
    unsafe extern "C" fn(*const *const c_char, usize, Shape, *mut *mut OvTensor) -> Status;

macro_rules! functions {
    ($($symbol:literal $name:ident($($arg:ty),* $(; $dots:tt)?) $(-> $ret:ty)?;)*) => {
        /// The functions in use. Every one but the last is there: [`Api::read`] refuses a library without one.
        #[derive(Clone, Copy)]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($arg,)* $($dots)?) $(-> $ret)?,)*
            /// Newer than 2025.0: a tensor of strings.
            pub(super) tensor_of_strings: Option<TensorOfStrings>,
        }

        impl Api {
            /// Finds the functions.
            ///
            /// # Safety
            /// `library` is OpenVINO's C library, whose functions have these types.
            pub(super) unsafe fn read(library: &Library) -> Result<Api, &'static str> {
                Ok(Api {
                    $(
                        // SAFETY: the caller vouches for the types.
                        $name: *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }.map_err(|_| $symbol)?,
                    )*
                    // SAFETY: as above.
                    tensor_of_strings: unsafe { library.get(c"ov_tensor_create_from_string_array") }.ok().map(|found| *found),
                })
            }
        }
    };
}

functions! {
    "ov_get_openvino_version" version(*mut Version) -> Status;
    "ov_version_free" free_version(*mut Version);
    "ov_get_last_err_msg" last_message() -> *const c_char;
    "ov_free" free(*const c_char);
    "ov_core_create" create_core(*mut *mut OvCore) -> Status;
    "ov_core_get_available_devices" devices(*const OvCore, *mut Devices) -> Status;
    "ov_available_devices_free" free_devices(*mut Devices);
    "ov_core_read_model" read_file(*const OvCore, *const c_char, *const c_char, *mut *mut OvModel) -> Status;
    "ov_core_read_model_from_memory_buffer"
        read_bytes(*const OvCore, *const c_char, usize, *const OvTensor, *mut *mut OvModel) -> Status;
    "ov_core_compile_model"
        compile(*const OvCore, *const OvModel, *const c_char, usize, *mut *mut OvCompiled; ...) -> Status;
    "ov_model_free" free_model(*mut OvModel);
    "ov_model_get_friendly_name" model_name(*const OvModel, *mut *mut c_char) -> Status;
    "ov_compiled_model_free" free_compiled(*mut OvCompiled);
    "ov_compiled_model_get_property" property(*const OvCompiled, *const c_char, *mut *mut c_char) -> Status;
    "ov_compiled_model_inputs_size" input_count(*const OvCompiled, *mut usize) -> Status;
    "ov_compiled_model_outputs_size" output_count(*const OvCompiled, *mut usize) -> Status;
    "ov_compiled_model_input_by_index" input(*const OvCompiled, usize, *mut *mut OvPort) -> Status;
    "ov_compiled_model_output_by_index" output(*const OvCompiled, usize, *mut *mut OvPort) -> Status;
    "ov_compiled_model_create_infer_request" create_request(*const OvCompiled, *mut *mut OvRequest) -> Status;
    "ov_output_const_port_free" free_port(*mut OvPort);
    "ov_port_get_any_name" port_name(*const OvPort, *mut *mut c_char) -> Status;
    "ov_port_get_element_type" port_type(*const OvPort, *mut i32) -> Status;
    "ov_port_get_partial_shape" port_shape(*const OvPort, *mut PartialShape) -> Status;
    "ov_partial_shape_free" free_partial_shape(*mut PartialShape);
    "ov_shape_free" free_shape(*mut Shape) -> Status;
    "ov_tensor_create" create_tensor(i32, Shape, *mut *mut OvTensor) -> Status;
    "ov_tensor_create_from_host_ptr" tensor_over(i32, Shape, *mut c_void, *mut *mut OvTensor) -> Status;
    "ov_tensor_get_shape" tensor_shape(*const OvTensor, *mut Shape) -> Status;
    "ov_tensor_get_byte_size" tensor_bytes(*const OvTensor, *mut usize) -> Status;
    "ov_tensor_data" tensor_data(*const OvTensor, *mut *mut c_void) -> Status;
    "ov_tensor_free" free_tensor(*mut OvTensor);
    "ov_infer_request_set_input_tensor_by_index" set_input(*mut OvRequest, usize, *const OvTensor) -> Status;
    "ov_infer_request_set_output_tensor_by_index" set_output(*mut OvRequest, usize, *const OvTensor) -> Status;
    "ov_infer_request_get_output_tensor_by_index" get_output(*const OvRequest, usize, *mut *mut OvTensor) -> Status;
    "ov_infer_request_infer" infer(*mut OvRequest) -> Status;
    "ov_infer_request_cancel" cancel(*mut OvRequest) -> Status;
    "ov_infer_request_get_profiling_info" profile(*const OvRequest, *mut Profiles) -> Status;
    "ov_profiling_info_list_free" free_profile(*mut Profiles);
    "ov_infer_request_free" free_request(*mut OvRequest);
}

impl Api {
    /// Nothing, or what OpenVINO said.
    ///
    /// OpenVINO keeps one last message for the whole process: when two lanes fail at the same instant, one may get the
    /// other's words. The code is always its own.
    #[inline]
    pub(super) fn check(&self, status: Status, kind: ErrorKind) -> Result<(), Error> {
        if status == OK { Ok(()) } else { Err(self.error(status, kind)) }
    }

    /// [`Api::check`] for what happens to a request.
    #[inline]
    pub(super) fn check_run(&self, status: Status) -> Result<(), Error> {
        self.check(status, ErrorKind::Engine)
    }

    #[cold]
    fn error(&self, status: Status, kind: ErrorKind) -> Error {
        let said = if status == CANCELLED || status <= REFUSED_BY_C {
            None
        } else {
            // SAFETY: gives null or a C string of the caller's.
            unsafe { self.take_text((self.last_message)()) }
        };
        let said = said.as_deref().map(str::trim).filter(|said| !said.is_empty());
        Error::new(kind, format!("OpenVINO: {}", said.unwrap_or(name_of(status)))).with_code(status)
    }

    /// Takes over a C string that the library made; `None` for null.
    ///
    /// # Safety
    /// `text` is null or such a string, taken over once.
    pub(super) unsafe fn take_text(&self, text: *const c_char) -> Option<String> {
        if text.is_null() {
            return None;
        }
        // SAFETY: the caller's promise.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: made by the library, given back once.
        unsafe { (self.free)(text) };
        Some(copy)
    }
}

/// What a code means where OpenVINO has no words of its own.
fn name_of(status: Status) -> &'static str {
    const NAMES: [&str; 17] = [
        "general error",
        "not implemented",
        "no model is loaded",
        "a parameter does not match",
        "not found",
        "out of bounds",
        "an unexpected exception",
        "the request is busy",
        "the result is not ready",
        "not allocated",
        "inference was not started",
        "the model was not read",
        "the request was cancelled",
        "a wrong argument of a C function",
        "an unknown error of the C interface",
        "not implemented in the C interface",
        "an unknown exception",
    ];
    let at = usize::try_from(-1 - i64::from(status)).ok();
    at.and_then(|at| NAMES.get(at)).copied().unwrap_or("an error without words")
}
