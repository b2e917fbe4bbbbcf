//! Element-wise operations.

use super::{
    Cpu, math,
    simd::{Isa, multiversion},
};
use crate::{op::Function, shared::SharedOutput};

/// Elements per task.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Writes `function(x)` to `out`, which is as long as `x`.
pub(crate) fn map(cpu: &Cpu, function: Function, x: &[f32], out: &mut [f32]) {
    assert!(out.len() == x.len());
    let shared = SharedOutput::new(out);
    cpu.pool
        .parallel_for(x.len().div_ceil(TASK_ELEMENTS), &|task| {
            let start = task * TASK_ELEMENTS;
            let len = TASK_ELEMENTS.min(x.len() - start);
            // SAFETY: the CPU supports `cpu.level`, which was detected. Every task has its own part.
            unsafe {
                let out = shared.part(start, len);
                apply(cpu.level, function, &x[start..start + len], out);
            }
        });
}

multiversion! {
    apply [] [] (function: Function, x: &[f32], out: &mut [f32]) = apply_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn apply_with<I: Isa>(function: Function, x: &[f32], out: &mut [f32]) {
    match function {
        Function::Scale(factor) => {
            for (out, x) in out.iter_mut().zip(x) {
                *out = x * factor;
            }
        }
        Function::Softcap(cap) => {
            for (out, x) in out.iter_mut().zip(x) {
                *out = cap * math::tanh::<I>(x / cap);
            }
        }
    }
}
