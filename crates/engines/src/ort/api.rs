//! ONNX Runtime's C table: the slots used here, each at its index.
//!
//! The table only grows and slots never move. Codes and enums are plain `i32`: a newer library may give numbers that
//! this file does not know. The tests call every slot on a real library:
//! `tests.rs` here those that newer libraries make unnecessary, `crates/engines/tests` the rest.

use std::ffi::{CStr, c_char, c_int, c_void};

use headway_core::error::{Error, ErrorKind};

use super::newer::Newer;
use super::raw::*;

/// What the library exports: `OrtGetApiBase`'s answer.
#[repr(C)]
pub(super) struct ApiBase {
    pub(super) get_api: Option<unsafe extern "system" fn(u32) -> *const *const c_void>,
    pub(super) version: Option<unsafe extern "system" fn() -> *const c_char>,
}

/// The table version asked for. Served by every library since 1.17; asking for one that is too new prints.
pub(super) const API_VERSION: u32 = 17;

macro_rules! slots {
    ($($index:literal $name:ident($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The slots in use. Every one is there: [`Api::read`] refuses a table with a hole.
        #[derive(Clone, Copy)]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "system" fn($($arg),*) $(-> $ret)?,)*
            /// Since 1.24: element type, dimensions and their number in one call.
            pub(super) tensor_type_and_dims:
                Option<unsafe extern "system" fn(*const OrtValue, *mut i32, *mut *const i64, *mut usize) -> Status>,
            /// Since 1.23: copies between devices; the last argument but one is a stream, null for none.
            pub(super) copy_tensors: Option<
                unsafe extern "system" fn(
                    *const OrtEnv, *const *const OrtValue, *const *mut OrtValue, *mut OrtSyncStream, usize,
                ) -> Status,
            >,
            /// Since 1.24: tells a scalar from a tensor of unknown rank.
            pub(super) has_shape: Option<unsafe extern "system" fn(*const OrtTensorInfo) -> bool>,
            /// What options, providers and adapters need of newer libraries.
            pub(super) newer: Newer,
        }

        impl Api {
            /// Reads the table.
            ///
            /// # Safety
            /// `table` is what `GetApi(17)` gave in a library of version `version`, with these functions in these slots.
            pub(super) unsafe fn read(table: *const *const c_void, version: (u32, u32)) -> Result<Api, &'static str> {
                // SAFETY: every index is below the length of table version 17, and an empty slot is a null pointer.
                let slot = |index: usize| unsafe { *table.add(index) };
                $(
                    if slot($index).is_null() {
                        return Err(stringify!($name));
                    }
                )*
                Ok(Api {
                    // SAFETY: not null, and the caller vouches for the type.
                    $($name: unsafe {
                        std::mem::transmute::<*const c_void, unsafe extern "system" fn($($arg),*) $(-> $ret)?>(slot($index))
                    },)*
                    tensor_type_and_dims: if version >= (1, 24) {
                        // SAFETY: the table is this long since 1.24; null means none.
                        unsafe { std::mem::transmute::<*const c_void, Option<_>>(slot(414)) }
                    } else {
                        None
                    },
                    copy_tensors: if version >= (1, 23) {
                        // SAFETY: the table is this long since 1.23; null means none.
                        unsafe { std::mem::transmute::<*const c_void, Option<_>>(slot(386)) }
                    } else {
                        None
                    },
                    has_shape: if version >= (1, 24) {
                        // SAFETY: as above.
                        unsafe { std::mem::transmute::<*const c_void, Option<_>>(slot(390)) }
                    } else {
                        None
                    },
                    // SAFETY: the caller vouches for table and version.
                    newer: unsafe { Newer::read(table, version) },
                })
            }
        }
    };
}

