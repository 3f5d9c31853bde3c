//! The stored formats of quantised weights, each as a way to unpack 32 numbers.
//!
//! Every format of ggml is, per 16 or 32 numbers, `weight = scale · q + offset` with a small integer `q`. Unpacking to that
//! common form lets one dot product serve them all. Layouts after ggml's `ggml-common.h` (MIT), described in
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md> and the block structs it names.

use super::quantise::GROUP;

/// 32 weights in common form; halves of 16 may differ in scale and offset.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Group {
    /// The integers. For formats with [`Format::SIGNED`] unset they are 0 to 127.
    pub(crate) quants: [i8; GROUP],
    /// Scale of the lower and the upper 16.
    pub(crate) scale: [f32; 2],
    /// Offset of the lower and the upper 16.
    pub(crate) offset: [f32; 2],
}

impl Group {
    fn uniform(quants: [i8; GROUP], scale: f32, offset: f32) -> Self {
        Self { quants, scale: [scale; 2], offset: [offset; 2] }
    }

    /// The weights as floats.
    pub(crate) fn values(&self) -> [f32; GROUP] {
        std::array::from_fn(|i| f32::from(self.quants[i]).mul_add(self.scale[i / 16], self.offset[i / 16]))
    }
}

/// A block format.
pub(crate) trait Format {
    /// Bytes of one block.
    const BYTES: usize;
    /// Groups of 32 in one block.
    const GROUPS: usize;
    /// Whether the integers can be negative.
    const SIGNED: bool;
    /// Whether any offset can differ from zero.
    const OFFSET: bool;

    /// Unpacks one group of a block of `BYTES` bytes.
    fn unpack(block: &[u8], group: usize) -> Group;
}

/// A 16-bit float as a 32-bit one: exact, and plain integer work that the compiler can put into vectors.
#[inline(always)]
pub(crate) fn half_to_float(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let value = if bits & 0x7c00 == 0x7c00 {
        f32::from_bits(magnitude | 0x7f80_0000)
    } else {
        // The exponent's bias differs by 112; scaling by a power of two is exact for subnormals too.
        f32::from_bits(magnitude) * f32::from_bits((112 + 127) << 23)
    };
    f32::from_bits(value.to_bits() | (u32::from(bits & 0x8000) << 16))
}

#[inline(always)]
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half_to_float(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[inline(always)]
fn nibbles(bytes: &[u8]) -> [i8; GROUP] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 } as i8)
}

#[inline(always)]
fn with_fifth_bits(low: [i8; GROUP], high: &[u8]) -> [i8; GROUP] {
    let bits = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    std::array::from_fn(|i| low[i] | (((bits >> i) & 1) << 4) as i8)
}

