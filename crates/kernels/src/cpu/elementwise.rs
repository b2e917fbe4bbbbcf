//! Element-wise operations, and the largest element.

use super::{
    Cpu, math,
    simd::{Isa, multiversion},
};
use crate::{
    op::{BinaryFunction, Function},
    shared::SharedOutput,
};

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

/// The column of the first of the largest values; -1 if there is NaN or that value is infinite.
pub(crate) fn argmax(x: &[f32]) -> f32 {
    let (mut largest, mut first) = (f32::NEG_INFINITY, 0);
    for (column, &value) in x.iter().enumerate() {
        if value.is_nan() {
            return -1.0;
        }
        if value > largest {
            (largest, first) = (value, column);
        }
    }
    if largest.is_finite() {
        first as f32
    } else {
        -1.0
    }
}

/// Writes `function(x, y)` to `out`, which is as long as `x`. An element of `y` is for `per_element` elements of `x`.
pub(crate) fn combine(
    cpu: &Cpu,
    function: BinaryFunction,
    x: &[f32],
    y: &[f32],
    per_element: usize,
    out: &mut [f32],
) {
    assert!(out.len() == x.len() && x.len() == y.len() * per_element);
    let shared = SharedOutput::new(out);
    let per_task = (TASK_ELEMENTS / per_element.max(1)).max(1);
    cpu.pool.parallel_for(y.len().div_ceil(per_task), &|task| {
        let y = &y[task * per_task..y.len().min((task + 1) * per_task)];
        let (start, len) = (task * per_task * per_element, y.len() * per_element);
        // SAFETY: the CPU supports `cpu.level`, which was detected. Every task has its own part.
        unsafe {
            let out = shared.part(start, len);
            let x = &x[start..start + len];
            apply_binary(cpu.level, function, x, y, per_element, out);
        }
    });
}

multiversion! {
    apply_binary [] [] (
        function: BinaryFunction,
        x: &[f32],
        y: &[f32],
        per_element: usize,
        out: &mut [f32]
    ) = apply_binary_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn apply_binary_with<I: Isa>(
    function: BinaryFunction,
    x: &[f32],
    y: &[f32],
    per_element: usize,
    out: &mut [f32],
) {
    #[inline(always)]
    fn map(
        x: &[f32],
        y: &[f32],
        per_element: usize,
        out: &mut [f32],
        function: impl Fn(f32, f32) -> f32,
    ) {
        if per_element == 1 {
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = function(*x, *y);
            }
            return;
        }
        let chunks = out.chunks_exact_mut(per_element.max(1));
        for ((out, x), y) in chunks.zip(x.chunks_exact(per_element.max(1))).zip(y) {
            for (out, x) in out.iter_mut().zip(x) {
                *out = function(*x, *y);
            }
        }
    }
    match function {
        BinaryFunction::Add => map(x, y, per_element, out, |x, y| x + y),
        BinaryFunction::SigmoidGate => {
            map(x, y, per_element, out, math::times_sigmoid::<I>);
        }
    }
}
