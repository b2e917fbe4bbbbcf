//! Online softmax: weights of a chunk, merging of chunks, normalization.

use super::super::{
    math,
    simd::{Isa, LANES},
};

/// Running maximum and sum of a query vector.
#[derive(Clone, Copy)]
pub(super) struct SoftmaxState {
    pub max: f32,
    /// The sum of the weights.
    pub sum: f32,
}

impl SoftmaxState {
    /// The state before the first chunk.
    pub const EMPTY: Self = Self {
        max: f32::NEG_INFINITY,
        sum: 0.0,
    };
}

/// Bounds scores by `cap`.
#[inline(always)]
pub(super) fn cap_scores<I: Isa>(cap: f32, scores: &mut [f32]) {
    for score in scores {
        *score = cap * math::tanh::<I>(*score / cap);
    }
}

/// The largest score. NaN is ignored here, but makes its weight NaN.
#[inline(always)]
fn largest(scores: &[f32]) -> f32 {
    // One instruction, where `f32::max` needs three.
    let max = |a: f32, b: f32| if a > b { a } else { b };
    let mut largest = [f32::NEG_INFINITY; LANES];
    for run in scores.chunks_exact(LANES) {
        for lane in 0..LANES {
            largest[lane] = max(run[lane], largest[lane]);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            largest[lane] = max(largest[lane], largest[lane + half]);
        }
        half /= 2;
    }
    largest[0]
}

/// Converts the scores `from..to` of a chunk into weights relative to the largest.
///
/// Runs of sixteen that are partly inside get weights of zero outside.
///
/// # Safety
/// The CPU supports `I`.
#[inline(always)]
pub(super) unsafe fn softmax_weights<I: Isa>(
    scores: &mut [f32],
    from: usize,
    to: usize,
) -> SoftmaxState {
    let runs = from / LANES * LANES..to.next_multiple_of(LANES);
    scores[runs.start..from].fill(f32::NEG_INFINITY);
    scores[to..runs.end].fill(f32::NEG_INFINITY);
    let scores = &mut scores[runs];
    let max = largest(scores);
    // SAFETY: the CPU supports `I` by the contract of this function; runs have sixteen elements.
    unsafe {
        let mut totals = I::splat(0.0);
        for run in scores.chunks_exact_mut(LANES) {
            for score in run.iter_mut() {
                *score = math::exp::<I>(*score - max);
            }
            totals = I::add(totals, I::load(run.as_ptr()));
        }
        SoftmaxState {
            max,
            sum: I::sum(totals),
        }
    }
}

/// Merges the result of a chunk into the running sums. `values` and `part` have the same length, a multiple of sixteen.
#[inline(always)]
pub(super) fn merge<I: Isa>(
    sum: &mut SoftmaxState,
    values: &mut [f32],
    chunk: SoftmaxState,
    part: &[f32],
) {
    // No position of the chunk is visible to the vector.
    if chunk.sum == 0.0 {
        return;
    }
    let max = sum.max.max(chunk.max);
    let (before, now) = (
        math::exp::<I>(sum.max - max),
        math::exp::<I>(chunk.max - max),
    );
    sum.max = max;
    sum.sum = I::fma1(sum.sum, before, chunk.sum * now);
    for (value, part) in values.iter_mut().zip(part) {
        *value = I::fma1(*value, before, part * now);
    }
}

/// Divides by the sum of the weights, including that of the sink.
#[inline(always)]
pub(super) fn normalize<I: Isa>(sum: SoftmaxState, sink: Option<f32>, values: &mut [f32]) {
    let (mut factor, mut total) = (1.0, sum.sum);
    if let Some(sink) = sink {
        let max = sum.max.max(sink);
        factor = math::exp::<I>(sum.max - max);
        total = I::fma1(total, factor, math::exp::<I>(sink - max));
    }
    let factor = factor / total;
    for value in values {
        *value *= factor;
    }
}
