//! Rotary position embeddings.

use std::cell::RefCell;

use super::{
    Cpu,
    shared::SharedOutput,
    simd::{Isa, versions},
};
use crate::Rope;

/// Elements that are worth handing to another thread.
const TASK_ELEMENTS: usize = 8 * 1024;

thread_local! {
    /// Cosines, then sines, of one position.
    static TURNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Turns the heads of each row of `x`, `[positions.len(), width]`.
pub(crate) fn rope(
    cpu: &Cpu,
    x: &[f32],
    width: usize,
    head_dim: usize,
    positions: &[u32],
    rope: &Rope,
) -> Vec<f32> {
    let mut out = x.to_vec();
    let shared = SharedOutput::new(&mut out);
    let pairs = rope.inverse_frequencies.len();
    let rows_per_task = (TASK_ELEMENTS / width).max(1);
    cpu.pool
        .parallel_for(positions.len().div_ceil(rows_per_task), &|task| {
            let first = task * rows_per_task;
            let positions = &positions[first..positions.len().min(first + rows_per_task)];
            TURNS.with_borrow_mut(|turns| {
                turns.resize(2 * pairs, 0.0);
                let (cosines, sines) = turns.split_at_mut(pairs);
                for (index, position) in positions.iter().enumerate() {
                    for (pair, frequency) in rope.inverse_frequencies.iter().enumerate() {
                        (sines[pair], cosines[pair]) = (*position as f32 * frequency).sin_cos();
                    }
                    // SAFETY: the level was detected; tasks have disjoint rows.
                    unsafe {
                        let row = shared.part((first + index) * width, width);
                        turn(cpu.level, row, head_dim, rope, cosines, sines);
                    }
                }
            });
        });
    out
}

versions! {
    turn [] [] (row: &mut [f32], head_dim: usize, rope: &Rope, cosines: &[f32], sines: &[f32]) = turn_with
}

#[inline(always)]
unsafe fn turn_with<I: Isa>(
    row: &mut [f32],
    head_dim: usize,
    rope: &Rope,
    cosines: &[f32],
    sines: &[f32],
) {
    let amplitude = rope.amplitude;
    for head in row.chunks_exact_mut(head_dim) {
        let turned = &mut head[..rope.dims];
        let turns = cosines.iter().zip(sines);
        if rope.traditional {
            for (pair, (cos, sin)) in turned.chunks_exact_mut(2).zip(turns) {
                let (a, b) = (pair[0] * amplitude, pair[1] * amplitude);
                pair[0] = I::fma1(a, *cos, -(b * sin));
                pair[1] = I::fma1(a, *sin, b * cos);
            }
        } else {
            let (first, second) = turned.split_at_mut(rope.dims / 2);
            for ((first, second), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                let (a, b) = (*first * amplitude, *second * amplitude);
                *first = I::fma1(a, *cos, -(b * sin));
                *second = I::fma1(a, *sin, b * cos);
            }
        }
    }
}
