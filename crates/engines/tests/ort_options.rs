//! Options reach the engine: each is set, and its effect is seen.

mod support;

use std::path::PathBuf;
use std::sync::Mutex;

use headway_core::engine::{Dim, Engine, ValueType};
use headway_core::request::Wanted;
use headway_engines::ort::{LoadOptions, drain_log, log_waiting};
use headway_engines::ort::{LogLine, ModelSource, OrtEngine, RunConfig, SessionConfig};
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
        config_entries: vec![("memory.enable_memory_arena_shrinkage".into(), "".into())],
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
