//! Rockchip's NPUs through `librknnrt.so`.
//!
//! A tour: [`api`] finds the library's functions, [`raw`] has its structures, [`error`] its codes; [`context`] owns what
//! the runtime makes; [`attr`] is a tensor in Rust's words, [`layout`] where its elements lie, [`convert`] their types;
//! [`model`] says what is taken and given; [`engine`] loads, [`lane`] runs through the runtime's copies, [`bound`] through
//! memory that the NPU shares, [`places`] puts outputs where an IO binding wants them. The declarations are the project's own, from the public API reference.

mod api;
mod attr;
mod bound;
mod context;
mod convert;
mod engine;
mod error;
mod lane;
mod layout;
mod model;
mod options;
mod places;
mod raw;

pub use api::LIBRARY_VARIABLE;
pub(crate) use api::hold_loading;
pub use attr::{Format, Quantisation, TensorAttr};
pub use engine::{RknnEngine, RknnFacts, RknnSource};
pub use options::{Form, LanePlace, Layout, Outputs, Priority, RknnOptions};
