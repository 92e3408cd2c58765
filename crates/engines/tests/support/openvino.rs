//! Models on OpenVINO for tests.

use headway_engines::openvino::{LoadOptions, ModelSource, OpenVinoEngine};

use super::model;
pub(crate) use super::openvino_library::candidates;

/// Loads a model on the CPU device, with OpenVINO's defaults.
pub(crate) fn load(name: &str) -> OpenVinoEngine {
    let options = LoadOptions::new(candidates(), ModelSource::Path(model(name)));
    OpenVinoEngine::load(options).expect("the model loads")
}
