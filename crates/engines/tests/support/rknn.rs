//! The stand-in for `librknnrt.so`, and models for it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use headway_engines::rknn::{LanePlace, RknnEngine, RknnOptions, RknnSource};

/// Names the stand-in's file for a process that is not to build it.
pub(crate) const STANDIN: &str = "HEADWAY_TEST_STANDIN";

/// The stand-in's file, built from its crate.
pub(crate) fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(built) = std::env::var_os(STANDIN) {
                return PathBuf::from(built);
            }
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let arguments = ["build", "--quiet", "-p", "headway-rknn-standin", "--message-format=json"];
            let built = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
            let built = built.expect("cargo runs");
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            let said = String::from_utf8_lossy(&built.stdout);
            let mut files = said.split('"').filter(|word| word.ends_with("librknn_standin.so"));
            files.next().map(PathBuf::from).expect("cargo says what it built")
        })
        .clone()
}

/// A stand-in model of float tensors without an order of dimensions, and of listed shapes.
fn model(op: &str, inputs: &[&str], output: &str, shapes: &[Vec<i64>]) -> Vec<u8> {
    let tensor = |name: &str| {
        format!(r#"{{"name": "{name}", "dims": {:?}, "fmt": "UNDEFINED", "kind": "float32"}}"#, shapes[0])
    };
    let list = |dims: &Vec<i64>| {
        let all = vec![dims.clone(); inputs.len()];
        format!(r#"{{"inputs": {all:?}, "outputs": [{dims:?}]}}"#)
    };
    let sets: Vec<_> = if shapes.len() > 1 { shapes.iter().map(list).collect() } else { Vec::new() };
    let fed: Vec<_> = inputs.iter().map(|name| tensor(name)).collect();
    let json = format!(
        r#"{{"standin": {{"op": "{op}", "inputs": [{}], "outputs": [{}], "shapes": [{}]}}}}"#,
        fed.join(", "),
        tensor(output),
        sets.join(", ")
    );
    let mut file = b"RKNN\0\0\0\0".to_vec();
    file.extend(6_u64.to_le_bytes());
    file.extend([0; 48]);
    file.extend((json.len() as u64).to_le_bytes());
    file.extend(json.bytes());
    file
}

/// An engine on the stand-in with three lanes.
pub(crate) fn load(op: &str, inputs: &[&str], shapes: &[Vec<i64>], zero_copy: bool) -> RknnEngine {
    let place = |core: i32| LanePlace { mask: Some(1 << core), name: format!("core {core}") };
    let options = RknnOptions {
        library: Some(library()),
        lanes: (0..3).map(place).collect(),
        zero_copy,
        ..RknnOptions::default()
    };
    RknnEngine::load(RknnSource::Bytes(&model(op, inputs, "y", shapes)), &options).expect("the model loads")
}
