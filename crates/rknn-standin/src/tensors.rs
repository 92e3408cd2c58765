//! What the stand-in says of a tensor, and where its elements lie.

use crate::abi::*;
use crate::file::Tensor;
use crate::numbers::Kind;

/// The tensor as a query gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As the model has it.
    Plain,
    /// In channel groups.
    Native,
    /// Channels last, rows padded.
    NativeNhwc,
}

pub fn format_of(tensor: &Tensor) -> i32 {
    match tensor.fmt.as_str() {
        "NCHW" => NCHW,
        "NHWC" => NHWC,
        _ => UNDEFINED,
    }
}

/// `[n, c, h, w]` of dimensions in an order; `None` for what is no picture.
pub fn picture(dims: &[u32], fmt: i32) -> Option<[u32; 4]> {
    match (fmt, dims) {
        (NCHW, &[n, c, h, w]) | (NHWC, &[n, h, w, c]) => Some([n, c, h, w]),
        _ => None,
    }
}

/// The attribute of a tensor of these dimensions; `None` where there is no such view of it.
pub fn attr(tensor: &Tensor, index: u32, dims: &[u32], view: View) -> Option<TensorAttr> {
    let fmt = format_of(tensor);
    let bytes = tensor.kind.bytes() as u32;
    let picture = picture(dims, fmt);
    let (dims, fmt, w_stride, h_stride) = match (view, picture) {
        (View::Plain, _) | (_, None) => (dims.to_vec(), fmt, 0, 0),
        (View::Native, Some([n, c, h, w])) => {
            (vec![n, c.div_ceil(tensor.c2), h, w, tensor.c2], NC1HWC2, w.next_multiple_of(tensor.w_align), 0)
        }
        (View::NativeNhwc, Some(_)) if !tensor.native_nhwc => return None,
        (View::NativeNhwc, Some([n, c, h, w])) => {
            let rows = if tensor.h_extra > 0 { h + tensor.h_extra } else { 0 };
            (vec![n, h, w, c], NHWC, w.next_multiple_of(tensor.w_align), rows)
        }
    };
    let elements: u32 = dims.iter().product();
    let (width, height) = match fmt {
        NHWC => (dims.get(2), dims.get(1)),
        _ => (dims.get(3), dims.get(2)),
    };
    let mut padded = u64::from(elements);
    if let (true, Some(&width), Some(&height)) = (view != View::Plain && picture.is_some(), width, height) {
        padded = padded / u64::from(width.max(1)) * u64::from(w_stride.max(width));
        padded = padded / u64::from(height.max(1)) * u64::from(h_stride.max(height));
    }
    let mut attr = TensorAttr {
        index,
        n_dims: dims.len() as u32,
        dims: [0; 16],
        name: [0; 256],
        n_elems: elements,
        size: elements * bytes,
        fmt,
        kind: tensor.kind as i32,
        qnt_type: match tensor.qnt.as_str() {
            "dfp" => 1,
            "affine" => 2,
            _ => 0,
        },
        fl: tensor.fl,
        zp: tensor.zp,
        scale: tensor.scale as f32,
        w_stride,
        size_with_stride: padded as u32 * bytes,
        pass_through: 0,
        h_stride,
    };
    attr.dims[..dims.len()].copy_from_slice(&dims);
    let name = tensor.name.as_bytes();
    attr.name[..name.len().min(255)].copy_from_slice(&name[..name.len().min(255)]);
    Some(attr)
}

/// A tensor's element type and order in some memory.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub kind: Kind,
    pub fmt: i32,
    pub w_stride: u32,
    pub h_stride: u32,
    pub c2: u32,
}

impl Form {
    /// The place of each element of a tensor, whose own order is `fmt`, in memory of this form.
    pub fn places(&self, dims: &[u32], fmt: i32) -> Vec<usize> {
        let count: u32 = dims.iter().product();
        let Some([n, c, h, w]) = picture(dims, fmt) else { return (0..count as usize).collect() };
        let (row, rows) = (self.w_stride.max(w), self.h_stride.max(h));
        let place = |b: u32, k: u32, y: u32, x: u32| -> usize {
            let (b, k, y, x) = (b as usize, k as usize, y as usize, x as usize);
            let (c, row, rows, group) = (c as usize, row as usize, rows as usize, self.c2.max(1) as usize);
            match self.fmt {
                NHWC => ((b * rows + y) * row + x) * c + k,
                NC1HWC2 => {
                    let groups = c.div_ceil(group);
                    (((b * groups + k / group) * rows + y) * row + x) * group + k % group
                }
                _ => ((b * c + k) * rows + y) * row + x,
            }
        };
        let mut places = Vec::with_capacity(count as usize);
        for b in 0..n {
            if fmt == NHWC {
                (0..h).for_each(|y| (0..w).for_each(|x| (0..c).for_each(|k| places.push(place(b, k, y, x)))));
            } else {
                (0..c).for_each(|k| (0..h).for_each(|y| (0..w).for_each(|x| places.push(place(b, k, y, x)))));
            }
        }
        places
    }
}

/// `(zero, scale)`: `real = (stored - zero) * scale`.
pub fn scale_of(tensor: &Tensor) -> (f64, f64) {
    match tensor.qnt.as_str() {
        "affine" => (f64::from(tensor.zp), f64::from(tensor.scale as f32)),
        "dfp" => (0.0, 2_f64.powi(-i32::from(tensor.fl))),
        _ => (0.0, 1.0),
    }
}

/// Stored bytes of a tensor in its own order, from memory in some form. Numbers of the stored type are stored numbers.
pub fn store(tensor: &Tensor, dims: &[u32], from: &[u8], form: Form) -> Option<Vec<u8>> {
    let places = form.places(dims, format_of(tensor));
    let reach = places.iter().max().map_or(0, |last| last + 1);
    if from.len() < reach * form.kind.bytes() {
        return None;
    }
    let (zero, scale) = scale_of(tensor);
    let mut stored = vec![0; places.len() * tensor.kind.bytes()];
    for (at, &place) in places.iter().enumerate() {
        let value = form.kind.read(from, place);
        let value = if form.kind == tensor.kind { value } else { value / scale + zero };
        tensor.kind.write(&mut stored, at, value);
    }
    Some(stored)
}

/// Stored bytes written to memory in some form; false where it is too small.
pub fn unstore(tensor: &Tensor, dims: &[u32], stored: &[u8], to: &mut [u8], form: Form) -> bool {
    let places = form.places(dims, format_of(tensor));
    let reach = places.iter().max().map_or(0, |last| last + 1);
    if to.len() < reach * form.kind.bytes() {
        return false;
    }
    let (zero, scale) = scale_of(tensor);
    for (at, &place) in places.iter().enumerate() {
        let value = tensor.kind.read(stored, at);
        let value = if form.kind == tensor.kind { value } else { (value - zero) * scale };
        form.kind.write(to, place, value);
    }
    true
}
