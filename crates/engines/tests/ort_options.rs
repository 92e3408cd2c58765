//! Options reach the engine: each is set, and its effect is seen.

mod support;

use std::path::PathBuf;
use std::sync::Mutex;

use headway_core::engine::{Dim, Engine, ValueType};
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_core::value::Value;
use headway_engines::ort::{
    LoadFlag, LoadOptions, LogLine, ModelSource, OrtEngine, RunConfig, RunFlag, SessionConfig, ThreadChoice,
    Threads, drain_log, log_waiting, set_shared_pool_sizes, set_thread_budget, thread_budget,
};
use support::*;

/// The log is one for the process: tests that read it take turns.
static LOG: Mutex<()> = Mutex::new(());

fn load_with(name: &str, config: SessionConfig) -> OrtEngine {
    let options = LoadOptions::new(source(), ModelSource::Path(model(name)));
    OrtEngine::load(LoadOptions { config, ..options }).expect("the model loads")
}

fn check_mul(engine: &OrtEngine) {
    let values = run_once(engine, [floats(&[1, 3], &[1.0, 2.0, 3.0]), floats(&[1, 3], &[2.0; 3])]);
    assert_eq!(floats_of(&values[0]), [2.0, 4.0, 6.0]);
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the folder goes");
    }
}

#[test]
fn threads_and_execution() {
    let config = SessionConfig {
        intra_op_num_threads: Some(2),
        inter_op_num_threads: Some(2),
        execution_mode: Some(1),
        graph_optimization_level: Some(0),
        enable_cpu_mem_arena: Some(false),
        enable_mem_pattern: Some(false),
        use_deterministic_compute: Some(true),
        ..SessionConfig::default()
    };
    check_mul(&load_with("mul", config.clone()));
    // Side by side, operators run on the engine's own threads, which take memory from the shared pool.
    let three = load_with("three", config);
    for _ in 0..50 {
        let values = run_once(&three, [floats(&[2], &[3.0, 4.0])]);
        let all: Vec<_> = values.iter().map(floats_of).collect();
        assert_eq!(all, [[6.0, 8.0], [9.0, 16.0], [-3.0, -4.0]]);
    }
}

#[test]
fn free_dimensions_are_fixed_by_name() {
    let config = SessionConfig {
        free_dimensions_by_name: vec![("N".into(), 4)],
        free_dimensions_by_denotation: vec![("DATA_BATCH".into(), 4)],
        ..SessionConfig::default()
    };
    let engine = load_with("mul", config);
    let fixed = ValueType::Tensor(headway_core::value::DType::F32, Some(vec![Dim::Fixed(4), Dim::Fixed(3)]));
    assert_eq!(engine.info().inputs[0].kind, fixed);
}

#[test]
fn files_are_written_where_they_were_asked_for() {
    let folder = Folder::new("files");
    let optimized = folder.0.join("optimized.onnx");
    let config = SessionConfig {
        optimized_model_filepath: Some(optimized.clone()),
        profile_file_prefix: Some(folder.0.join("profile")),
        ..SessionConfig::default()
    };
    let engine = load_with("mul", config);
    check_mul(&engine);
    assert!(engine.profiling_start_ns().expect("a time") > 0);
    let profile = PathBuf::from(engine.end_profiling().expect("a name"));
    assert!(profile.starts_with(&folder.0), "{profile:?}");
    assert!(std::fs::read_to_string(profile).expect("the profile").contains("Mul"));
    assert!(optimized.is_file());
    assert_eq!(load("mul").end_profiling().expect("profiling is off"), "");
}

#[test]
fn the_engines_words_end_up_in_the_ring() {
    let _turn = LOG.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    drain_log();
    let quiet = SessionConfig { log_severity_level: Some(4), ..SessionConfig::default() };
    check_mul(&load_with("mul", quiet));
    let talkative = SessionConfig {
        logid: Some("loud".into()),
        log_severity_level: Some(0),
        log_verbosity_level: Some(1),
        ..SessionConfig::default()
    };
    let engine = load_with("mul", talkative);
    assert!(log_waiting());
    let lines = drain_log();
    assert!(lines.iter().any(|line| line.category.starts_with("loud:")), "{lines:?}");
    assert!(lines.iter().all(|line| (0..=4).contains(&line.severity) && !line.message.is_empty()));

    let options = RunConfig {
        log_severity_level: Some(0),
        log_verbosity_level: Some(1),
        logid: Some("run-tag".into()),
        config_entries: vec![("memory.enable_memory_arena_shrinkage".into(), "cpu:0".into())],
        ..RunConfig::default()
    };
    let mut lane = engine.open_lane(0).expect("a lane");
    let mut jobs = [job([floats(&[1, 3], &[0.0; 3]), floats(&[1, 3], &[0.0; 3])], Wanted::All)];
    jobs[0].options = Some(engine.run_options(&options).expect("run options"));
    lane.run(&mut jobs);
    assert!(jobs[0].result.as_ref().is_some_and(Result::is_ok), "{:?}", jobs[0].result);
    let tagged = |line: &LogLine| line.message.contains("run-tag");
    let lines = drain_log();
    assert!(lines.iter().any(tagged), "{lines:?}");
    assert!(engine.run_options(&RunConfig { logid: Some("a\0b".into()), ..RunConfig::default() }).is_err());
}

#[test]
fn the_callers_entries_win() {
    // With the engine's own allocator an output is not one of Headway's blocks to begin with: it is copied.
    let config = SessionConfig {
        config_entries: vec![
            ("session.use_env_allocators".into(), "0".into()),
            ("some.unknown.key".into(), "accepted".into()),
        ],
        ..SessionConfig::default()
    };
    check_mul(&load_with("mul", config));
}

