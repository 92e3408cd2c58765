//! Which number is which element type.
//!
//! The numbers have moved between releases (2025 counts one more type in front than 2026), and the library does not say
//! them. The order has not moved, and each type's size can be asked: so the sizes are compared with the order known.

use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;

use super::api::Api;
use super::raw::*;

/// Elements of a probe: whole bytes for every width.
const PROBE: i64 = 24;

/// In the library's order: bits of an element (0: not asked), and the type where Headway knows it.
const ORDER: [(usize, Option<DType>, &str); 25] = [
    (8, Some(DType::Bool), "boolean"),
    (16, Some(DType::BF16), "bf16"),
    (16, Some(DType::F16), "f16"),
    (32, Some(DType::F32), "f32"),
    (64, Some(DType::F64), "f64"),
    (4, Some(DType::I4), "i4"),
    (8, Some(DType::I8), "i8"),
    (16, Some(DType::I16), "i16"),
    (32, Some(DType::I32), "i32"),
    (64, Some(DType::I64), "i64"),
    (1, None, "u1"),
    (2, Some(DType::U2), "u2"),
    (3, None, "u3"),
    (4, Some(DType::U4), "u4"),
    (6, None, "u6"),
    (8, Some(DType::U8), "u8"),
    (16, Some(DType::U16), "u16"),
    (32, Some(DType::U32), "u32"),
    (64, Some(DType::U64), "u64"),
    (4, None, "nf4"),
    (8, Some(DType::F8E4M3FN), "f8e4m3"),
    (8, Some(DType::F8E5M2), "f8e5m2"),
    (0, Some(DType::String), "string"),
    (4, Some(DType::F4E2M1), "f4e2m1"),
    (8, None, "f8e8m0"),
];

/// The numbers of this library.
#[derive(Debug, Clone, Copy)]
pub(super) struct Types {
    /// The number of the first in the order.
    first: i32,
}

impl Types {
    /// Finds out the numbers; the error says what does not fit.
    pub(super) fn probe(api: &Api) -> Result<Types, String> {
        let first =
            (0..4).find(|&code| bytes_of(api, code).is_some()).ok_or("no element type is known to it")?;
        for (code, &(bits, _, name)) in (first..).zip(&ORDER) {
            let bytes = bytes_of(api, code);
            if bits != 0 && bytes != Some(bits * PROBE as usize / 8) {
                return Err(format!(
                    "its element type number {code} should be {name}, but has {bytes:?} bytes"
                ));
            }
        }
        Ok(Types { first })
    }

    /// The type with this number, or OpenVINO's word for one that Headway does not know.
    pub(super) fn known(self, code: i32) -> Result<DType, String> {
        let at = usize::try_from(code - self.first).ok();
        match at.and_then(|at| ORDER.get(at)) {
            Some(&(_, Some(dtype), _)) => Ok(dtype),
            Some(&(_, None, name)) => Err(name.to_owned()),
            None => Err(format!("element type number {code}")),
        }
    }

    /// The number of a type.
    pub(super) fn code(self, dtype: DType) -> Result<i32, Error> {
        let found = (self.first..).zip(&ORDER).find(|(_, (_, known, _))| *known == Some(dtype));
        found.map(|(code, _)| code).ok_or_else(|| {
            let text = format!("OpenVINO has no tensors of {}", dtype.as_str());
            Error::new(ErrorKind::Input, text)
        })
    }
}

/// Bytes of a probe of this type; `None` where there is none.
fn bytes_of(api: &Api, code: i32) -> Option<usize> {
    let mut dims = [PROBE];
    let shape = Shape { rank: 1, dims: dims.as_mut_ptr() };
    let mut tensor = std::ptr::null_mut();
    // SAFETY: the shape is read during the call; an out parameter.
    if unsafe { (api.create_tensor)(code, shape, &mut tensor) } != OK {
        return None;
    }
    let mut bytes = 0;
    // SAFETY: just made; an out parameter.
    let status = unsafe { (api.tensor_bytes)(tensor, &mut bytes) };
    // SAFETY: made above, freed once.
    unsafe { (api.free_tensor)(tensor) };
    (status == OK).then_some(bytes)
}
