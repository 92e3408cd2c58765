//! Headway's engines: the shelf on which `unsafe` lives, behind a safe face.
//!
//! A tour, from the bottom up:
//!
//! - [`pool`]: 64-byte aligned, counted memory blocks. A block freed on any thread comes back to its pool without a
//!   lock. Inputs that are copied, and outputs of the native engines, live here.
//! - `library`: opens an engine's dynamic library, for the rest of the process's life.
//! - [`ort`]: ONNX Runtime through its C table. Its CPU memory comes from the lane's pool, so that an output is a
//!   block that can outlive the run, the session, and the thread.
//! - [`openvino`]: OpenVINO through its C functions, one infer request a lane.
//! - `isolated`: any engine, each lane in a process of its own; requests travel through shared memory (Linux).
//! - [`rknn`]: Rockchip's NPUs through `librknnrt.so`.
//! - [`fork`]: the locks that a fork must not catch.
//! - [`fake`]: an engine without a model, steered by hand; for tests and measurements.
//!
//! Every engine is a `headway_core::engine::Engine`: the flow knows nothing else of it.

pub mod fake;
pub mod fork;
#[cfg(target_os = "linux")]
pub mod isolated;
mod library;
pub mod openvino;
pub mod ort;
pub mod pool;
pub mod rknn;
mod trim;
