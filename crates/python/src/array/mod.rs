//! Arrays in, arrays out: the only files of the door that touch an array's raw memory.
//!
//! `input` decides, `view` reads an ndarray's fields, `check` compares with the model, `copy` and `pack`
//! move elements, `held` and `dlpack` serve `OrtValue`, `foreign` turns other objects into ndarrays, `strings` and
//! `output` do the rest.

mod check;
mod copy;
mod dlpack;
mod dtype;
mod foreign;
mod held;
mod input;
mod memory;
mod out;
mod output;
mod pack;
mod strings;
mod view;

pub(crate) use dlpack::{CPU_DEVICE, export, import};
pub(crate) use dtype::dtype_of;
pub(crate) use held::{Writable, duplicate, of_array, of_array_as, over, write_array, write_tensor, zeros};
pub(crate) use input::{Wanted, copy_of, element_of, read_any, read_input};
pub(crate) use memory::{Alloc, How};
pub(crate) use out::{check_out, given};
pub(crate) use output::{shared, to_python};
pub(crate) use view::{is_array, load_numpy};
