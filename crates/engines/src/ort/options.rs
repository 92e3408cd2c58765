//! Session options: what the caller set, told to the engine one by one.

use std::path::PathBuf;
use std::ptr;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::Tensor;

use super::devices::DeviceProvider;
use super::initializers::ExternalFile;
use super::load_flag::{LoadFlag, Loading};
use super::raw::*;
use super::runtime::Runtime;
use super::text::{OsText, c_string};

/// `session.use_env_allocators`: makes the session use the allocator that Headway registered.
const USE_ENV_ALLOCATORS: &str = "session.use_env_allocators";
/// Config entries that make the engine keep the model's bytes, which are only borrowed while loading.
const KEEPS_BYTES: [&str; 2] =
    ["session.use_ort_model_bytes_directly", "session.use_ort_model_bytes_for_initializers"];

/// Whose threads run a session's operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ThreadChoice {
    /// The session's own.
    #[default]
    Own,
    /// The process's shared pool where it has as many threads as the session asks for, else the session's own.
    SharedIfEqual,
    /// The process's shared pool, whatever its size.
    Shared,
}

/// The threads that a session got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Threads that one operator may use, the lane's own included; 0 where the engine chose.
    pub intra_op: usize,
    /// True when they are the process's shared pool's.
    pub shared: bool,
}

/// Session options. What is `None` is left as the engine has it.
#[derive(Debug, Clone, Default)]
pub struct SessionConfig {
    /// Threads for one operator; 0 lets the engine choose.
    pub intra_op_num_threads: Option<i32>,
    /// Threads for operators side by side; 0 lets the engine choose.
    pub inter_op_num_threads: Option<i32>,
    /// 0 sequential, 1 parallel.
    pub execution_mode: Option<i32>,
    /// 0 none, 1 basic, 2 extended, 3 layout, 99 all.
    pub graph_optimization_level: Option<i32>,
    /// False turns the engine's own arena off (it is not used anyway unless a config entry says so).
    pub enable_cpu_mem_arena: Option<bool>,
    /// False turns planned memory off.
    pub enable_mem_pattern: Option<bool>,
    /// Where the profile goes; set means that profiling is on.
    pub profile_file_prefix: Option<PathBuf>,
    /// Where the optimised model is written.
    pub optimized_model_filepath: Option<PathBuf>,
    /// Names the session in the log.
    pub logid: Option<String>,
    /// 0 verbose to 4 fatal.
    pub log_severity_level: Option<i32>,
    /// Verbose logging's level.
    pub log_verbosity_level: Option<i32>,
    /// True asks for the same bits every time.
    pub use_deterministic_compute: Option<bool>,
    /// Free key-value entries. These win over what Headway would set itself.
    pub config_entries: Vec<(String, String)>,
    /// Fixes a symbolic dimension by its name.
    pub free_dimensions_by_name: Vec<(String, i64)>,
    /// Fixes a symbolic dimension by its denotation.
    pub free_dimensions_by_denotation: Vec<(String, i64)>,
    /// Libraries of custom operators.
    pub custom_op_libraries: Vec<PathBuf>,
    /// Whose threads run operators.
    pub threads: ThreadChoice,
    /// Tensors that take the place of the model's initializers of these names.
    pub initializers: Vec<(String, Tensor)>,
    /// Tensors that take the place of initializers whose data the model keeps in other files.
    pub external_initializers: Vec<(String, Tensor)>,
    /// Contents of the model's other files.
    pub external_files: Vec<ExternalFile>,
    /// Providers on devices of their own.
    pub device_providers: Vec<DeviceProvider>,
    /// 0 default, 1 CPU, 2 NPU, 3 GPU preferred, 4 performance, 5 efficiency, 6 least power.
    pub selection_policy: Option<i32>,
    /// Stops the load.
    pub load_flag: Option<LoadFlag>,
    /// Free memory that each lane may keep between runs; `None` is 256 MiB.
    pub lane_cache_bytes: Option<usize>,
}

/// The engine's options object.
pub(super) struct Options {
    runtime: &'static Runtime,
    pub(super) raw: *mut OrtSessionOptions,
    pub(super) threads: Threads,
    loading: Option<Loading>,
}

impl Options {
    pub(super) fn new(runtime: &'static Runtime, config: &SessionConfig) -> Result<Options, Error> {
        let mut raw = ptr::null_mut();
        // SAFETY: an out parameter.
        runtime.api.check(unsafe { (runtime.api.create_session_options)(&mut raw) }, ErrorKind::Load)?;
        let threads = Threads { intra_op: 0, shared: false };
        let mut options = Options { runtime, raw, threads, loading: None };
        options.loading = config.load_flag.as_ref().map(|flag| flag.enter(runtime, raw)).transpose()?;
        options.threads = options.set_threads(config)?;
        options.set_execution(config)?;
        options.set_logging(config)?;
        options.set_files(config)?;
        options.set_entries(config)?;
        options.set_dimensions(config)?;
        Ok(options)
    }

    /// Refuses a model whose loading was to stop.
    pub(super) fn check_canceled(&self) -> Result<(), Error> {
        self.loading.as_ref().map_or(Ok(()), Loading::check)
    }

    /// Refuses what would need the model's bytes after loading.
    pub(super) fn refuse_kept_bytes(config: &SessionConfig) -> Result<(), Error> {
        let kept = config
            .config_entries
            .iter()
            .find(|(key, value)| KEEPS_BYTES.contains(&key.as_str()) && value != "0");
        kept.map_or(Ok(()), |(key, _)| {
            let text =
                format!("{key} needs the model's bytes after loading: give the model as a file instead");
            Err(Error::new(ErrorKind::Load, text))
        })
    }

