//! Values in shared memory: a table that says what they are, and their elements in one stretch behind it, or where the
//! engine wrote them.

use std::mem::size_of;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Owner, Tensor, Value, Values};

use super::heap::{Heap, SMALL};
use super::memory::{Map, Span};
use super::wire::{Reader, Writer, garbled};

/// Elements start at multiples of this, as the pools' blocks do.
const ALIGN: usize = 64;

/// An address for no bytes.
const NOWHERE: usize = ALIGN;

const NONE: u64 = 0;
/// Its elements lie behind the table.
const TENSOR: u64 = 1;
/// Its elements lie in a span of their own.
const LENT: u64 = 2;

/// The next place where elements may start.
pub(super) fn aligned(at: usize) -> usize {
    at.next_multiple_of(ALIGN)
}

/// Elements to be written behind a table that is still being made.
#[derive(Default)]
pub(super) struct Payload<'a> {
    pieces: Vec<(usize, &'a Data)>,
    pub(super) len: usize,
    /// Where elements may stay that lie in it.
    heap: Option<&'a Heap>,
    /// What stays where it is: addresses, and whoever keeps them.
    lent: Vec<(usize, Owner)>,
}

impl<'a> Payload<'a> {
    pub(super) fn lending(heap: &'a Heap) -> Payload<'a> {
        Payload { heap: Some(heap), ..Payload::default() }
    }

    /// Whoever keeps what the other side is to find where it is.
    pub(super) fn into_lent(self) -> Vec<Owner> {
        self.lent.into_iter().map(|(_, owner)| owner).collect()
    }

    pub(super) fn lends(&self) -> bool {
        !self.lent.is_empty()
    }

    fn lend(&mut self, data: &Data) -> Option<(Span, usize, usize)> {
        let Data::Memory(memory @ Memory { addr, len, owner: Some(owner) }) = data else { return None };
        // Two arrays over one memory would see each other's changes: the second is copied.
        let fits = *len > SMALL && addr.is_multiple_of(ALIGN);
        if !fits || self.lent.iter().any(|(lent, _)| lent == addr) {
            return None;
        }
        let (span, at) = self.heap?.find(memory)?;
        self.lent.push((*addr, Owner::clone(owner)));
        Some((span, at, *len))
    }

    fn push(&mut self, data: &'a Data) -> (usize, usize) {
        let (at, len) = (aligned(self.len), byte_len(data));
        if len > 0 {
            self.pieces.push((at, data));
            self.len = at + len;
        }
        (at, len)
    }

    /// Writes the elements, the first at `base`.
    ///
    /// # Safety
    /// The values' memory is readable for the length of this call.
    pub(super) unsafe fn write(&self, map: &Map, base: usize) {
        for &(at, data) in &self.pieces {
            match data {
                // SAFETY: the caller's promise.
                Data::Memory(memory) => unsafe { map.write_from(base + at, memory.addr, memory.len) },
                Data::Strings(strings) => write_strings(map, base + at, strings),
            }
        }
    }
}

fn byte_len(data: &Data) -> usize {
    match data {
        Data::Memory(memory) => memory.len,
        Data::Strings(strings) => strings.iter().map(|one| size_of::<u64>() + one.len()).sum(),
    }
}

fn write_strings(map: &Map, mut at: usize, strings: &[Box<str>]) {
    for one in strings {
        map.write(at, &(one.len() as u64).to_le_bytes());
        map.write(at + size_of::<u64>(), one.as_bytes());
        at += size_of::<u64>() + one.len();
    }
}

/// Adds a value. `name` is whose, for what is wrong with it.
pub(super) fn put<'a>(
    row: &mut Writer,
    payload: &mut Payload<'a>,
    value: &'a Value,
    name: impl FnOnce() -> String,
) -> Result<(), Error> {
    match value {
        Value::None => row.word(NONE),
        Value::Tensor(tensor) => {
            let lent = payload.lend(&tensor.data);
            row.word(if lent.is_some() { LENT } else { TENSOR });
            row.word(tensor.dtype as i32 as u64);
            row.list(&tensor.dims, |row, &dim| row.signed(dim));
            let (at, len) = match lent {
                Some((span, at, len)) => {
                    row.word(span.offset);
                    row.word(span.len);
                    (at, len)
                }
                None => payload.push(&tensor.data),
            };
            row.word(at as u64);
            row.word(len as u64);
        }
        Value::Opaque(_) => {
            let text = format!(
                "{} is no tensor: isolation=\"process\" carries tensors only; use isolation=\"thread\" for this model",
                name()
            );
            return Err(Error::new(ErrorKind::Input, text));
        }
    }
    Ok(())
}

