//! Numbers from one element type to another, quantised ones included.

use headway_core::value::DType;

/// An element as a real number and back. Rounds to nearest, ties to even, and saturates.
trait Element: Copy {
    fn get(self) -> f64;
    fn put(value: f64) -> Self;
}

macro_rules! integers {
    ($($kind:ty)*) => { $(impl Element for $kind {
        #[inline]
        fn get(self) -> f64 {
            self as f64
        }
        #[inline]
        fn put(value: f64) -> Self {
            // Saturates, and makes 0 of what is no number.
            value.round_ties_even() as $kind
        }
    })* };
}

integers!(i8 u8 i16 u16 i32 u32 i64);

impl Element for f32 {
    #[inline]
    fn get(self) -> f64 {
        f64::from(self)
    }
    #[inline]
    fn put(value: f64) -> Self {
        value as f32
    }
}

/// float16 by its bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Half(u16);

impl Element for Half {
    #[inline]
    fn get(self) -> f64 {
        let (sign, exponent, fraction) = (self.0 >> 15, (self.0 >> 10) & 0x1f, f64::from(self.0 & 0x3ff));
        let size = match exponent {
            0 => fraction * (-24_f64).exp2(),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction / 1024.0) * f64::from(i32::from(exponent) - 15).exp2(),
        };
        if sign == 1 { -size } else { size }
    }

    #[inline]
    fn put(value: f64) -> Self {
        let sign = u16::from(value.is_sign_negative()) << 15;
        let size = value.abs();
        if size.is_nan() {
            return Half(sign | 0x7e00);
        }
        if size >= 65_520.0 {
            return Half(sign | 0x7c00);
        }
        // The step between neighbours: by the exponent, at least that of the smallest normal numbers.
        let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(-14);
        let steps = (size * f64::from(10 - exponent).exp2()).round_ties_even() as u16;
        // A fraction that rounds up to 2048 carries into the exponent by itself; below 1024 the number is subnormal.
        let base = ((exponent + 14) as u16) << 10;
        Half(sign | (base + steps))
    }
}

/// bfloat16 by its bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Brain(u16);

impl Element for Brain {
    #[inline]
    fn get(self) -> f64 {
        f64::from(f32::from_bits(u32::from(self.0) << 16))
    }

    #[inline]
    fn put(value: f64) -> Self {
        let bits = (value as f32).to_bits();
        if value.is_nan() {
            return Brain((bits >> 16) as u16 | 0x40);
        }
        Brain(((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }
}

/// How stored numbers stand for real ones: `real = (stored - zero) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) zero: f64,
    pub(super) scale: f64,
}

impl Scale {
    /// They are the real ones.
    pub(super) const ONE: Scale = Scale { zero: 0.0, scale: 1.0 };
}

/// Converts the elements of one pair of types.
type Step<I> = unsafe fn(&Conversion, *const u8, *mut u8, I);

/// Element types on both sides, and how their numbers stand for real ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Conversion {
    pub(super) from: (DType, Scale),
    pub(super) to: (DType, Scale),
}

impl Conversion {
    /// True when bytes need only be copied.
    pub(super) fn is_copy(&self) -> bool {
        self.from == self.to
    }

    /// Converts the elements that `places` names: pairs of indices, from and to.
    ///
    /// # Safety
    /// Both memories hold every element that is named, and do not overlap.
    pub(super) unsafe fn apply<I: Iterator<Item = (usize, usize)>>(
        &self,
        from: *const u8,
        to: *mut u8,
        places: I,
    ) {
        let step = self.step_for::<I>();
        // SAFETY: the caller's promise; the step is the one for these element types.
        unsafe { step(self, from, to, places) };
    }

