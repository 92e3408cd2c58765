//! A strict stand-in for `librknnrt.so`, built by the tests: the same C interface, no NPU.
//!
//! It computes real answers (through ONNX Runtime, on the model inside a stand-in `.rknn` file), and looks at every
//! argument harder than the runtime does: sizes, formats, contexts, two threads inside one context, memory that was not
//! synchronised. Cores are simulated: each runs one request at a time, at its own speed. `standin_control` injects faults
//! and `standin_stats` counts; both speak JSON.
//!
//! A tour: [`abi`] has the structures, [`file`] the model's file, [`tensors`] what is said of its tensors, [`numbers`] the
//! element types, [`memory`] the NPU's memory with its shadow; [`context`] is one context, [`compute`] what a run does;
//! [`cores`] simulates; [`world`] holds everything and counts; [`calls`] and [`zero_copy`] are the C functions, [`control`]
//! the tests' own.
#![cfg(target_os = "linux")]
// The C interface has no documentation of its own here: Rockchip's public reference has it.
#![allow(missing_docs, clippy::missing_safety_doc, unreachable_pub)]

mod abi;
mod calls;
mod compute;
mod context;
mod control;
mod cores;
mod file;
mod memory;
mod numbers;
mod tensors;
mod world;
mod zero_copy;
