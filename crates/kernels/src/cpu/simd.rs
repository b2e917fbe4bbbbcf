//! Vectors of sixteen f32 lanes on every instruction set.
//!
//! The lane count is the same everywhere and sums are carried per lane and folded in one order, so instruction sets
//! with a fused multiply-add give bitwise equal results; plain x86-64, which has none, rounds the product as well.

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// The instruction sets chosen between at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SimdLevel {
    /// Code without intrinsics.
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl SimdLevel {
    /// Every level this CPU has, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            not(any(target_arch = "x86_64", target_arch = "aarch64")),
            expect(unused_mut, reason = "other CPUs have one level")
        )]
        let mut levels = vec![Self::Portable];
        // Every 64-bit Arm CPU has it.
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            levels.push(Self::Avx2);
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// The best level this CPU has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }
}

/// Defines `name(level, arguments…)`, which calls `generic::<Isa, …>`, compiled once per instruction set.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis $name:ident [$($declare:tt)*] [$($use:tt)*] ($($arg:ident: $type:ty),* $(,)?) = $generic:ident) => {
        $(#[$meta])*
        ///
        /// # Safety
        #[doc = concat!("The CPU supports `level`. Otherwise as for [`", stringify!($generic), "`].")]
        $vis unsafe fn $name<$($declare)*>(level: $crate::cpu::simd::SimdLevel, $($arg: $type),*) {
            /// # Safety
            /// The CPU supports the enabled features. Otherwise as for `$generic`.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512<$($declare)*>($($arg: $type),*) {
                // SAFETY: the contract of this function.
                unsafe { $generic::<$crate::cpu::x86::Avx512, $($use)*>($($arg),*) }
            }
            /// # Safety
            /// The CPU supports the enabled features. Otherwise as for `$generic`.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2<$($declare)*>($($arg: $type),*) {
                // SAFETY: the contract of this function.
                unsafe { $generic::<$crate::cpu::x86::Avx2, $($use)*>($($arg),*) }
            }
            // SAFETY: the CPU supports `level`, which implies the features that each function enables and the
            // instruction set that it uses. The rest is the contract of this function.
            unsafe {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    $crate::cpu::simd::SimdLevel::Avx512 => avx512::<$($use)*>($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::cpu::simd::SimdLevel::Avx2 => avx2::<$($use)*>($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    $crate::cpu::simd::SimdLevel::Neon => {
                        $generic::<$crate::cpu::neon::Neon, $($use)*>($($arg),*);
                    }
                    $crate::cpu::simd::SimdLevel::Portable => {
                        $generic::<$crate::cpu::simd::Portable, $($use)*>($($arg),*);
                    }
                }
            }
        }
    };
}
pub(crate) use multiversion;

