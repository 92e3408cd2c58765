//! What a session says of itself: inputs, outputs, metadata, numbers.

use std::time::Duration;

use headway_core::batch::Reason;
use headway_core::engine::{Dim, ModelInfo, NodeInfo, ValueType};
use headway_core::error::DropReason;
use headway_core::metrics::{Counters, Summary};
use headway_core::request::StreamKey;
use headway_core::state::BatchStats;
use headway_core::stats::Stats;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::Core;

/// `(name, type, shape)` as ONNX Runtime's `NodeArg` has them.
fn node<'py>(py: Python<'py>, node: &NodeInfo) -> PyResult<Bound<'py, PyAny>> {
    let shape = PyList::empty(py);
    let kind = match &node.kind {
        ValueType::Tensor(dtype, dims) => {
            for dim in dims.iter().flatten() {
                match dim {
                    Dim::Fixed(length) => shape.append(length)?,
                    Dim::Named(name) => shape.append(name)?,
                    Dim::Any => shape.append(py.None())?,
                }
            }
            format!("tensor({})", dtype.as_str())
        }
        ValueType::Other(text) => text.clone(),
    };
    Ok((&node.name, kind, shape).into_pyobject(py)?.into_any())
}

fn nodes<'py>(py: Python<'py>, list: &[NodeInfo]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, list.iter().map(|one| node(py, one)).collect::<PyResult<Vec<_>>>()?)
}

/// The model's face as a dict.
pub(crate) fn info<'py>(py: Python<'py>, info: &ModelInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("inputs", nodes(py, &info.inputs)?)?;
    dict.set_item("outputs", nodes(py, &info.outputs)?)?;
    dict.set_item("initializers", nodes(py, &info.initializers)?)?;
    let meta = PyDict::new(py);
    meta.set_item("producer_name", &info.meta.producer_name)?;
    meta.set_item("graph_name", &info.meta.graph_name)?;
    meta.set_item("graph_description", &info.meta.graph_description)?;
    meta.set_item("domain", &info.meta.domain)?;
    meta.set_item("description", &info.meta.description)?;
    meta.set_item("version", info.meta.version)?;
    let custom = PyDict::new(py);
    for (key, value) in &info.meta.custom {
        custom.set_item(key, value)?;
    }
    meta.set_item("custom_metadata_map", custom)?;
    dict.set_item("meta", meta)?;
    Ok(dict)
}

fn counters<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let dropped = PyDict::new(py);
    for reason in DropReason::ALL {
        let count = counters.dropped[reason as usize];
        if count > 0 {
            dropped.set_item(reason.as_str(), count)?;
        }
    }
    dict.set_item("submitted", counters.submitted)?;
    dict.set_item("done", counters.done)?;
    dict.set_item("failed", counters.failed)?;
    dict.set_item("dropped", dropped)?;
    dict.set_item("expired", counters.expired)?;
    dict.set_item("cancelled", counters.cancelled)?;
    dict.set_item("waiting", counters.waiting)?;
    dict.set_item("running", counters.running)?;
    dict.set_item("undelivered", counters.undelivered)?;
    dict.set_item("rejected", counters.rejected)?;
    dict.set_item("callback_errors", counters.callback_errors)?;
    Ok(dict)
}

fn histogram<'py>(py: Python<'py>, summary: &Summary) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let seconds = |time: Duration| time.as_secs_f64();
    dict.set_item("count", summary.count)?;
    dict.set_item("mean", seconds(summary.mean))?;
    dict.set_item("p50", seconds(summary.p50))?;
    dict.set_item("p90", seconds(summary.p90))?;
    dict.set_item("p99", seconds(summary.p99))?;
    dict.set_item("p999", seconds(summary.p999))?;
    dict.set_item("max", seconds(summary.max))?;
    Ok(dict)
}

fn batching<'py>(py: Python<'py>, stats: &BatchStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("enabled", stats.enabled)?;
    dict.set_item("runs", stats.runs)?;
    let mean = if stats.runs > 0 { stats.requests as f64 / stats.runs as f64 } else { 0.0 };
    dict.set_item("mean_size", mean)?;
    let released = PyDict::new(py);
    for reason in Reason::ALL {
        let count = stats.released[reason as usize];
        if count > 0 {
            released.set_item(reason.as_str(), count)?;
        }
    }
    dict.set_item("released", released)?;
    let cost = PyDict::new(py);
    for (size, time) in &stats.cost {
        cost.set_item(size, time.as_secs_f64())?;
    }
    dict.set_item("cost", cost)?;
    dict.set_item("off_reason", &stats.off_reason)?;
    Ok(dict)
}

/// The process of each lane; empty where lanes are threads of this one.
fn pids(core: &Core) -> Vec<Option<u32>> {
    #[cfg(target_os = "linux")]
    if let Some((lanes, _)) = crate::isolated::report(core) {
        return lanes.into_iter().map(|lane| lane.pid).collect();
    }
    let _ = core;
    Vec::new()
}

/// `stats()` as a dict; `_metrics` makes a frozen record of it.
pub(crate) fn stats<'py>(py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
    let (stats, pids): (&Stats, _) = (&core.shared.stats(), pids(core));
    let dict = counters(py, &stats.counters)?;
    let lanes = PyList::empty(py);
    for lane in &stats.lanes {
        let line = PyDict::new(py);
        line.set_item("id", lane.id)?;
        line.set_item("state", lane.state)?;
        line.set_item("runs", lane.runs)?;
        let uptime = stats.uptime.as_secs_f64();
        line.set_item("busy", if uptime > 0.0 { lane.busy.as_secs_f64() / uptime } else { 0.0 })?;
        let pid = pids.get(lane.id).copied().unwrap_or(Some(std::process::id()));
        line.set_item("pid", pid)?;
        line.set_item("running_for", lane.running_for.map(|time| time.as_secs_f64()))?;
        line.set_item("worker", lane.worker)?;
        lanes.append(line)?;
    }
    dict.set_item("lanes", lanes)?;
    for (name, summary) in
        [("queue", &stats.queue), ("run", &stats.run), ("delivery", &stats.delivery), ("total", &stats.total)]
    {
        dict.set_item(name, histogram(py, summary)?)?;
    }
    let streams = PyDict::new(py);
    for (key, values) in &stats.streams {
        match key {
            StreamKey::Int(number) => streams.set_item(number, counters(py, values)?)?,
            StreamKey::Str(name) => streams.set_item(name.as_ref(), counters(py, values)?)?,
        }
    }
    dict.set_item("streams", streams)?;
    dict.set_item("folded", counters(py, &stats.folded)?)?;
    dict.set_item("batching", stats.batching.as_ref().map(|stats| batching(py, stats)).transpose()?)?;
    Ok(dict)
}