macro_rules! format {
    ($(#[$meta:meta])* $name:ident, bytes $bytes:expr, groups $groups:expr, signed $signed:expr, offset $offset:expr,
     |$block:ident, $group:ident| $body:expr) => {
        $(#[$meta])*
        pub(crate) struct $name;
        impl Format for $name {
            const BYTES: usize = $bytes;
            const GROUPS: usize = $groups;
            const SIGNED: bool = $signed;
            const OFFSET: bool = $offset;
            #[inline(always)]
            fn unpack($block: &[u8], $group: usize) -> Group {
                let $block = &$block[..$bytes];
                $body
            }
        }
    };
}

format!(
    /// Scale (f16), 32 nibbles; weight = scale · (q − 8).
    Q4_0, bytes 18, groups 1, signed true, offset false,
    |block, _group| Group::uniform(nibbles(&block[2..]).map(|q| q - 8), half_at(block, 0), 0.0)
);
format!(
    /// Scale and offset (f16), 32 nibbles.
    Q4_1, bytes 20, groups 1, signed false, offset true,
    |block, _group| Group::uniform(nibbles(&block[4..]), half_at(block, 0), half_at(block, 2))
);
format!(
    /// Scale (f16), 32 fifth bits, 32 nibbles; weight = scale · (q − 16).
    Q5_0, bytes 22, groups 1, signed true, offset false,
    |block, _group| {
        let quants = with_fifth_bits(nibbles(&block[6..]), &block[2..6]);
        Group::uniform(quants.map(|q| q - 16), half_at(block, 0), 0.0)
    }
);
format!(
    /// Scale and offset (f16), 32 fifth bits, 32 nibbles.
    Q5_1, bytes 24, groups 1, signed false, offset true,
    |block, _group| {
        Group::uniform(with_fifth_bits(nibbles(&block[8..]), &block[4..8]), half_at(block, 0), half_at(block, 2))
    }
);
format!(
    /// Scale (f16), 32 bytes.
    Q8_0, bytes 34, groups 1, signed true, offset false,
    |block, _group| Group::uniform(std::array::from_fn(|i| block[2 + i] as i8), half_at(block, 0), 0.0)
);
format!(
    /// Scale (f16), a scaled sum (f16, not needed here), 32 bytes.
    Q8_1, bytes 36, groups 1, signed true, offset false,
    |block, _group| Group::uniform(std::array::from_fn(|i| block[4 + i] as i8), half_at(block, 0), 0.0)
);
format!(
    /// 256 two-bit numbers; per 16 a 4-bit scale and a 4-bit minimum; two f16 factors for those.
    Q2K, bytes 84, groups 8, signed false, offset true,
    |block, group| {
        let (scales, quants) = (&block[..16], &block[16..80]);
        let (d, dmin) = (half_at(block, 80), half_at(block, 82));
        let shift = 2 * (group % 4);
        let quants: &[u8] = &quants[32 * (group / 4)..][..32];
        let part = |half: usize| scales[2 * group + half];
        Group {
            quants: std::array::from_fn(|i| ((quants[i] >> shift) & 3) as i8),
            scale: [d * f32::from(part(0) & 15), d * f32::from(part(1) & 15)],
            offset: [-dmin * f32::from(part(0) >> 4), -dmin * f32::from(part(1) >> 4)],
        }
    }
);
format!(
    /// 256 three-bit numbers (two bits and a mask of high bits); per 16 a 6-bit scale; one f16 factor.
    Q3K, bytes 110, groups 8, signed true, offset false,
    |block, group| {
        let (mask, low, packed) = (&block[..32], &block[32..96], &block[96..108]);
        let d = half_at(block, 108);
        let shift = 2 * (group % 4);
        let low: &[u8] = &low[32 * (group / 4)..][..32];
        let scale = |index: usize| {
            let nibble = if index < 8 { packed[index] & 15 } else { packed[index - 8] >> 4 };
            let top = (packed[8 + index % 4] >> (2 * (index / 4))) & 3;
            d * (f32::from(nibble | (top << 4)) - 32.0)
        };
        Group {
            quants: std::array::from_fn(|i| {
                ((low[i] >> shift) & 3) as i8 - if mask[i] & (1 << group) == 0 { 4 } else { 0 }
            }),
            scale: [scale(2 * group), scale(2 * group + 1)],
            offset: [0.0; 2],
        }
    }
);

/// The 6-bit scale and minimum of group `index` in the 12 packed bytes of Q4_K and Q5_K.
#[inline(always)]
fn six_bit_pair(packed: &[u8], index: usize) -> (f32, f32) {
    if index < 4 {
        (f32::from(packed[index] & 63), f32::from(packed[index + 4] & 63))
    } else {
        let scale = (packed[index + 4] & 15) | ((packed[index - 4] >> 6) << 4);
        let minimum = (packed[index + 4] >> 4) | ((packed[index] >> 6) << 4);
        (f32::from(scale), f32::from(minimum))
    }
}

format!(
    /// 256 nibbles; per 32 a 6-bit scale and a 6-bit minimum; two f16 factors.
    Q4K, bytes 144, groups 8, signed false, offset true,
    |block, group| {
        let (scale, minimum) = six_bit_pair(&block[4..16], group);
        let quants: &[u8] = &block[16 + 32 * (group / 2)..][..32];
        let shift = 4 * (group % 2);
        Group::uniform(
            std::array::from_fn(|i| ((quants[i] >> shift) & 15) as i8),
            half_at(block, 0) * scale,
            -half_at(block, 2) * minimum,
        )
    }
);
format!(
    /// As Q4_K with a fifth bit for each number.
    Q5K, bytes 176, groups 8, signed false, offset true,
    |block, group| {
        let (scale, minimum) = six_bit_pair(&block[4..16], group);
        let high: &[u8] = &block[16..48];
        let quants: &[u8] = &block[48 + 32 * (group / 2)..][..32];
        let shift = 4 * (group % 2);
        Group::uniform(
            std::array::from_fn(|i| (((quants[i] >> shift) & 15) | (((high[i] >> group) & 1) << 4)) as i8),
            half_at(block, 0) * scale,
            -half_at(block, 2) * minimum,
        )
    }
);
format!(
    /// 256 six-bit numbers (nibbles and pairs of high bits); per 16 an 8-bit scale; one f16 factor.
    Q6K, bytes 210, groups 8, signed true, offset false,
    |block, group| {
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        let d = half_at(block, 208);
        // Each half of the block holds groups 0 to 3: nibbles of bytes 0..32 and 32..64, then the upper nibbles.
        let (side, part) = (group / 4, group % 4);
        let low: &[u8] = &low[64 * side + 32 * (part % 2)..][..32];
        let high: &[u8] = &high[32 * side..][..32];
        let (low_shift, high_shift) = (4 * (part / 2), 2 * part);
        let scale = |half: usize| d * f32::from(scales[2 * group + half] as i8);
        Group {
            quants: std::array::from_fn(|i| {
                (((low[i] >> low_shift) & 15) | (((high[i] >> high_shift) & 3) << 4)) as i8 - 32
            }),
            scale: [scale(0), scale(1)],
            offset: [0.0; 2],
        }
    }
);
format!(
    /// 256 bytes with a 32-bit scale, then sums (not needed here).
    Q8K, bytes 292, groups 8, signed true, offset false,
    |block, group| {
        let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        Group::uniform(std::array::from_fn(|i| block[4 + 32 * group + i] as i8), d, 0.0)
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_convert_as_the_standard_says() {
        for bits in 0..=u16::MAX {
            let right = half::f16::from_bits(bits).to_f32();
            let ours = half_to_float(bits);
            assert!(ours.to_bits() == right.to_bits() || (ours.is_nan() && right.is_nan()), "{bits:04x}");
        }
    }
}
