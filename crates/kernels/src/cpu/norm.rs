//! RMS norm and layer norm.

use super::{
    Cpu,
    simd::{Isa, LANES, load_part, multiversion},
};
use crate::{Norm, Param, shared::SharedOutput};

/// Elements per task.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Writes `norm(x)` of every chunk of `width` columns to `out`, which is as long as `x`. With a residual and a scale,
/// writes `residual + scale · norm(x)`.
pub(crate) fn norm(
    cpu: &Cpu,
    norm: &Norm,
    x: &[f32],
    width: usize,
    residual: Option<(&[f32], f32)>,
    out: &mut [f32],
) {
    assert!(out.len() == x.len());
    let shared = SharedOutput::new(out);
    let per_task = (TASK_ELEMENTS / width).max(1) * width;
    cpu.pool.parallel_for(x.len().div_ceil(per_task), &|task| {
        let start = task * per_task;
        let len = per_task.min(x.len() - start);
        // SAFETY: the CPU supports `cpu.level`, which was detected. Every task has its own part.
        unsafe {
            let out = shared.part(start, len);
            chunks(cpu.level, norm, &x[start..start + len], width, out);
            if let Some((residual, scale)) = residual {
                add_residual(cpu.level, out, scale, &residual[start..start + len]);
            }
        }
    });
}

multiversion! {
    add_residual [] [] (x: &mut [f32], scale: f32, residual: &[f32]) = add_residual_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn add_residual_with<I: Isa>(x: &mut [f32], scale: f32, residual: &[f32]) {
    for (x, residual) in x.iter_mut().zip(residual) {
        *x = I::fma1(*x, scale, *residual);
    }
}

multiversion! {
    /// Normalizes every chunk of `width` into `out`.
    pub(crate) chunks [] [] (norm: &Norm, x: &[f32], width: usize, out: &mut [f32]) = chunks_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn chunks_with<I: Isa>(norm: &Norm, x: &[f32], width: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        // SAFETY: the CPU supports `I` by the contract of this function.
        unsafe {
            match norm {
                Norm::Rms { weight, eps } => {
                    let factor = 1.0 / (sum_of_squares::<I>(x) / width as f32 + eps).sqrt();
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = x * factor;
                    }
                    multiply(out, weight.as_ref());
                }
                Norm::Layer {
                    weight,
                    bias,
                    groups,
                    eps,
                } => {
                    let size = width / groups;
                    for (x, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
                        standardize::<I>(x, *eps, out);
                    }
                    multiply(out, weight.as_ref());
                    if let Some(bias) = bias {
                        for (out, bias) in out.iter_mut().zip(bias.as_slice()) {
                            *out += bias;
                        }
                    }
                }
            }
        }
    }
}

/// Writes `x` with mean 0 and variance 1 to `out`.
///
/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn standardize<I: Isa>(x: &[f32], eps: f32, out: &mut [f32]) {
    let size = x.len() as f32;
    // SAFETY: the CPU supports `I` by the contract of this function.
    unsafe {
        let mean = sum::<I>(x) / size;
        for (out, x) in out.iter_mut().zip(x) {
            *out = x - mean;
        }
        let factor = 1.0 / (sum_of_squares::<I>(out) / size + eps).sqrt();
        for out in out.iter_mut() {
            *out *= factor;
        }
    }
}

#[inline(always)]
fn multiply(out: &mut [f32], weight: Option<&Param>) {
    if let Some(weight) = weight {
        for (out, weight) in out.iter_mut().zip(weight.as_slice()) {
            *out *= weight;
        }
    }
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn sum<I: Isa>(x: &[f32]) -> f32 {
    // SAFETY: the CPU supports `I` by the contract of this function; loads are inside `x`.
    unsafe {
        let mut sums = I::splat(0.0);
        let (whole, rest) = x.split_at(x.len() / LANES * LANES);
        for x in whole.chunks_exact(LANES) {
            sums = I::add(sums, I::load(x.as_ptr()));
        }
        if !rest.is_empty() {
            sums = I::add(sums, load_part::<I>(rest.as_ptr(), rest.len()));
        }
        I::sum(sums)
    }
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn sum_of_squares<I: Isa>(x: &[f32]) -> f32 {
    // SAFETY: the CPU supports `I` by the contract of this function; loads are inside `x`.
    unsafe {
        let mut sums = I::splat(0.0);
        let (whole, rest) = x.split_at(x.len() / LANES * LANES);
        for x in whole.chunks_exact(LANES) {
            let x = I::load(x.as_ptr());
            sums = I::fma(x, x, sums);
        }
        if !rest.is_empty() {
            let x = load_part::<I>(rest.as_ptr(), rest.len());
            sums = I::fma(x, x, sums);
        }
        I::sum(sums)
    }
}
