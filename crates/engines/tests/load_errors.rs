//! What happens when something cannot be loaded.

mod support;

use headway_core::error::{Error, ErrorKind};
use headway_engines::ort::{LoadOptions, ModelSource, OrtEngine, Runtime, SessionConfig};
use support::{model, source};

fn load(model: ModelSource<'_>) -> Error {
    OrtEngine::load(LoadOptions::new(source(), model)).err().expect("it does not load")
}

#[test]
fn missing_and_broken_models_keep_the_engines_words() {
    let error = load(ModelSource::Path("nowhere.onnx".into()));
    assert_eq!((error.kind, error.code), (ErrorKind::Load, Some(3)));
    assert_eq!(
        error.message,
        "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from nowhere.onnx failed:Load model nowhere.onnx failed. \
         File doesn't exist"
    );
    let error = load(ModelSource::Bytes(b"this is no model"));
    assert_eq!((error.kind, error.code), (ErrorKind::Load, Some(7)));
    assert!(error.message.starts_with("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : "), "{error}");
    let error = load(ModelSource::Bytes(b""));
    assert_eq!((error.kind, error.code), (ErrorKind::Load, Some(2)));
    let error = load(ModelSource::Path(env!("CARGO_MANIFEST_DIR").into()));
    assert_eq!(error.kind, ErrorKind::Load);
}

#[test]
fn options_that_cannot_be_are_refused() {
    let with = |config: SessionConfig, bytes: bool| {
        let file = std::fs::read(model("mul")).expect("the model file");
        let source_of = if bytes { ModelSource::Bytes(&file) } else { ModelSource::Path(model("mul")) };
        OrtEngine::load(LoadOptions { config, ..LoadOptions::new(source(), source_of) })
    };
    let entry = |key: &str, value: &str| SessionConfig {
        config_entries: vec![(key.into(), value.into())],
        ..SessionConfig::default()
    };
    let kept = "session.use_ort_model_bytes_directly";
    let error = with(entry(kept, "1"), true).err().expect("bytes are not kept");
    assert!(error.message.contains(kept), "{error}");
    assert!(with(entry(kept, "1"), false).is_ok());
    assert_eq!(with(entry("a\0b", "1"), false).err().expect("a NUL").kind, ErrorKind::Load);
    let library =
        SessionConfig { custom_op_libraries: vec!["nowhere/ops.so".into()], ..SessionConfig::default() };
    let error = with(library, false).err().expect("no such library");
    assert!(error.kind == ErrorKind::Load && error.message.contains("nowhere/ops.so"), "{error}");
}

#[test]
fn providers_that_the_library_lacks_are_refused() {
    for name in ["CUDAExecutionProvider", "TensorrtExecutionProvider", "NoSuchExecutionProvider"] {
        let mut options = LoadOptions::new(source(), ModelSource::Path(model("mul")));
        options.providers = vec![(name.into(), vec![("device_id".into(), "0".into())])];
        let available = Runtime::get(&source()).expect("loaded").available_providers().expect("a list");
        let result = OrtEngine::load(options);
        assert!(
            available.iter().any(|known| known == name) || result.is_err_and(|e| e.kind == ErrorKind::Load),
            "{name}"
        );
    }
    let mut options = LoadOptions::new(source(), ModelSource::Path(model("mul")));
    options.providers = vec![("CPUExecutionProvider".into(), Vec::new())];
    assert!(OrtEngine::load(options).is_ok());
}
