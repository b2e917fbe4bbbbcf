//! The specification: every operation in its simplest form.
//!
//! Sums are f64, so a result equals exact arithmetic rounded once. Every faster implementation is tested against this
//! module and must agree to a few f32 roundings. Slices are row-major; the caller has checked the shapes.

use crate::{
    Activation, AttentionSpec, KvCache, KvSpan, QueryScaling, Rope, Weight,
    cpu::kv_cache::CpuKvCache,
};

/// `x · wᵀ + bias` for `x` of `[rows, w.cols()]`.
pub fn linear(x: &[f32], w: &Weight, bias: Option<&[f32]>) -> Vec<f32> {
    let rows = x.len() / w.cols();
    let mut out = vec![0.0; rows * w.rows()];
    let mut weight = vec![0.0; w.cols()];
    for n in 0..w.rows() {
        w.dequantize_row(n, &mut weight);
        for (t, x) in x.chunks_exact(w.cols()).enumerate() {
            let sum: f64 = x
                .iter()
                .zip(&weight)
                .map(|(x, w)| f64::from(*x) * f64::from(*w))
                .sum();
            out[t * w.rows() + n] = (sum + bias.map_or(0.0, |bias| f64::from(bias[n]))) as f32;
        }
    }
    out
}

/// The activations of int8 kernels as floats: every group of `group` columns is rounded to the nearest multiple (ties
/// to even) of its largest magnitude / 127.
pub fn round_to_int8(x: &[f32], group: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for x in x.chunks_exact(group) {
        let largest = x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        if largest < 1e-30 {
            out.extend(x.iter().map(|_| 0.0));
            continue;
        }
        let (step, inverse) = (largest / 127.0, 127.0 / largest);
        out.extend(x.iter().map(|x| (x * inverse).round_ties_even() * step));
    }
    out
}

/// Divides every chunk of `width` by its root mean square, then multiplies by `weight`.
pub fn rms_norm(x: &[f32], width: usize, weight: Option<&[f32]>, eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for x in x.chunks_exact(width) {
        let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        let factor = 1.0 / (squares / width as f64 + f64::from(eps)).sqrt();
        out.extend(x.iter().enumerate().map(|(index, x)| {
            let weight = weight.map_or(1.0, |weight| f64::from(weight[index]));
            (f64::from(*x) * factor * weight) as f32
        }));
    }
    out
}

/// Shifts every chunk of `width` to mean 0 and scales it to variance 1, then applies `weight` and `bias`.
pub fn layer_norm(
    x: &[f32],
    width: usize,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for x in x.chunks_exact(width) {
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
        let variance = x
            .iter()
            .map(|x| (f64::from(*x) - mean).powi(2))
            .sum::<f64>()
            / width as f64;
        let factor = 1.0 / (variance + f64::from(eps)).sqrt();
        out.extend(x.iter().enumerate().map(|(index, x)| {
            let weight = weight.map_or(1.0, |weight| f64::from(weight[index]));
            let bias = bias.map_or(0.0, |bias| f64::from(bias[index]));
            ((f64::from(*x) - mean) * factor * weight + bias) as f32
        }));
    }
    out
}

/// Rotates the heads of each row of `x`, `[positions.len(), heads * head_dim]`, in place.
pub fn rope(x: &mut [f32], head_dim: usize, positions: &[u32], rope: &Rope) {
    let width = x.len() / positions.len().max(1);
    let half = rope.dims / 2;
    for (row, position) in x.chunks_exact_mut(width.max(1)).zip(positions) {
        for head in row.chunks_exact_mut(head_dim) {
            for (pair, frequency) in rope.inverse_frequencies.iter().enumerate() {
                let (sin, cos) = (*position as f32 * frequency).sin_cos();
                let (first, second) = if rope.traditional {
                    (2 * pair, 2 * pair + 1)
                } else {
                    (pair, pair + half)
                };
                let (a, b) = (
                    head[first] * rope.attention_factor,
                    head[second] * rope.attention_factor,
                );
                head[first] = a * cos - b * sin;
                head[second] = a * sin + b * cos;
            }
        }
    }
}

