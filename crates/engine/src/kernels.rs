//! The arithmetic of a CPU shard.
//!
//! One rule governs all of it: **every output number is reduced in one fixed order**, which depends on nothing but the
//! length of the sum. Not on how many rows are computed together, not on how a prompt was cut, not on the number of
//! threads, and not on the instruction set: integer dot products are exact, and the floating-point work is laid out in
//! eight lanes that AVX2, AVX512-VNNI and the portable code fill alike, with fused multiply-adds everywhere and a
//! polynomial `exp` instead of the system's. So hidden states are equal to the last bit whatever the split, the mates
//! in the batch, or the machine, and failover and audits can compare bytes instead of tolerances.
//!
//! Bodies are written once as `#[inline(always)]` functions over slices and compiled per instruction set; only the
//! integer dot product in `dot` is spelled out in intrinsics.

pub(crate) mod attention;
pub(crate) mod dot;
pub(crate) mod float;
pub(crate) mod format;
pub(crate) mod math;
pub(crate) mod matmul;
pub(crate) mod pool;
pub(crate) mod quantise;
pub(crate) mod rows;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::OnceLock;

/// The instruction sets the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Isa {
    /// Plain Rust: correct everywhere, slow where there is no fused multiply-add.
    Portable,
    /// AVX2, FMA, F16C.
    Avx2,
    /// AVX2 plus 256-bit AVX512-VNNI dot products.
    Avx512Vnni,
}

impl Isa {
    /// The best one this processor has.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx2") && has!("fma") && has!("f16c") {
                    if has!("avx512vnni") && has!("avx512vl") && has!("avx512bw") && has!("avx512f") {
                        return Isa::Avx512Vnni;
                    }
                    return Isa::Avx2;
                }
            }
            Isa::Portable
        })
    }

    /// Every one this processor can run; tests compare them bit by bit.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        [Isa::Portable, Isa::Avx2, Isa::Avx512Vnni].into_iter().filter(|isa| *isa <= Self::best()).collect()
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512-vnni",
        }
    }
}

/// Compiles a body for every instruction set and picks one at the call:
/// `dispatch!(isa, body::<A, B>(arguments…))`.
macro_rules! dispatch {
    ($isa:expr, fn $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $body:block) => {{
        #[inline(always)]
        fn body($($arg: $ty),*) $body
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2($($arg: $ty),*) { body($($arg),*) }
        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::Isa::Avx2 | $crate::kernels::Isa::Avx512Vnni => {
                // SAFETY: `Isa::best` found these features on this processor, and nothing else makes these variants.
                unsafe { avx2($($arg),*) }
            }
            _ => body($($arg),*),
        }
    }};
}
pub(crate) use dispatch;