#[test]
fn providers_with_a_general_form_are_appended() {
    let engine = load("mul");
    let available = engine.runtime().available_providers().expect("a list");
    for name in available.iter().filter(|name| name.starts_with("Azure") || name.starts_with("Xnnpack")) {
        let options = LoadOptions::new(source(), ModelSource::Path(model("mul")));
        let providers = vec![(name.clone(), Vec::new()), ("CPUExecutionProvider".into(), Vec::new())];
        check_mul(&OrtEngine::load(LoadOptions { providers, ..options }).expect("the provider is there"));
    }
}

#[test]
fn the_shared_pool_is_for_sessions_of_its_size() {
    // Whatever size it has: another test may have made the environment.
    let shared = SessionConfig { threads: ThreadChoice::Shared, ..SessionConfig::default() };
    let engine = load_with("mul", shared);
    check_mul(&engine);
    let size = engine.threads().intra_op;
    assert_eq!(engine.threads(), Threads { intra_op: size, shared: true });
    for (intra_op, choice, expected) in [
        (size, ThreadChoice::SharedIfEqual, size > 1),
        (size + 1, ThreadChoice::SharedIfEqual, false),
        (1, ThreadChoice::SharedIfEqual, false),
        (size, ThreadChoice::Own, false),
    ] {
        let intra_op_num_threads = Some(i32::try_from(intra_op).expect("a small number"));
        let config = SessionConfig { intra_op_num_threads, threads: choice, ..SessionConfig::default() };
        let engine = load_with("mul", config);
        assert_eq!(engine.threads(), Threads { intra_op, shared: expected });
        check_mul(&engine);
    }
    let error = set_shared_pool_sizes(2, 1).expect_err("the pool is there");
    assert_eq!((error.kind, error.code), (ErrorKind::Engine, Some(1)));
    assert!(error.message.contains("Global thread pools have already been created"), "{error}");
}

#[test]
fn the_budget_is_the_usable_cores_unless_it_is_set() {
    let usable = thread_budget();
    set_thread_budget(Some(usable + 3));
    assert_eq!(thread_budget(), usable + 3);
    set_thread_budget(None);
    assert_eq!(thread_budget(), usable);
}

#[test]
fn a_callers_flag_reaches_its_requests_and_no_others() {
    let engine = load("mul");
    let mut lane = engine.open_lane(0).expect("a lane");
    let flag = RunFlag::default();
    let options = |flag: &RunFlag| {
        let config = RunConfig { flag: Some(flag.clone()), ..RunConfig::default() };
        engine.run_options(&config).expect("run options")
    };
    let mut run = |options| {
        let mut jobs = [job([floats(&[1, 3], &[1.0; 3]), floats(&[1, 3], &[2.0; 3])], Wanted::All)];
        jobs[0].options = Some(options);
        lane.run(&mut jobs);
        jobs[0].result.take().expect("a result")
    };
    let (before, other) = (options(&flag), options(&RunFlag::default()));
    flag.set(true);
    for options in [before.clone(), options(&flag)] {
        let error = run(options).expect_err("terminated");
        assert_eq!((error.kind, error.code), (ErrorKind::Engine, Some(1)));
        assert!(error.message.ends_with("Exiting due to terminate flag being set to true."), "{error}");
    }
    assert!(run(other).is_ok());
    flag.set(false);
    assert!(run(before.clone()).is_ok());
    // What the flow asked for is not taken back by the caller's flag, nor the other way round.
    before.terminate();
    flag.set(true);
    flag.set(false);
    assert!(run(before.clone()).is_err());
    flag.set(true);
    before.reset();
    assert!(run(before.clone()).is_err());
    flag.set(false);
    assert!(run(before).is_ok());
}

#[test]
fn a_load_is_canceled_by_its_flag() {
    let flag = LoadFlag::default();
    let config = || SessionConfig { load_flag: Some(flag.clone()), ..SessionConfig::default() };
    flag.set(true).expect("set");
    let options = LoadOptions::new(source(), ModelSource::Path(model("mul")));
    let refused = OrtEngine::load(LoadOptions { config: config(), ..options });
    let error = refused.err().expect("canceled");
    assert_eq!((error.kind, error.code), (ErrorKind::Load, Some(12)));
    flag.set(false).expect("set");
    check_mul(&load_with("mul", config()));
}

#[test]
fn a_session_keeps_the_initializers_it_was_given() {
    let value = |values: &[f32]| match floats(&[values.len() as i64], values) {
        Value::Tensor(tensor) => tensor,
        other => panic!("expected a tensor, got {other:?}"),
    };
    let unknown =
        SessionConfig { initializers: vec![("nobody".into(), value(&[1.0]))], ..SessionConfig::default() };
    // One that the model does not have changes nothing.
    check_mul(&load_with("mul", unknown));
}

#[test]
fn devices_are_listed_and_refused_when_they_are_gone() {
    let engine = load("mul");
    let devices = engine.runtime().ep_devices().expect("a list");
    assert!(devices.iter().any(|device| device.name == "CPUExecutionProvider"), "{devices:?}");
    let chosen = |handle| {
        let device_providers = vec![(vec![handle], Vec::new())];
        SessionConfig { device_providers, ..SessionConfig::default() }
    };
    check_mul(&load_with("mul", chosen(devices[0].handle)));
    let options = LoadOptions::new(source(), ModelSource::Path(model("mul")));
    let error = OrtEngine::load(LoadOptions { config: chosen(64), ..options }).err().expect("refused");
    assert!(error.message.contains("not there any more"), "{error}");
}
