//! Arrays in, arrays out: the only files of the door that touch an array's raw memory.
//!
//! `input` decides, `view` reads an ndarray's fields, `check` compares with the model, `copy` and `pack`
//! move elements, `foreign` turns other objects into ndarrays, `strings` and `output` do the rest.

mod check;
mod copy;
mod dtype;
mod foreign;
mod input;
mod memory;
mod output;
mod pack;
mod strings;
mod view;

pub(crate) use input::read_input;
pub(crate) use memory::{Alloc, How};
pub(crate) use output::to_python;
pub(crate) use view::is_array;
