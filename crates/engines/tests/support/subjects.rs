//! The engines that the conformance suite is asked of. A new engine is one more [`Subject`] in [`subjects`].

use std::sync::Arc;

use headway_core::engine::{Control, Engine};
use headway_engines::fake::{FakeConfig, FakeEngine};
use headway_engines::ort::OrtEngine;

use super::{load, openvino, rknn};

/// What a request says that its terminate flag ended.
pub(crate) struct Terminated {
    /// The engine's code, where it is the engine that says so.
    pub(crate) code: Option<i32>,
    /// Words of its message.
    pub(crate) words: &'static str,
}

/// An engine that can run small models of floats.
pub(crate) trait Subject {
    /// What tells it from the others.
    fn name(&self) -> &'static str;

    /// A model of one float input and one output that equals it.
    fn echo(&self) -> Box<dyn Engine>;

    /// Shapes that the echo takes; tests go through them in turn. The default is for a model of any length.
    fn shapes(&self) -> Vec<Vec<i64>> {
        (1..=40).map(|len| vec![len]).collect()
    }

    /// A model that multiplies two inputs of shape [1, 3] and refuses any other; `None` where the engine has no shapes.
    fn product(&self) -> Option<Box<dyn Engine>>;

    /// Run options of one request; `None` where the engine has none.
    fn run_options(&self, _engine: &dyn Engine) -> Option<Arc<dyn Control>> {
        None
    }

    /// How a terminated request ends; `None` where requests cannot be stopped.
    fn terminated(&self) -> Option<Terminated>;
}

/// Every engine, on threads and in processes.
pub(crate) fn subjects() -> Vec<Box<dyn Subject>> {
    let mut all = in_this_process();
    #[cfg(target_os = "linux")]
    all.extend(
        in_this_process().into_iter().map(|one| Box::new(super::isolated::Isolated(one)) as Box<dyn Subject>),
    );
    all
}

/// Every engine on threads.
pub(crate) fn in_this_process() -> Vec<Box<dyn Subject>> {
    let mut all: Vec<Box<dyn Subject>> = vec![Box::new(Fake), Box::new(OnnxRuntime), Box::new(OpenVino)];
    if cfg!(target_os = "linux") {
        all.push(Box::new(Rknn { zero_copy: false }));
        all.push(Box::new(Rknn { zero_copy: true }));
    }
    all
}

struct Fake;

impl Subject for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn echo(&self) -> Box<dyn Engine> {
        Box::new(FakeEngine::new(FakeConfig::default()))
    }

    fn product(&self) -> Option<Box<dyn Engine>> {
        None
    }

    fn run_options(&self, engine: &dyn Engine) -> Option<Arc<dyn Control>> {
        Some(engine.as_any().downcast_ref::<FakeEngine>()?.run_options())
    }

    fn terminated(&self) -> Option<Terminated> {
        Some(Terminated { code: Some(1), words: "terminate flag" })
    }
}

struct OnnxRuntime;

impl Subject for OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn echo(&self) -> Box<dyn Engine> {
        Box::new(load("identity_float"))
    }

    fn product(&self) -> Option<Box<dyn Engine>> {
        Some(Box::new(load("mul")))
    }

    fn run_options(&self, engine: &dyn Engine) -> Option<Arc<dyn Control>> {
        let engine = engine.as_any().downcast_ref::<OrtEngine>()?;
        Some(engine.run_options(&Default::default()).expect("run options"))
    }

    fn terminated(&self) -> Option<Terminated> {
        Some(Terminated { code: Some(1), words: "terminate flag" })
    }
}

struct OpenVino;

impl Subject for OpenVino {
    fn name(&self) -> &'static str {
        "openvino"
    }

    fn echo(&self) -> Box<dyn Engine> {
        Box::new(openvino::load("identity_float"))
    }

    fn product(&self) -> Option<Box<dyn Engine>> {
        Some(Box::new(openvino::load("mul")))
    }

    fn terminated(&self) -> Option<Terminated> {
        Some(Terminated { code: Some(-13), words: "the request was cancelled" })
    }
}

/// On the stand-in, through the runtime's copies or through bound memory.
struct Rknn {
    zero_copy: bool,
}

impl Subject for Rknn {
    fn name(&self) -> &'static str {
        if self.zero_copy { "rknn zero copy" } else { "rknn" }
    }

    fn echo(&self) -> Box<dyn Engine> {
        Box::new(rknn::load("identity", &["x"], &self.shapes(), self.zero_copy))
    }

    /// Such a model lists its shapes.
    fn shapes(&self) -> Vec<Vec<i64>> {
        (1..=12).map(|length| vec![1, length]).collect()
    }

    fn product(&self) -> Option<Box<dyn Engine>> {
        Some(Box::new(rknn::load("mul", &["a", "b"], &[vec![1, 3]], self.zero_copy)))
    }

    fn terminated(&self) -> Option<Terminated> {
        None
    }
}
