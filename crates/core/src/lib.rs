//! Headway's flow, engine and language apart.
#![forbid(unsafe_code)]

pub mod engine;
pub mod error;
pub mod request;
mod sync;
pub mod value;