    pub(super) fn check(&self, status: Status) -> Result<(), Error> {
        self.runtime.api.check(status, ErrorKind::Load)
    }

    fn set_threads(&self, config: &SessionConfig) -> Result<Threads, Error> {
        let api = &self.runtime.api;
        let wanted = config.intra_op_num_threads.unwrap_or(0);
        let intra_op = usize::try_from(wanted).unwrap_or(0);
        let pool = self.runtime.environment()?.shared_threads();
        let shared = pool.filter(|&size| match config.threads {
            ThreadChoice::Own => false,
            // One thread is the lane itself: that needs no pool.
            ThreadChoice::SharedIfEqual => size == intra_op && intra_op > 1,
            ThreadChoice::Shared => true,
        });
        if let Some(size) = shared {
            // SAFETY: `raw` lives as long as `self`.
            self.check(unsafe { (api.disable_per_session_threads)(self.raw) })?;
            return Ok(Threads { intra_op: size, shared: true });
        }
        if config.intra_op_num_threads.is_some() {
            // SAFETY: as above.
            self.check(unsafe { (api.set_intra_op_threads)(self.raw, wanted) })?;
        }
        if let Some(threads) = config.inter_op_num_threads {
            // SAFETY: as above.
            self.check(unsafe { (api.set_inter_op_threads)(self.raw, threads) })?;
        }
        Ok(Threads { intra_op, shared: false })
    }

    fn set_execution(&self, config: &SessionConfig) -> Result<(), Error> {
        let api = &self.runtime.api;
        if let Some(mode) = config.execution_mode {
            // SAFETY: `raw` lives as long as `self`.
            self.check(unsafe { (api.set_execution_mode)(self.raw, mode) })?;
        }
        if let Some(level) = config.graph_optimization_level {
            // SAFETY: as above.
            self.check(unsafe { (api.set_optimization_level)(self.raw, level) })?;
        }
        if config.enable_cpu_mem_arena == Some(false) {
            // SAFETY: as above.
            self.check(unsafe { (api.disable_cpu_mem_arena)(self.raw) })?;
        }
        if config.enable_mem_pattern == Some(false) {
            // SAFETY: as above.
            self.check(unsafe { (api.disable_mem_pattern)(self.raw) })?;
        }
        if let Some(deterministic) = config.use_deterministic_compute {
            // SAFETY: as above.
            self.check(unsafe { (api.set_deterministic)(self.raw, deterministic) })?;
        }
        Ok(())
    }

    fn set_logging(&self, config: &SessionConfig) -> Result<(), Error> {
        let api = &self.runtime.api;
        if let Some(id) = &config.logid {
            let id = c_string(id, ErrorKind::Load)?;
            // SAFETY: `raw` lives as long as `self`; the engine copies the string.
            self.check(unsafe { (api.set_session_log_id)(self.raw, id.as_ptr()) })?;
        }
        if let Some(level) = config.log_severity_level {
            // SAFETY: as above.
            self.check(unsafe { (api.set_session_log_severity)(self.raw, level) })?;
        }
        if let Some(level) = config.log_verbosity_level {
            // SAFETY: as above.
            self.check(unsafe { (api.set_session_log_verbosity)(self.raw, level) })?;
        }
        Ok(())
    }

    fn set_files(&self, config: &SessionConfig) -> Result<(), Error> {
        let api = &self.runtime.api;
        if let Some(path) = &config.optimized_model_filepath {
            // SAFETY: `raw` lives as long as `self`; the engine copies the path.
            self.check(unsafe { (api.set_optimized_model_path)(self.raw, OsText::new(path).as_ptr()) })?;
        }
        if let Some(prefix) = &config.profile_file_prefix {
            // SAFETY: as above.
            self.check(unsafe { (api.enable_profiling)(self.raw, OsText::new(prefix).as_ptr()) })?;
        }
        for path in &config.custom_op_libraries {
            // SAFETY: as above; the engine opens the library and keeps it.
            self.check(unsafe { (api.register_custom_ops)(self.raw, OsText::new(path).as_ptr()) })?;
        }
        Ok(())
    }

    fn set_entries(&self, config: &SessionConfig) -> Result<(), Error> {
        self.set_entry(USE_ENV_ALLOCATORS, "1")?;
        // Later entries replace earlier ones: the caller's word is the last.
        config.config_entries.iter().try_for_each(|(key, value)| self.set_entry(key, value))
    }

    fn set_entry(&self, key: &str, value: &str) -> Result<(), Error> {
        let (key, value) = (c_string(key, ErrorKind::Load)?, c_string(value, ErrorKind::Load)?);
        // SAFETY: `raw` lives as long as `self`; the engine copies both strings.
        self.check(unsafe { (self.runtime.api.add_session_config)(self.raw, key.as_ptr(), value.as_ptr()) })
    }

    fn set_dimensions(&self, config: &SessionConfig) -> Result<(), Error> {
        let api = &self.runtime.api;
        for (name, size) in &config.free_dimensions_by_name {
            let name = c_string(name, ErrorKind::Load)?;
            // SAFETY: `raw` lives as long as `self`; the engine copies the name.
            self.check(unsafe { (api.set_free_dimension_by_name)(self.raw, name.as_ptr(), *size) })?;
        }
        for (denotation, size) in &config.free_dimensions_by_denotation {
            let denotation = c_string(denotation, ErrorKind::Load)?;
            // SAFETY: as above.
            self.check(unsafe {
                (api.set_free_dimension_by_denotation)(self.raw, denotation.as_ptr(), *size)
            })?;
        }
        Ok(())
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // Before the options go: the flag may be set at any moment.
        self.loading = None;
        // SAFETY: made in `new`, released once.
        unsafe { (self.runtime.api.release_session_options)(self.raw) };
    }
}
