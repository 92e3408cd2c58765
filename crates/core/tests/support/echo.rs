//! An engine for tests.

use std::sync::Arc;

use headway_core::engine::{Control, Engine, Job, Lane, ModelInfo};
use headway_core::error::Error;

use super::{asked, values};

/// Answers every request with its own number; panics on 13.
#[derive(Default)]
pub struct Echo(ModelInfo);
struct EchoLane;

impl Engine for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }
    fn info(&self) -> &ModelInfo {
        &self.0
    }
    fn open_lane(&self, _: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(EchoLane))
    }
    fn can_cancel(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Lane for EchoLane {
    fn run(&mut self, jobs: &mut [Job]) {
        for job in jobs {
            assert_ne!(asked(&job.inputs), 13, "the engine breaks");
            job.result = Some(Ok(values(asked(&job.inputs))));
        }
    }
    fn control(&self) -> Option<Arc<dyn Control>> {
        None
    }
}