/// An instruction set.
///
/// The methods execute instructions of the set, and must be inlined into a function that enables them to be fast:
/// they are called from functions that [`multiversion`] compiles. Pointers need no alignment.
pub(crate) trait Isa: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Per-group data of [`Isa::nibbles`] for a group of 4-bit integers.
    type Nibbles: Copy;
    /// Sixteen table entries.
    type Table: Copy;
    /// Whether the sums of four by six vectors stay in registers.
    const WIDE: bool;

    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn splat(value: f32) -> Self::V;
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 16 values.
    unsafe fn load(from: *const f32) -> Self::V;
    /// # Safety
    /// The CPU supports `Self`; `to` is writable for 16 values.
    unsafe fn store(to: *mut f32, value: Self::V);
    /// Widens 16 half-precision values.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 16 values.
    unsafe fn load_f16(from: *const u16) -> Self::V;
    /// Widens 16 bfloat16 values.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 16 values.
    unsafe fn load_bf16(from: *const u16) -> Self::V;
    /// Sixteen signed bytes.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 16 values.
    unsafe fn load_i8(from: *const i8) -> Self::V;
    /// Narrows to 16 half-precision values, to nearest and ties to even. Values beyond ±65504 become ±65504; NaN stays.
    ///
    /// # Safety
    /// The CPU supports `Self`; `to` is writable for 16 values.
    unsafe fn store_f16(to: *mut u16, value: Self::V);
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sum of the lanes: lane `i` with `i + 8`, then `i + 4`, `i + 2`, `i + 1`.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn sum(value: Self::V) -> f32;
    /// Sixteen unsigned integers of `BITS` bits from `2 · BITS` bytes; `BITS` is 2, 3, 4, 5, 6 or 8.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for `2 · BITS` bytes, and `BITS` is one of the values above.
    unsafe fn integers<const BITS: usize>(from: *const u8) -> Self::V;
    /// Prepares [`Isa::scaled_nibbles`].
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn nibbles(scale: f32, bias: f32) -> Self::Nibbles;
    /// `integers::<4>` times scale plus bias.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 8 bytes.
    unsafe fn scaled_nibbles(prepared: Self::Nibbles, from: *const u8) -> Self::V;
    /// The table's entries times `scale`.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn table(entries: &[f32; LANES], scale: f32) -> Self::Table;
    /// The entries that sixteen 4-bit codes in 8 bytes select.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 8 bytes.
    unsafe fn look_up(table: Self::Table, from: *const u8) -> Self::V;
    /// Sixteen E4M3 floats.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for 16 bytes.
    unsafe fn e4m3(from: *const u8) -> Self::V;
    /// `a · b + c` of single values, rounded like [`Isa::fma`].
    fn fma1(a: f32, b: f32, c: f32) -> f32;
}

/// Loads `count` values, followed by zeros.
///
/// # Safety
/// The CPU supports `I`; `from` is readable for `count` values, at most sixteen.
#[inline(always)]
pub(crate) unsafe fn load_part<I: Isa>(from: *const f32, count: usize) -> I::V {
    let mut lanes = [0.0; LANES];
    // SAFETY: the contract of this function; `lanes` is a new array of sixteen values.
    unsafe {
        std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count.min(LANES));
        I::load(lanes.as_ptr())
    }
}

/// Folds lanes in the order every instruction set uses.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Half precision to single, without a branch, so that loops over it become vector code.
#[inline(always)]
pub(crate) fn widen_f16(value: u16) -> f32 {
    let magnitude = u32::from(value & 0x7fff) << 13;
    // 2^112 makes up for the difference of the exponent biases and holds for subnormals, too.
    let finite = (f32::from_bits(magnitude) * f32::from_bits((112 + 127) << 23)).to_bits();
    let special = magnitude | 0x7f80_0000;
    let bits = if value & 0x7c00 == 0x7c00 {
        special
    } else {
        finite
    };
    f32::from_bits(bits | u32::from(value & 0x8000) << 16)
}

/// The largest finite half-precision value.
pub(crate) const F16_MAX: f32 = 65504.0;

/// Single precision to half, to nearest and ties to even, without a branch. Values beyond ±[`F16_MAX`] become that.
#[inline(always)]
pub(crate) fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = (bits & 0x7fff_ffff).min(F16_MAX.to_bits());
    // Half of the dropped bits, less one if the kept part is even, carries into the kept part when it is to round up.
    let normal = (magnitude + 0xfff + (magnitude >> 13 & 1)).wrapping_sub(112 << 23) >> 13;
    // The sum with 1/2 has steps of the smallest half-precision value.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits();
    let rounded = if magnitude < (127 - 14) << 23 {
        subnormal
    } else {
        normal
    };
    let rounded = if value.is_nan() { 0x7e00 } else { rounded };
    (rounded | bits >> 16 & 0x8000) as u16
}

#[inline(always)]
pub(crate) fn widen_bf16(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

/// `a · b + c` of plain code, rounded once where that is an instruction.
#[inline(always)]
pub(crate) fn plain_fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        // Without the instruction `mul_add` is a slow library call.
        a * b + c
    }
}

