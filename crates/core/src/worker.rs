//! The loop of a native worker thread.

use crate::runtime::Shared;
use crate::sync::Arc;

/// What a worker thread does until its lane is closed. It never enters Python (invariant 2).
pub(crate) fn work(shared: &Arc<Shared>, lane: usize) {
    let mut finished = None;
    while let Some(mut work) = shared.step(lane, finished.take()) {
        work.run();
        finished = Some(work);
    }
}
