//! Elements narrower than a byte: numpy keeps one to a byte, engines two or four, lowest bits first.

/// Packs one-byte elements of `bits` bits into `out`, whose last byte is padded with zeros.
pub(super) fn pack(elements: &[u8], bits: usize, out: &mut [u8]) {
    let mask = (1u8 << bits) - 1;
    for (group, byte) in elements.chunks(8 / bits).zip(out) {
        *byte = group.iter().rev().fold(0, |packed, element| (packed << bits) | (element & mask));
    }
}

/// Unpacks into one byte an element, as `ml_dtypes` keeps them: the unused high bits are zero, also in negatives.
pub(super) fn unpack(packed: &[u8], bits: usize, out: &mut [u8]) {
    let mask = (1u8 << bits) - 1;
    for (&byte, group) in packed.iter().zip(out.chunks_mut(8 / bits)) {
        for (place, element) in group.iter_mut().enumerate() {
            *element = (byte >> (place * bits)) & mask;
        }
    }
}