/// Plain code over arrays, which the compiler makes vectors of where it can.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Isa for Portable {
    type V = [f32; LANES];
    type Nibbles = (f32, f32);
    type Table = [f32; LANES];
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the contract of `Isa::load`: sixteen values are readable.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Self::V) {
        // SAFETY: the contract of `Isa::store`: sixteen values are writable.
        unsafe { to.cast::<Self::V>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self::V {
        // SAFETY: the contract of `Isa::load_f16`: sixteen values are readable.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned() }.map(widen_f16)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self::V {
        // SAFETY: the contract of `Isa::load_bf16`: sixteen values are readable.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned() }.map(widen_bf16)
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self::V {
        // SAFETY: the contract of `Isa::load_i8`: sixteen values are readable.
        unsafe { from.cast::<[i8; LANES]>().read_unaligned() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, value: Self::V) {
        // SAFETY: the contract of `Isa::store_f16`: sixteen values are writable.
        unsafe {
            to.cast::<[u16; LANES]>()
                .write_unaligned(value.map(narrow_f16));
        }
    }

    #[inline(always)]
    unsafe fn add(mut a: Self::V, b: Self::V) -> Self::V {
        for lane in 0..LANES {
            a[lane] += b[lane];
        }
        a
    }

    #[inline(always)]
    unsafe fn mul(mut a: Self::V, b: Self::V) -> Self::V {
        for lane in 0..LANES {
            a[lane] *= b[lane];
        }
        a
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, mut c: Self::V) -> Self::V {
        for lane in 0..LANES {
            c[lane] = Self::fma1(a[lane], b[lane], c[lane]);
        }
        c
    }

    #[inline(always)]
    unsafe fn sum(value: Self::V) -> f32 {
        fold(value)
    }

    #[inline(always)]
    unsafe fn integers<const BITS: usize>(from: *const u8) -> Self::V {
        let mut bytes = [0_u8; 17];
        // SAFETY: the contract of `Isa::integers`: `2 · BITS` bytes are readable, at most 16, so they fit `bytes`.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), 2 * BITS) };
        let mut out = [0.0; LANES];
        for (lane, out) in out.iter_mut().enumerate() {
            let bit = lane * BITS;
            let word = u32::from(bytes[bit / 8]) | u32::from(bytes[bit / 8 + 1]) << 8;
            *out = ((word >> (bit % 8)) & ((1 << BITS) - 1)) as f32;
        }
        out
    }

    #[inline(always)]
    unsafe fn nibbles(scale: f32, bias: f32) -> Self::Nibbles {
        (scale, bias)
    }

    #[inline(always)]
    unsafe fn scaled_nibbles((scale, bias): Self::Nibbles, from: *const u8) -> Self::V {
        // SAFETY: the contract of `Isa::scaled_nibbles`: eight bytes are readable.
        unsafe { Self::fma(Self::integers::<4>(from), [scale; LANES], [bias; LANES]) }
    }

    #[inline(always)]
    unsafe fn table(entries: &[f32; LANES], scale: f32) -> Self::Table {
        entries.map(|entry| entry * scale)
    }

    #[inline(always)]
    unsafe fn look_up(table: Self::Table, from: *const u8) -> Self::V {
        // SAFETY: the contract of `Isa::look_up`: eight bytes are readable.
        let codes = u64::from_le_bytes(unsafe { from.cast::<[u8; 8]>().read_unaligned() });
        std::array::from_fn(|lane| table[(codes >> (4 * lane)) as usize & 15])
    }

    #[inline(always)]
    unsafe fn e4m3(from: *const u8) -> Self::V {
        // SAFETY: the contract of `Isa::e4m3`: sixteen bytes are readable.
        unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(crate::quant::e4m3_to_f32)
    }

    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        plain_fma(a, b, c)
    }
}
