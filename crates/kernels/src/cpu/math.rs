//! Branch-free elementary functions, so that the compiler vectorizes loops over them.
//!
//! The polynomials are minimax fits made for this project. Each comment names the fitted function, its interval, and
//! the largest relative error of the fit without rounding.

use super::simd::Isa;
use crate::{Activation, Xielu};

#[inline(always)]
fn polynomial<I: Isa, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for index in (0..N - 1).rev() {
        sum = I::fma1(sum, x, coefficients[index]);
    }
    sum
}

/// `e^x`; 0 for minus infinity.
#[inline(always)]
pub(crate) fn exp<I: Isa>(x: f32) -> f32 {
    // Adding and subtracting it rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits for `n` times it to be exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-104.0, 89.0);
    let rounded = I::fma1(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let rest = I::fma1(n, -LN2_LOW, I::fma1(n, -LN2_HIGH, x));
    // e^x on ±0.3466, 1.9e-9.
    let power = polynomial::<I, 7>(
        rest,
        [
            1.0,
            1.0,
            0.499_999_9,
            0.166_664_2,
            0.041_668_225,
            0.008_374_823,
            0.001_383_683_4,
        ],
    );
    // Two factors, since 2^n alone may be too large or too small for a float.
    let n = rounded.to_bits() as i32 - ROUND.to_bits() as i32;
    let half = n >> 1;
    let power_of_two = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    power * power_of_two(half) * power_of_two(n - half)
}

/// `tanh x`.
#[inline(always)]
pub(crate) fn tanh<I: Isa>(x: f32) -> f32 {
    let size = x.abs();
    let square = size * size;
    // tanh(√z) / √z on 0..0.4, 4.5e-9.
    let small = size
        * polynomial::<I, 6>(
            square,
            [
                1.0,
                -0.333_332_5,
                0.133_309_32,
                -0.053_705_32,
                0.020_539_936,
                -0.005_602_736_5,
            ],
        );
    let large = 1.0 - 2.0 / (exp::<I>(2.0 * size) + 1.0);
    let result = if size < 0.625 { small } else { large };
    result.copysign(x)
}

/// `x · sigmoid(y)`.
#[inline(always)]
pub(crate) fn times_sigmoid<I: Isa>(x: f32, y: f32) -> f32 {
    x / (1.0 + exp::<I>(-y))
}

/// `x · (1 + erf(x / √2)) / 2`.
#[inline(always)]
fn gelu<I: Isa>(x: f32) -> f32 {
    let z = x * std::f32::consts::FRAC_1_SQRT_2;
    let size = z.abs();
    let square = size * size;
    // erf(√z) / √z on 0..1, 1.2e-9.
    let erf = z * polynomial::<I, 7>(
        square,
        [
            std::f32::consts::FRAC_2_SQRT_PI,
            -0.376_126_26,
            0.112_835_854,
            -0.026_853_813,
            0.005_188_327_7,
            -0.000_801_019_3,
            7.853_858e-5,
        ],
    );
    // ln(erfc(z) / t) + z² for t = 1 / (1 + z / 2) on 1..10, 3.1e-9.
    let t = 1.0 / (1.0 + 0.5 * size);
    let exponent = polynomial::<I, 9>(
        t,
        [
            -1.265_498_3,
            0.999_684_9,
            0.377_818_82,
            0.071_661_91,
            -0.072_823_86,
            -0.066_107_966,
            -0.449_613_18,
            0.643_852_83,
            -0.240_189_6,
        ],
    );
    let erfc = t * exp::<I>(I::fma1(-size, size, exponent));
    let tail = if x < 0.0 { erfc } else { 2.0 - erfc };
    0.5 * x * if size < 1.0 { 1.0 + erf } else { tail }
}

#[inline(always)]
fn gelu_tanh<I: Isa>(x: f32) -> f32 {
    // (1 + tanh u) / 2 is sigmoid(2 u).
    const DOUBLE_SQRT_2_OVER_PI: f32 = 1.595_769_2;
    let inner = x * I::fma1(0.044715 * x, x, 1.0);
    times_sigmoid::<I>(x, DOUBLE_SQRT_2_OVER_PI * inner)
}

/// `e^x − 1 − x` for `x` up to 0.
#[inline(always)]
fn exp_minus_line<I: Isa>(x: f32) -> f32 {
    // (e^x − 1 − x) / x² on −0.5..0, 3.6e-10.
    let small = x
        * x
        * polynomial::<I, 6>(
            x,
            [
                0.5,
                0.166_666_64,
                0.041_666_124,
                0.008_328_672,
                0.001_370_618_7,
                0.000_164_809_68,
            ],
        );
    if x > -0.5 {
        small
    } else {
        exp::<I>(x) - 1.0 - x
    }
}

#[inline(always)]
fn xielu<I: Isa>(x: f32, parameters: Xielu) -> f32 {
    let Xielu {
        alpha_p,
        alpha_n,
        beta,
        eps,
    } = parameters;
    let size = x.min(0.0).min(eps);
    let negative = alpha_n * (exp_minus_line::<I>(size) + (size - x));
    let curve = if x > 0.0 { alpha_p * x * x } else { negative };
    I::fma1(beta, x, curve)
}

/// Applies an activation to every element.
#[inline(always)]
pub(crate) fn activate<I: Isa>(activation: Activation, x: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn map(x: &[f32], out: &mut [f32], function: impl Fn(f32) -> f32) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = function(*x);
        }
    }
    match activation {
        Activation::Silu => map(x, out, |x| times_sigmoid::<I>(x, x)),
        Activation::Gelu => map(x, out, gelu::<I>),
        Activation::GeluTanh => map(x, out, gelu_tanh::<I>),
        Activation::GeluSigmoid => map(x, out, |x| times_sigmoid::<I>(x, 1.702 * x)),
        Activation::Relu => map(x, out, |x| x.max(0.0)),
        Activation::Relu2 => map(x, out, |x| x.max(0.0) * x.max(0.0)),
        Activation::Xielu(parameters) => map(x, out, |x| xielu::<I>(x, parameters)),
    }
}