    fn step_for<I: Iterator<Item = (usize, usize)>>(&self) -> Step<I> {
        macro_rules! to {
            ($source:ty) => {
                match self.to.0 {
                    DType::F32 => Conversion::step::<$source, f32, I>,
                    DType::F16 => Conversion::step::<$source, Half, I>,
                    DType::BF16 => Conversion::step::<$source, Brain, I>,
                    DType::I8 => Conversion::step::<$source, i8, I>,
                    DType::I16 => Conversion::step::<$source, i16, I>,
                    DType::U16 => Conversion::step::<$source, u16, I>,
                    DType::I32 => Conversion::step::<$source, i32, I>,
                    DType::U32 => Conversion::step::<$source, u32, I>,
                    DType::I64 => Conversion::step::<$source, i64, I>,
                    _ => Conversion::step::<$source, u8, I>,
                }
            };
        }
        match self.from.0 {
            DType::F32 => to!(f32),
            DType::F16 => to!(Half),
            DType::BF16 => to!(Brain),
            DType::I8 => to!(i8),
            DType::I16 => to!(i16),
            DType::U16 => to!(u16),
            DType::I32 => to!(i32),
            DType::U32 => to!(u32),
            DType::I64 => to!(i64),
            _ => to!(u8),
        }
    }

    /// # Safety
    /// As `apply`; the element types are `S` and `D`.
    unsafe fn step<S: Element, D: Element, I: Iterator<Item = (usize, usize)>>(
        &self,
        from: *const u8,
        to: *mut u8,
        places: I,
    ) {
        let (from, to) = (from.cast::<S>(), to.cast::<D>());
        let (source, target) = (self.from.1, self.to.1);
        let copies = self.is_copy();
        places.for_each(|(at, place)| {
            // SAFETY: the caller's promise; alignment is not asked for.
            let (from, to) = unsafe { (from.add(at), to.add(place)) };
            if copies {
                // Not through a real number, which holds no more than 53 bits.
                // SAFETY: as above; both types are the same.
                unsafe { from.cast::<u8>().copy_to_nonoverlapping(to.cast(), size_of::<S>()) };
                return;
            }
            // SAFETY: as above.
            let value = unsafe { from.read_unaligned() }.get();
            let value = D::put((value - source.zero) * source.scale / target.scale + target.zero);
            // SAFETY: as above.
            unsafe { to.write_unaligned(value) };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_there_and_back() {
        for bits in 0..=u16::MAX {
            let value = Half(bits).get();
            if value.is_nan() {
                assert!(Half::put(value).get().is_nan());
            } else {
                assert_eq!(Half::put(value).0, bits, "{bits:#x} is {value}");
            }
        }
    }

    #[test]
    fn halves_round_to_the_nearest_and_to_even() {
        let put = |value: f64| Half::put(value).get();
        assert_eq!(put(1.0 + 1.0 / 2048.0), 1.0);
        assert_eq!(put(1.0 + 3.0 / 2048.0), 1.0 + 2.0 / 1024.0);
        assert_eq!((put(65_519.0), put(65_520.0), put(-1e9)), (65_504.0, f64::INFINITY, f64::NEG_INFINITY));
        assert_eq!(put(2047.9), 2048.0);
    }

    #[test]
    fn quantised_numbers_saturate() {
        let quantised = Scale { zero: -128.0, scale: 0.5 };
        let there = Conversion { from: (DType::F32, Scale::ONE), to: (DType::I8, quantised) };
        let values = [0.0_f32, 1.0, -3.0, 1000.0, 63.5];
        let mut stored = [0_i8; 5];
        let same = (0..5).map(|at| (at, at));
        // SAFETY: five elements on both sides.
        unsafe { there.apply(values.as_ptr().cast(), stored.as_mut_ptr().cast(), same.clone()) };
        assert_eq!(stored, [-128, -126, -128, 127, -1]);
        let back = Conversion { from: there.to, to: there.from };
        let mut real = [0.0_f32; 5];
        // SAFETY: as above.
        unsafe { back.apply(stored.as_ptr().cast(), real.as_mut_ptr().cast(), same) };
        assert_eq!(real, [0.0, 1.0, 0.0, 127.5, 63.5]);
    }
}