/// Scales each row of queries `q` by the factor of its position, in place.
pub fn scale_queries(q: &mut [f32], positions: &[u32], scaling: &QueryScaling) {
    let width = q.len() / positions.len().max(1);
    for (row, position) in q.chunks_exact_mut(width.max(1)).zip(positions) {
        let extensions = (f64::from(*position) / f64::from(scaling.original_length)).floor();
        let factor = 1.0 + f64::from(scaling.beta) * extensions.ln_1p();
        for q in row.iter_mut() {
            *q = (f64::from(*q) * factor) as f32;
        }
    }
}

/// One activation.
pub fn activate(x: f32, activation: Activation) -> f32 {
    let x = f64::from(x);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y = match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => {
            x * 0.5 * (1.0 + candle_core::cpu::erf::erf_f64(x * std::f64::consts::FRAC_1_SQRT_2))
        }
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::GeluSigmoid => x * sigmoid(1.702 * x),
        Activation::Relu => x.max(0.0),
        Activation::Relu2 => x.max(0.0).powi(2),
        Activation::Xielu(parameters) => {
            let [alpha_p, alpha_n, beta, eps] = [
                parameters.alpha_p,
                parameters.alpha_n,
                parameters.beta,
                parameters.eps,
            ]
            .map(f64::from);
            let curve = if x > 0.0 {
                alpha_p * x.powi(2)
            } else {
                alpha_n * (x.min(eps).exp_m1() - x)
            };
            curve + beta * x
        }
    };
    y as f32
}

/// `cap · tanh(x / cap)`.
pub fn softcap(x: f32, cap: f32) -> f32 {
    (f64::from(cap) * (f64::from(x) / f64::from(cap)).tanh()) as f32
}

/// Attention of every span's rows over its blocks in a cache of the CPU; rows of `q` that belong to no span give zeros.
///
/// # Panics
/// If the cache is that of another device.
pub fn attention(
    q: &[f32],
    cache: &KvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
) -> Vec<f32> {
    let Ok(cache) = cache.on_cpu("attention") else {
        panic!("the reference reads caches of the CPU");
    };
    let rows = q.len() / (spec.heads * spec.head_dim);
    let mut out = vec![0.0; rows * spec.heads * spec.value_dim];
    for span in spans {
        let end = span.first_position + span.rows.len();
        for (index, row) in span.rows.clone().enumerate() {
            let visible = spec.visible(span.mask, span.first_position + index, end);
            for head in 0..spec.heads {
                let at = row * spec.heads + head;
                let q = &q[at * spec.head_dim..][..spec.head_dim];
                let out = &mut out[at * spec.value_dim..][..spec.value_dim];
                let kv_head = head / (spec.heads / spec.kv_heads);
                let sink = spec
                    .sinks
                    .as_ref()
                    .map(|sinks| f64::from(sinks.as_slice()[head]));
                attend(
                    q,
                    cache,
                    span.blocks,
                    visible.clone(),
                    kv_head,
                    sink,
                    spec,
                    out,
                );
            }
        }
    }
    out
}

#[expect(
    clippy::too_many_arguments,
    reason = "one head of one row, unpacked by the only caller"
)]
fn attend(
    q: &[f32],
    cache: &CpuKvCache,
    blocks: &[u32],
    visible: std::ops::Range<usize>,
    kv_head: usize,
    sink: Option<f64>,
    spec: &AttentionSpec,
    out: &mut [f32],
) {
    let block_size = cache.shape().block_size;
    let place = |position: usize| {
        (
            blocks[position / block_size] as usize,
            position % block_size,
        )
    };
    let scores: Vec<f64> = visible
        .clone()
        .map(|position| {
            let (block, offset) = place(position);
            let dot: f64 = q
                .iter()
                .enumerate()
                .map(|(element, q)| {
                    f64::from(*q) * f64::from(cache.key(block, kv_head, offset, element))
                })
                .sum();
            let score = dot * f64::from(spec.scale);
            spec.softcap.map_or(score, |cap| {
                f64::from(cap) * (score / f64::from(cap)).tanh()
            })
        })
        .collect();
    let max = scores
        .iter()
        .copied()
        .chain(sink)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut total = sink.map_or(0.0, |sink| (sink - max).exp());
    let mut sums = vec![0.0; out.len()];
    for (position, score) in visible.zip(&scores) {
        let weight = (score - max).exp();
        total += weight;
        let (block, offset) = place(position);
        for (element, sum) in sums.iter_mut().enumerate() {
            *sum += weight * f64::from(cache.value(block, kv_head, offset, element));
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = (sum / total) as f32;
    }
}
