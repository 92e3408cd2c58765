//! Finds OpenVINO's C library for tests.

use std::path::PathBuf;
use std::process::Command;

const WHEEL: &str = "import importlib.util as u, glob, os; s = u.find_spec('openvino'); \
    print('\\n'.join(glob.glob(os.path.join(s.submodule_search_locations[0], 'libs', '*openvino_c*'))) if s else '')";

/// The library's candidates: nothing when the environment variable names it, else the wheel's file.
pub(crate) fn candidates() -> Vec<PathBuf> {
    if std::env::var_os("HEADWAY_OPENVINO_LIBRARY").is_some() {
        return Vec::new();
    }
    let python = std::env::var("HEADWAY_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(&python).args(["-c", WHEEL]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let paths: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect();
    assert!(
        !paths.is_empty(),
        "no OpenVINO for the tests: set HEADWAY_OPENVINO_LIBRARY to its C library, or HEADWAY_PYTHON to an interpreter \
         that has the openvino package ({python} has not)"
    );
    paths
}
