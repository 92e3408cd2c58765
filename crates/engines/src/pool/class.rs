//! Size classes: four to a doubling, so that at most a fifth of a block is slack.

/// Smallest block, and the alignment of every block.
pub(super) const SMALLEST: usize = 64;
const SMALLEST_BITS: u32 = SMALLEST.trailing_zeros();
/// Doublings above the smallest block; larger blocks (over 64 GiB) are never cached.
const DOUBLINGS: u32 = 30;
/// How many classes there are.
pub(super) const CLASSES: usize = DOUBLINGS as usize * 4 + 1;
/// The class of blocks that go straight back to the system.
pub(super) const NO_CLASS: u32 = u32::MAX;

/// The smallest class that holds `len` bytes, or [`NO_CLASS`].
pub(super) fn class_of(len: usize) -> u32 {
    if len <= SMALLEST {
        return 0;
    }
    let last = len - 1;
    let octave = last.ilog2();
    // The two bits under the leading one number the quarter of the octave that `last` lies in.
    let quarter = ((last >> (octave - 2)) & 3) as u32;
    let class = (octave - SMALLEST_BITS) * 4 + quarter + 1;
    if (class as usize) < CLASSES { class } else { NO_CLASS }
}

/// Bytes that a block of this class holds.
pub(super) fn size_of(class: u32) -> usize {
    let (octave, quarter) = (class / 4, class as usize % 4);
    (SMALLEST + quarter * (SMALLEST / 4)) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_holds_its_own_size_and_nothing_smaller_does() {
        for class in 0..CLASSES as u32 {
            assert_eq!(class_of(size_of(class)), class);
            assert_eq!(
                class_of(size_of(class) + 1),
                if class as usize + 1 < CLASSES { class + 1 } else { NO_CLASS }
            );
        }
    }

    #[test]
    fn slack_is_at_most_a_fifth() {
        for len in (65..100_000).chain([1 << 20, (1 << 20) + 1, 3_000_001]) {
            let size = size_of(class_of(len));
            assert!(size >= len && (size - len) * 5 <= size, "{len} in {size}");
        }
    }
}
