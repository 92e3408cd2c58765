//! Element types: bytes to real numbers and back.

use serde::Deserialize;

/// Numbered as the interface numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Float32 = 0,
    Float16 = 1,
    Int8 = 2,
    Uint8 = 3,
    Int16 = 4,
    Uint16 = 5,
    Int32 = 6,
    Uint32 = 7,
    Int64 = 8,
    Bool = 9,
}

impl Kind {
    pub fn of(raw: i32) -> Option<Kind> {
        use Kind::*;
        [Float32, Float16, Int8, Uint8, Int16, Uint16, Int32, Uint32, Int64, Bool]
            .into_iter()
            .find(|&it| it as i32 == raw)
    }

    pub fn bytes(self) -> usize {
        match self {
            Kind::Int8 | Kind::Uint8 | Kind::Bool => 1,
            Kind::Float16 | Kind::Int16 | Kind::Uint16 => 2,
            Kind::Float32 | Kind::Int32 | Kind::Uint32 => 4,
            Kind::Int64 => 8,
        }
    }

    /// Element number `at` of `bytes`.
    pub fn read(self, bytes: &[u8], at: usize) -> f64 {
        let part = &bytes[at * self.bytes()..][..self.bytes()];
        let two = || [part[0], part[1]];
        let four = || [part[0], part[1], part[2], part[3]];
        match self {
            Kind::Float32 => f64::from(f32::from_le_bytes(four())),
            Kind::Float16 => half(u16::from_le_bytes(two())),
            Kind::Int8 => f64::from(part[0] as i8),
            Kind::Uint8 | Kind::Bool => f64::from(part[0]),
            Kind::Int16 => f64::from(i16::from_le_bytes(two())),
            Kind::Uint16 => f64::from(u16::from_le_bytes(two())),
            Kind::Int32 => f64::from(i32::from_le_bytes(four())),
            Kind::Uint32 => f64::from(u32::from_le_bytes(four())),
            Kind::Int64 => i64::from_le_bytes(part.try_into().unwrap_or_default()) as f64,
        }
    }

    /// Puts `value` at element number `at`, rounded and held to the type's range.
    pub fn write(self, bytes: &mut [u8], at: usize, value: f64) {
        let part = &mut bytes[at * self.bytes()..][..self.bytes()];
        let whole = value.round_ties_even();
        match self {
            Kind::Float32 => part.copy_from_slice(&(value as f32).to_le_bytes()),
            Kind::Float16 => part.copy_from_slice(&to_half(value as f32).to_le_bytes()),
            Kind::Int8 => part[0] = (whole as i8) as u8,
            Kind::Uint8 => part[0] = whole as u8,
            Kind::Bool => part[0] = u8::from(value != 0.0),
            Kind::Int16 => part.copy_from_slice(&(whole as i16).to_le_bytes()),
            Kind::Uint16 => part.copy_from_slice(&(whole as u16).to_le_bytes()),
            Kind::Int32 => part.copy_from_slice(&(whole as i32).to_le_bytes()),
            Kind::Uint32 => part.copy_from_slice(&(whole as u32).to_le_bytes()),
            Kind::Int64 => part.copy_from_slice(&(whole as i64).to_le_bytes()),
        }
    }
}

/// float16's value.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 31);
    let fraction = f64::from(bits & 1023);
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

/// The nearest float16, by looking for it: slow, and beyond doubt.
fn to_half(value: f32) -> u16 {
    if value.is_nan() {
        return 0x7e00;
    }
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let size = f64::from(value.abs());
    if size >= 65_520.0 {
        return sign | 0x7c00;
    }
    let (mut low, mut high) = (0_u16, 0x7c00_u16);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if half(middle) <= size { low = middle } else { high = middle }
    }
    let next = if high == 0x7c00 { 65_536.0 } else { half(high) };
    let (below, above) = (size - half(low), next - size);
    let up = above < below || (above == below && low & 1 == 1);
    sign | if up { high } else { low }
}
