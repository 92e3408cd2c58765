//! Finds ONNX Runtime's library for tests, and the models beside this file.

use std::path::PathBuf;
use std::process::Command;

const WHEEL: &str = "import importlib.util as u, glob, os; s = u.find_spec('onnxruntime'); \
    print('\\n'.join(glob.glob(os.path.join(s.submodule_search_locations[0], 'capi', 'libonnxruntime*'))) if s else '')";

/// The library's candidates: nothing when the environment variable names it, else the wheel's files.
pub(crate) fn candidates() -> Vec<PathBuf> {
    if std::env::var_os("HEADWAY_ONNXRUNTIME_LIBRARY").is_some() {
        return Vec::new();
    }
    let python = std::env::var("HEADWAY_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(&python).args(["-c", WHEEL]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let main = |path: &PathBuf| !path.to_string_lossy().contains("providers");
    let paths: Vec<_> =
        text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).filter(main).collect();
    assert!(
        !paths.is_empty(),
        "no ONNX Runtime for the tests: set HEADWAY_ONNXRUNTIME_LIBRARY to its library file, or HEADWAY_PYTHON to an \
         interpreter that has the onnxruntime package ({python} has not)"
    );
    paths
}

/// A model that `make_models.py` wrote.
pub(crate) fn model(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(format!("{name}.onnx"))
}