/// Where values are read from.
pub(super) struct From<'a> {
    /// The span that holds them.
    pub(super) map: &'a Map,
    /// Where their elements start in it, and how far they reach.
    pub(super) base: usize,
    pub(super) len: usize,
    /// What a tensor's elements become.
    pub(super) take: &'a dyn Fn(usize, usize) -> Option<Memory>,
    /// What elements become that lie in a span of their own; `None` when they are not there.
    pub(super) borrow: &'a dyn Fn(Span, usize, usize) -> Option<Memory>,
}

/// Memory that lies where it lies, kept by `owner`.
pub(super) fn in_place(map: &Map, owner: &Owner) -> impl Fn(usize, usize) -> Option<Memory> {
    |at, len| Some(Memory { addr: map.addr(at), len, owner: Some(Owner::clone(owner)) })
}

/// Reads one value. Nothing that the table says is believed.
pub(super) fn get(row: &mut Reader<'_>, from: &From<'_>) -> Result<Value, Error> {
    let kind = row.word()?;
    match kind {
        NONE => return Ok(Value::None),
        TENSOR | LENT => {}
        _ => return Err(garbled("a kind of value that does not exist")),
    }
    let code = i32::try_from(row.word()?).ok();
    let dtype =
        code.and_then(DType::from_onnx).ok_or_else(|| garbled("an element type that does not exist"))?;
    let dims = Dims::from_vec(row.list(Reader::signed)?);
    let span = if kind == LENT { Some(Span { offset: row.word()?, len: row.word()? }) } else { None };
    let (at, len) = (row.size()?, row.size()?);
    let data = match (span, dtype) {
        (None, DType::String) => Data::Strings(get_strings(from, &dims, at, len)?.into()),
        (Some(_), DType::String) => return Err(garbled("strings in a span of their own")),
        (None, _) => Data::Memory(get_elements(from, dtype, &dims, at, len)?),
        (Some(span), _) => {
            check_len(dtype, &dims, len)?;
            let memory = if at.is_multiple_of(ALIGN) { (from.borrow)(span, at, len) } else { None };
            Data::Memory(memory.ok_or_else(outside)?)
        }
    };
    Ok(Value::Tensor(Tensor { dtype, dims, data }))
}

#[cold]
fn outside() -> Error {
    garbled("elements outside the lane's memory")
}

fn check_len(dtype: DType, dims: &[i64], len: usize) -> Result<(), Error> {
    let count = count(dims).ok_or_else(|| garbled("dimensions that no tensor has"))?;
    if len != count.checked_mul(dtype.bits()).map_or(usize::MAX, |bits| bits.div_ceil(8)) {
        return Err(garbled("a tensor of another length than its dimensions say"));
    }
    Ok(())
}

fn check_inside(from: &From<'_>, at: usize, len: usize) -> Result<(), Error> {
    let inside = at.checked_add(len).is_some_and(|end| end <= from.len) && at.is_multiple_of(ALIGN);
    if inside { Ok(()) } else { Err(outside()) }
}

fn get_elements(from: &From<'_>, dtype: DType, dims: &[i64], at: usize, len: usize) -> Result<Memory, Error> {
    check_inside(from, at, len)?;
    check_len(dtype, dims, len)?;
    if len == 0 {
        return Ok(Memory { addr: NOWHERE, len, owner: None });
    }
    let memory = (from.take)(from.base + at, len);
    memory.ok_or_else(|| {
        Error::new(ErrorKind::Engine, format!("there is no memory for {len} bytes of an output"))
    })
}

fn get_strings(from: &From<'_>, dims: &[i64], at: usize, len: usize) -> Result<Vec<Box<str>>, Error> {
    check_inside(from, at, len)?;
    let count = count(dims).ok_or_else(|| garbled("dimensions that no tensor has"))?;
    let blob = from.map.read(from.base + at, len).ok_or_else(outside)?;
    strings(&blob, count)
}

fn count(dims: &[i64]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

fn strings(blob: &[u8], count: usize) -> Result<Vec<Box<str>>, Error> {
    let mut row = Reader::new(blob);
    let mut list = Vec::with_capacity(count.min(blob.len() / size_of::<u64>()));
    for _ in 0..count {
        list.push(row.text()?.into_boxed_str());
    }
    Ok(list)
}

/// Reads as many values as the table says.
pub(super) fn get_all(row: &mut Reader<'_>, from: &From<'_>) -> Result<Values, Error> {
    Ok(Values::from_vec(row.list(|row| get(row, from))?))
}