slots! {
    1 status_code(Status) -> i32;
    2 status_message(Status) -> *const c_char;
    5 enable_telemetry(*const OrtEnv) -> Status;
    6 disable_telemetry(*const OrtEnv) -> Status;
    7 create_session(*const OrtEnv, *const OsChar, *const OrtSessionOptions, *mut *mut OrtSession) -> Status;
    8 create_session_from_array(*const OrtEnv, *const c_void, usize, *const OrtSessionOptions, *mut *mut OrtSession) -> Status;
    9 run(*mut OrtSession, *const OrtRunOptions, *const *const c_char, *const *const OrtValue, usize,
        *const *const c_char, usize, *mut *mut OrtValue) -> Status;
    10 create_session_options(*mut *mut OrtSessionOptions) -> Status;
    11 set_optimized_model_path(*mut OrtSessionOptions, *const OsChar) -> Status;
    13 set_execution_mode(*mut OrtSessionOptions, i32) -> Status;
    14 enable_profiling(*mut OrtSessionOptions, *const OsChar) -> Status;
    17 disable_mem_pattern(*mut OrtSessionOptions) -> Status;
    19 disable_cpu_mem_arena(*mut OrtSessionOptions) -> Status;
    20 set_session_log_id(*mut OrtSessionOptions, *const c_char) -> Status;
    21 set_session_log_verbosity(*mut OrtSessionOptions, c_int) -> Status;
    22 set_session_log_severity(*mut OrtSessionOptions, c_int) -> Status;
    23 set_optimization_level(*mut OrtSessionOptions, i32) -> Status;
    24 set_intra_op_threads(*mut OrtSessionOptions, c_int) -> Status;
    25 set_inter_op_threads(*mut OrtSessionOptions, c_int) -> Status;
    30 input_count(*const OrtSession, *mut usize) -> Status;
    31 output_count(*const OrtSession, *mut usize) -> Status;
    32 initializer_count(*const OrtSession, *mut usize) -> Status;
    33 input_type(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> Status;
    34 output_type(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> Status;
    35 initializer_type(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> Status;
    36 input_name(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> Status;
    37 output_name(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> Status;
    38 initializer_name(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> Status;
    39 create_run_options(*mut *mut OrtRunOptions) -> Status;
    40 set_run_log_verbosity(*mut OrtRunOptions, c_int) -> Status;
    41 set_run_log_severity(*mut OrtRunOptions, c_int) -> Status;
    42 set_run_tag(*mut OrtRunOptions, *const c_char) -> Status;
    46 set_terminate(*mut OrtRunOptions) -> Status;
    47 unset_terminate(*mut OrtRunOptions) -> Status;
    48 create_tensor(*mut OrtAllocator, *const i64, usize, i32, *mut *mut OrtValue) -> Status;
    49 create_tensor_over(*const OrtMemoryInfo, *mut c_void, usize, *const i64, usize, i32, *mut *mut OrtValue) -> Status;
    51 tensor_data(*mut OrtValue, *mut *mut c_void) -> Status;
    53 strings_length(*const OrtValue, *mut usize) -> Status;
    54 strings_content(*const OrtValue, *mut c_void, usize, *mut usize, usize) -> Status;
    55 as_tensor_info(*const OrtTypeInfo, *mut *const OrtTensorInfo) -> Status;
    56 type_class(*const OrtTypeInfo, *mut i32) -> Status;
    60 element_type(*const OrtTensorInfo, *mut i32) -> Status;
    61 rank(*const OrtTensorInfo, *mut usize) -> Status;
    62 dims(*const OrtTensorInfo, *mut i64, usize) -> Status;
    63 symbolic_dims(*const OrtTensorInfo, *mut *const c_char, usize) -> Status;
    65 value_tensor_info(*const OrtValue, *mut *mut OrtTensorInfo) -> Status;
    67 value_class(*const OrtValue, *mut i32) -> Status;
    68 create_memory_info(*const c_char, i32, c_int, i32, *mut *mut OrtMemoryInfo) -> Status;
    69 create_cpu_memory_info(i32, i32, *mut *mut OrtMemoryInfo) -> Status;
    71 memory_info_name(*const OrtMemoryInfo, *mut *const c_char) -> Status;
    72 memory_info_id(*const OrtMemoryInfo, *mut c_int) -> Status;
    76 allocator_free(*mut OrtAllocator, *mut c_void) -> Status;
    78 default_allocator(*mut *mut OrtAllocator) -> Status;
    80 inner_value(*const OrtValue, c_int, *mut OrtAllocator, *mut *mut OrtValue) -> Status;
    81 inner_count(*const OrtValue, *mut usize) -> Status;
    82 create_composite(*const *const OrtValue, usize, i32, *mut *mut OrtValue) -> Status;
    79 set_free_dimension_by_denotation(*mut OrtSessionOptions, *const c_char, i64) -> Status;
    93 release_status(Status);
    94 release_memory_info(*mut OrtMemoryInfo);
    95 release_session(*mut OrtSession);
    96 release_value(*mut OrtValue);
    97 release_run_options(*mut OrtRunOptions);
    98 release_type_info(*mut OrtTypeInfo);
    99 release_tensor_info(*mut OrtTensorInfo);
    100 release_session_options(*mut OrtSessionOptions);
    103 as_map_info(*const OrtTypeInfo, *mut *const OrtMapInfo) -> Status;
    104 as_sequence_info(*const OrtTypeInfo, *mut *const OrtSequenceInfo) -> Status;
    105 map_key_type(*const OrtMapInfo, *mut i32) -> Status;
    106 map_value_type(*const OrtMapInfo, *mut *mut OrtTypeInfo) -> Status;
    107 sequence_element_type(*const OrtSequenceInfo, *mut *mut OrtTypeInfo) -> Status;
    110 end_profiling(*mut OrtSession, *mut OrtAllocator, *mut *mut c_char) -> Status;
    111 model_metadata(*const OrtSession, *mut *mut OrtModelMetadata) -> Status;
    112 meta_producer_name(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;
    113 meta_graph_name(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;
    114 meta_domain(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;
    115 meta_description(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;
    116 meta_lookup(*const OrtModelMetadata, *mut OrtAllocator, *const c_char, *mut *mut c_char) -> Status;
    117 meta_version(*const OrtModelMetadata, *mut i64) -> Status;
    118 release_model_metadata(*mut OrtModelMetadata);
    120 disable_per_session_threads(*mut OrtSessionOptions) -> Status;
    121 create_threading_options(*mut *mut OrtThreadingOptions) -> Status;
    122 release_threading_options(*mut OrtThreadingOptions);
    123 meta_keys(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut *mut c_char, *mut i64) -> Status;
    124 set_free_dimension_by_name(*mut OrtSessionOptions, *const c_char, i64) -> Status;
    125 available_providers(*mut *mut *mut c_char, *mut c_int) -> Status;
    126 release_available_providers(*mut *mut c_char, c_int) -> Status;
    130 add_session_config(*mut OrtSessionOptions, *const c_char, *const c_char) -> Status;
    133 run_with_binding(*mut OrtSession, *const OrtRunOptions, *const OrtIoBinding) -> Status;
    134 create_binding(*mut OrtSession, *mut *mut OrtIoBinding) -> Status;
    135 release_binding(*mut OrtIoBinding);
    136 bind_input(*mut OrtIoBinding, *const c_char, *const OrtValue) -> Status;
    137 bind_output(*mut OrtIoBinding, *const c_char, *const OrtValue) -> Status;
    138 bind_output_to_device(*mut OrtIoBinding, *const c_char, *const OrtMemoryInfo) -> Status;
    140 bound_outputs(*const OrtIoBinding, *mut OrtAllocator, *mut *mut *mut OrtValue, *mut usize) -> Status;
    146 profiling_start_ns(*const OrtSession, *mut u64) -> Status;
    147 set_shared_intra_threads(*mut OrtThreadingOptions, c_int) -> Status;
    148 set_shared_inter_threads(*mut OrtThreadingOptions, c_int) -> Status;
    150 add_initializer(*mut OrtSessionOptions, *const c_char, *const OrtValue) -> Status;
    151 create_env(LogFunction, *mut c_void, i32, *const c_char, *const OrtThreadingOptions, *mut *mut OrtEnv) -> Status;
    158 meta_graph_description(*const OrtModelMetadata, *mut OrtAllocator, *mut *mut c_char) -> Status;
    165 add_run_config(*mut OrtRunOptions, *const c_char, *const c_char) -> Status;
    170 append_tensorrt(*mut OrtSessionOptions, *const OrtTensorRtOptions) -> Status;
    171 create_tensorrt_options(*mut *mut OrtTensorRtOptions) -> Status;
    172 update_tensorrt_options(*mut OrtTensorRtOptions, *const *const c_char, *const *const c_char, usize) -> Status;
    174 release_tensorrt_options(*mut OrtTensorRtOptions);
    176 register_allocator(*mut OrtEnv, *mut OrtAllocator) -> Status;
    179 create_sparse(*mut OrtAllocator, *const i64, usize, i32, *mut *mut OrtValue) -> Status;
    180 fill_coo(*mut OrtValue, *const OrtMemoryInfo, *const i64, usize, *const c_void, *const i64, usize) -> Status;
    181 fill_csr(*mut OrtValue, *const OrtMemoryInfo, *const i64, usize, *const c_void, *const i64, usize, *const i64,
        usize) -> Status;
    182 fill_block_sparse(*mut OrtValue, *const OrtMemoryInfo, *const i64, usize, *const c_void, *const i64, usize,
        *const i32) -> Status;
    187 sparse_format(*const OrtValue, *mut i32) -> Status;
    188 sparse_values_info(*const OrtValue, *mut *mut OrtTensorInfo) -> Status;
    189 sparse_values(*const OrtValue, *mut *const c_void) -> Status;
    190 sparse_indices_info(*const OrtValue, i32, *mut *mut OrtTensorInfo) -> Status;
    191 sparse_indices(*const OrtValue, i32, *mut usize, *mut *const c_void) -> Status;
    192 has_value(*const OrtValue, *mut c_int) -> Status;
    194 value_memory_info(*const OrtValue, *mut *const OrtMemoryInfo) -> Status;
    202 synchronize_inputs(*mut OrtIoBinding) -> Status;
    203 synchronize_outputs(*mut OrtIoBinding) -> Status;
    204 append_cuda(*mut OrtSessionOptions, *const OrtCudaOptions) -> Status;
    205 create_cuda_options(*mut *mut OrtCudaOptions) -> Status;
    206 update_cuda_options(*mut OrtCudaOptions, *const *const c_char, *const *const c_char, usize) -> Status;
    208 release_cuda_options(*mut OrtCudaOptions);
    210 add_external_initializers(*mut OrtSessionOptions, *const *const c_char, *const *const OrtValue, usize) -> Status;
    216 append_provider(*mut OrtSessionOptions, *const c_char, *const *const c_char, *const *const c_char, usize) -> Status;
    226 set_env_log_severity(*mut OrtEnv, i32) -> Status;
    228 register_custom_ops(*mut OrtSessionOptions, *const OsChar) -> Status;
    250 as_optional_info(*const OrtTypeInfo, *mut *const OrtOptionalInfo) -> Status;
    251 optional_contained_type(*const OrtOptionalInfo, *mut *mut OrtTypeInfo) -> Status;
    252 string_buffer(*mut OrtValue, usize, usize, *mut *mut c_char) -> Status;
    254 build_info() -> *const c_char;
    273 set_deterministic(*mut OrtSessionOptions, bool) -> Status;
}

impl Api {
    /// Every call that answers with a status goes through here. `kind` says what the failure of this call means.
    ///
    /// # Errors
    /// What the status said, in ONNX Runtime's own form.
    #[inline]
    pub(super) fn check(&self, status: Status, kind: ErrorKind) -> Result<(), Error> {
        if status.is_null() { Ok(()) } else { Err(self.take_status(status, kind)) }
    }

    /// [`Api::check`] for what happens while a request runs.
    #[inline]
    pub(super) fn check_run(&self, status: Status) -> Result<(), Error> {
        self.check(status, ErrorKind::Engine)
    }

    #[cold]
    fn take_status(&self, status: Status, kind: ErrorKind) -> Error {
        // SAFETY: a status that is not null was made by the library and is released once, below.
        let code = unsafe { (self.status_code)(status) };
        // SAFETY: the message is a C string that lives as long as the status.
        let said = unsafe { CStr::from_ptr((self.status_message)(status)) }.to_string_lossy();
        let error = Error::new(kind, message(code, &said)).with_code(code);
        // SAFETY: released once; `said` is not used any more.
        unsafe { (self.release_status)(status) };
        error
    }
}

/// The form that `onnxruntime`'s exceptions have.
fn message(code: i32, said: &str) -> String {
    format!("[ONNXRuntimeError] : {code} : {} : {said}", code_name(code))
}

fn code_name(code: i32) -> &'static str {
    const NAMES: [&str; 16] = [
        "SUCCESS",
        "FAIL",
        "INVALID_ARGUMENT",
        "NO_SUCHFILE",
        "NO_MODEL",
        "ENGINE_ERROR",
        "RUNTIME_EXCEPTION",
        "INVALID_PROTOBUF",
        "MODEL_LOADED",
        "NOT_IMPLEMENTED",
        "INVALID_GRAPH",
        "EP_FAIL",
        "MODEL_LOAD_CANCELED",
        "MODEL_REQUIRES_COMPILATION",
        "NOT_FOUND",
        "DEVICE_RESET",
    ];
    usize::try_from(code).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("GENERAL ERROR")
}
