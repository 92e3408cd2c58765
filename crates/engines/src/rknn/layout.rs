//! Where the elements of a tensor lie in the NPU's memory.

use super::attr::{Format, TensorAttr};

/// Dimensions in another order. Only the orders of pictures change; anything else stays as it is.
pub(super) fn reorder(dims: &[u32], from: Format, to: Format) -> Vec<u32> {
    match (dims, from, to) {
        (&[n, h, w, c], Format::Nhwc, Format::Nchw) => vec![n, c, h, w],
        (&[n, c, h, w], Format::Nchw, Format::Nhwc) => vec![n, h, w, c],
        _ => dims.to_vec(),
    }
}

/// Elements of a tensor.
pub(super) fn count(dims: &[u32]) -> usize {
    dims.iter().map(|&dim| dim as usize).product()
}

/// How far each index of each axis, in the order of a plain tensor, is from the start of the native one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Places {
    axes: [Vec<usize>; 4],
    /// The native tensor is the plain one.
    plain: bool,
}

impl Places {
    /// Elements that follow each other.
    pub(super) fn contiguous(count: usize) -> Places {
        Places { axes: [vec![0], vec![0], vec![0], (0..count).collect()], plain: true }
    }

    /// The places of a plain tensor of `dims` in the order `format` inside `native`. `None` where they do not fit.
    pub(super) fn new(dims: &[u32], format: Format, native: &TensorAttr) -> Option<Places> {
        let total = count(dims);
        let (plain, native_format) = (reorder(dims, format, Format::Nchw), native.format);
        if native_format == Format::Undefined || format == Format::Undefined || plain.len() != 4 {
            return (total == count(&native.dims)).then(|| Places::contiguous(total));
        }
        let [n, c, h, w] = [plain[0], plain[1], plain[2], plain[3]].map(|dim| dim as usize);
        let row = if native.w_stride == 0 { w } else { native.w_stride as usize };
        let rows = if native.h_stride == 0 { h } else { native.h_stride as usize };
        if row < w || rows < h {
            return None;
        }
        let table = |length: usize, step: usize| (0..length).map(|at| at * step).collect::<Vec<_>>();
        let (batches, channels, heights, widths) = match native_format {
            Format::Nchw => (table(n, c * rows * row), table(c, rows * row), table(h, row), table(w, 1)),
            Format::Nhwc => (table(n, rows * row * c), table(c, 1), table(h, row * c), table(w, c)),
            Format::Nc1hwc2 => {
                let group = *native.dims.get(4)? as usize;
                if group == 0 {
                    return None;
                }
                let groups = c.div_ceil(group);
                let channels = (0..c).map(|at| at / group * rows * row * group + at % group).collect();
                (table(n, groups * rows * row * group), channels, table(h, row * group), table(w, group))
            }
            Format::Undefined => return None,
        };
        let axes = match format {
            Format::Nhwc => [batches, heights, widths, channels],
            _ => [batches, channels, heights, widths],
        };
        let same = native_format == format && row == w && rows == h;
        Some(Places { axes, plain: same })
    }

    /// True when the native memory can be handed out as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Elements that the native memory must have room for.
    pub(super) fn reach(&self) -> usize {
        let last = |axis: &Vec<usize>| axis.last().copied().unwrap_or(0);
        if self.axes.iter().any(Vec::is_empty) { 0 } else { self.axes.iter().map(last).sum::<usize>() + 1 }
    }

    /// Every element's place in the native memory, in the order of the plain tensor.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let [first, second, third, fourth] = &self.axes;
        first.iter().flat_map(move |a| {
            second
                .iter()
                .flat_map(move |b| third.iter().flat_map(move |c| fourth.iter().map(move |d| a + b + c + d)))
        })
    }
}

#[cfg(test)]
mod tests {
    use headway_core::value::DType;

    use super::super::attr::Quantisation;
    use super::*;

    fn native(format: Format, dims: &[u32], w_stride: u32, h_stride: u32) -> TensorAttr {
        TensorAttr {
            index: 0,
            name: "x".into(),
            dims: dims.to_vec(),
            format,
            dtype: DType::I8,
            quantisation: Quantisation::None,
            n_elems: 0,
            size: 0,
            size_with_stride: 0,
            w_stride,
            h_stride,
        }
    }

    #[test]
    fn rows_may_be_padded() {
        let places = Places::new(&[1, 2, 2, 3], Format::Nchw, &native(Format::Nhwc, &[1, 2, 3, 2], 4, 0))
            .expect("fits");
        let at: Vec<_> = places.iter().collect();
        assert_eq!(at, [0, 2, 4, 8, 10, 12, 1, 3, 5, 9, 11, 13]);
        assert_eq!((places.reach(), places.is_plain()), (14, false));
    }

    #[test]
    fn channels_may_come_in_padded_groups() {
        // Three channels in groups of two: the second group has one channel and a hole.
        let attr = native(Format::Nc1hwc2, &[1, 2, 1, 2, 2], 0, 0);
        let places = Places::new(&[1, 3, 1, 2], Format::Nchw, &attr).expect("fits");
        assert_eq!(places.iter().collect::<Vec<_>>(), [0, 2, 1, 3, 4, 6]);
        let places = Places::new(&[1, 1, 2, 3], Format::Nhwc, &attr).expect("fits");
        assert_eq!(places.iter().collect::<Vec<_>>(), [0, 1, 4, 2, 3, 6]);
    }

    #[test]
    fn what_is_no_picture_must_only_be_as_large() {
        let flat = native(Format::Undefined, &[2, 5], 0, 0);
        assert!(Places::new(&[2, 5], Format::Undefined, &flat).is_some_and(|places| places.is_plain()));
        assert_eq!(Places::new(&[2, 4], Format::Undefined, &flat), None);
        assert_eq!(
            Places::new(&[1, 1, 1, 9], Format::Nchw, &native(Format::Nchw, &[1, 1, 1, 9], 8, 0)),
            None
        );
    }

    #[test]
    fn dimensions_of_pictures_change_their_order() {
        assert_eq!(reorder(&[1, 4, 5, 3], Format::Nhwc, Format::Nchw), [1, 3, 4, 5]);
        assert_eq!(reorder(&[1, 3, 4, 5], Format::Nchw, Format::Nhwc), [1, 4, 5, 3]);
        assert_eq!(reorder(&[7, 8], Format::Nhwc, Format::Nchw), [7, 8]);
    }
}
