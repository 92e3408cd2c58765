//! Finding the library. In a process of its own, because a process loads one library once: a single test, in order.

mod support;

use std::path::PathBuf;

use headway_core::error::ErrorKind;
use headway_engines::ort::{LIBRARY_VARIABLE, LibrarySource, Runtime};

fn refused(explicit: Option<PathBuf>, candidates: Vec<PathBuf>) -> String {
    let error =
        Runtime::get(&LibrarySource { explicit, candidates }).err().expect("none of these is the library");
    assert_eq!(error.kind, ErrorKind::Load);
    error.message
}

/// Some library that every process on this system has loaded.
#[cfg(target_os = "linux")]
fn other_library() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libc =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libc.so"));
    PathBuf::from(libc.expect("Linux with glibc"))
}

#[test]
fn the_first_usable_library_is_loaded_and_refusals_name_their_reasons() {
    let real = match std::env::var_os(LIBRARY_VARIABLE) {
        Some(path) => vec![PathBuf::from(path)],
        None => support::candidates(),
    };
    // SAFETY: the only test of this process, and no other thread reads the environment.
    unsafe { std::env::remove_var(LIBRARY_VARIABLE) };
    let (missing, no_library) = (PathBuf::from("nowhere/libonnxruntime.so"), support::model("mul"));

    let text = refused(None, vec![missing.clone(), no_library.clone(), env!("CARGO_MANIFEST_DIR").into()]);
    for part in
        ["nowhere/libonnxruntime.so: no such file", "mul.onnx: ", ": not a file", "pip install onnxruntime"]
    {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(refused(None, Vec::new()).contains("no installed package brings its library"));
    #[cfg(target_os = "linux")]
    assert!(refused(None, vec![other_library()]).contains("no OrtGetApiBase"));
    let text = refused(Some(missing.clone()), real.clone());
    assert!(
        text.contains("no such file") && !text.contains("capi"),
        "an explicit path is the only one: {text}"
    );
    // SAFETY: as above.
    unsafe { std::env::set_var(LIBRARY_VARIABLE, &missing) };
    assert!(refused(None, real.clone()).contains("nowhere"));
    // SAFETY: as above.
    unsafe { std::env::set_var(LIBRARY_VARIABLE, "") };

    let candidates = [vec![missing.clone(), no_library], real].concat();
    let loaded = Runtime::get(&LibrarySource { explicit: None, candidates: candidates.clone() })
        .expect("it loads now");
    assert!(loaded.version().starts_with("1."));
    assert!(loaded.available_providers().expect("a list").contains(&"CPUExecutionProvider".to_owned()));

    let again = LibrarySource { explicit: Some(loaded.path().to_path_buf()), candidates: Vec::new() };
    assert!(Runtime::get(&again).is_ok(), "the same file is the same library");
    assert!(Runtime::get(&LibrarySource::default()).is_ok(), "nothing asked for: the loaded one");
    assert!(refused(Some(missing), candidates).contains("already loaded from"));
}
