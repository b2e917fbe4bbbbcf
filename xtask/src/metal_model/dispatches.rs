//! How many dispatches engines issue per step.
//!
//! mlx-lm's are counted in its model files and in the operations of MLX at commit 85a8824a8, with which the published rows were
//! measured; the number of operations per layer was also counted in a graph that mlx-lm built on Linux. Views (reshape,
//! transpose, slice) dispatch nothing.

use super::chips::{Chip, Class};
use super::cost::Issue;
use super::shapes::{AttentionKind, Format, Mlp, Shape};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    MlxLm,
    LlamaCpp,
    Mlxm,
}

/// Dispatches of a part of a step, and groups of them that do not depend on each other.
#[derive(Clone, Copy)]
struct Count {
    dispatches: usize,
    intervals: usize,
}

impl Count {
    const fn new(dispatches: usize, intervals: usize) -> Self {
        Self {
            dispatches,
            intervals,
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self::new(
            self.dispatches + other.dispatches,
            self.intervals + other.intervals,
        )
    }

    const fn times(self, factor: usize) -> Self {
        Self::new(self.dispatches * factor, self.intervals * factor)
    }
}

/// A step that decodes one token, at a number of cached positions.
pub fn decode(engine: Engine, shape: &Shape, format: &Format, chip: &Chip, context: f64) -> Issue {
    let count = match engine {
        Engine::MlxLm => mlx_lm_decode(shape, format, chip, context),
        // Norms and rows of the cache are written by dispatches of their own, activations are fused.
        Engine::LlamaCpp => Count::new(17, 14)
            .times(shape.layers)
            .plus(Count::new(3, 3)),
        Engine::Mlxm => mlxm_layer(shape, context)
            .times(shape.layers)
            .plus(MLXM_STEP),
    };
    issue(engine, count, chip)
}

/// Computing a prompt of this many tokens.
pub fn prefill(engine: Engine, shape: &Shape, format: &Format, chip: &Chip, tokens: f64) -> Issue {
    let (count, steps) = match engine {
        Engine::MlxLm | Engine::LlamaCpp => {
            // Sorting by expert: two sorts, a division, two gathers of indices, three of rows.
            let sorting = match shape.mlp {
                Mlp::Dense { .. } => Count::new(0, 0),
                Mlp::Moe { .. } => Count::new(8, 6),
            };
            let count = mlx_lm_decode(shape, format, chip, 0.0);
            (count.plus(sorting.times(shape.layers)), 1.0)
        }
        Engine::Mlxm => {
            let experts = match shape.mlp {
                // Norms before the tiles.
                Mlp::Dense { .. } => Count::new(2, 2),
                // Also the three dispatches that sort by expert.
                Mlp::Moe { .. } => Count::new(5, 5),
            };
            let layer = mlxm_layer(shape, 0.0).plus(experts);
            let steps = (tokens / MLXM_PREFILL_STEP).ceil();
            (layer.times(shape.layers).plus(MLXM_STEP), steps)
        }
    };
    let step = issue(engine, count, chip);
    Issue {
        dispatches: step.dispatches * steps,
        barrier_intervals: step.barrier_intervals * steps,
        command_buffers: step.command_buffers * steps,
        waits: steps,
    }
}

/// Tokens that mlxm computes in a step.
pub const MLXM_PREFILL_STEP: f64 = 512.0;

/// Dispatches of a layer with full attention when decoding, for the report.
pub fn per_layer(engine: Engine, shape: &Shape, chip: &Chip, context: f64) -> usize {
    match engine {
        Engine::MlxLm => {
            mlx_lm_attention(shape, chip, context)
                .plus(mlx_lm_mlp(shape))
                .dispatches
        }
        Engine::LlamaCpp => 17,
        Engine::Mlxm => mlxm_layer(shape, context).dispatches,
    }
}

fn issue(engine: Engine, count: Count, chip: &Chip) -> Issue {
    let dispatches = count.dispatches as f64;
    let (command_buffers, waits) = match engine {
        // A buffer is committed once it has more operations than the limit. mlx-lm queues the next step before it reads the
        // token of this one. The limit of 40 or 50 million elements is left out: see docs/metal.md.
        Engine::MlxLm => {
            let limit = match chip.class {
                Class::BaseOrPro => 40.0,
                Class::Max | Class::Ultra => 50.0,
            };
            ((dispatches / (limit + 1.0)).ceil(), 0.0)
        }
        Engine::LlamaCpp => (2.0, 1.0),
        Engine::Mlxm => (3.0, 1.0),
    };
    Issue {
        dispatches,
        barrier_intervals: count.intervals as f64,
        command_buffers,
        waits,
    }
}

fn mlx_lm_decode(shape: &Shape, format: &Format, chip: &Chip, context: f64) -> Count {
    // Embedding (rows of codes, scales and biases, then dequantize), final norm, logits, logsumexp, difference, argmax.
    let step = if format.is_quantized() {
        Count::new(9, 7)
    } else {
        Count::new(6, 6)
    };
    let full = mlx_lm_attention(shape, chip, context);
    // Norm; q|k|v, z and two gates; two copies to join the convolution's state and input, one to keep the state; convolution
    // and its activation; norms of q and k and their scales; two gate functions; recurrence; norm, its gate; output; residual.
    let linear = Count::new(21, 12);
    full.times(shape.full_attention_layers())
        .plus(linear.times(shape.linear_attention_layers()))
        .plus(mlx_lm_mlp(shape).times(shape.layers))
        .plus(step)
}

/// From the norm to the residual.
fn mlx_lm_attention(shape: &Shape, chip: &Chip, context: f64) -> Count {
    let attention = match shape.attention.kind {
        // Norm, q, k, v, two RoPEs, two writes to the cache, attention, output, residual.
        AttentionKind::Plain => Count::new(11, 7),
        AttentionKind::QkNorm => Count::new(13, 8),
        AttentionKind::Bias => Count::new(14, 8),
        // One product instead of three; each RoPE multiplies and copies its rows first.
        AttentionKind::Fused => Count::new(13, 9),
    };
    // Rows of the queries without their gate, sigmoid, product.
    let gate = if shape.attention.gated {
        Count::new(3, 2)
    } else {
        Count::new(0, 0)
    };
    let grouped = shape.attention.key_value_heads < shape.attention.heads;
    let two_passes =
        chip.class == Class::Ultra && context >= 1024.0 || grouped && context >= 4096.0;
    let second = usize::from(two_passes);
    attention.plus(gate).plus(Count::new(second, second))
}

/// From the norm to the residual.
fn mlx_lm_mlp(shape: &Shape) -> Count {
    match shape.mlp {
        // Norm, gate and up in one product, activation, down, residual.
        Mlp::Dense { .. } if shape.attention.kind == AttentionKind::Fused => Count::new(5, 5),
        // Norm, gate, up, activation, down, residual.
        Mlp::Dense { .. } => Count::new(6, 5),
        // Norm, router, softmax, partition, scores, their sum and quotient, gate, up, activation, down, products with the
        // scores, sum, residual; and the row numbers that each of the three products of experts gets as an array.
        Mlp::Moe {
            shared_width: 0, ..
        } => Count::new(17, 10),
        // Also gate, up, activation, down, the shared gate, its sigmoid, product, sum.
        Mlp::Moe { .. } => Count::new(25, 11),
    }
}

/// Dispatches of a layer of mlxm: of dense models as the counting backend has them (docs/metal.md), of others as planned.
///
/// Decoding: q|k|v with the norm; `RoPE` with the norms of q and k and the cache; attention in one pass or two; output with the
/// residual; gate and up with norm and activation; down with the residual. For experts: router and selection as well.
fn mlxm_layer(shape: &Shape, context: f64) -> Count {
    let second = usize::from(context > 1024.0);
    let mlp = match shape.mlp {
        Mlp::Dense { .. } => 2,
        Mlp::Moe { .. } => 4,
    };
    let dispatches = 4 + second + mlp;
    Count::new(dispatches, dispatches)
}

/// Embedding, final norm, logits, argmax.
const MLXM_STEP: Count = Count::new(4, 4);

#[cfg(test)]
mod tests {
    use super::super::chips::{M3_ULTRA, M4_MAX};
    use super::super::shapes::{QWEN3_4B, QWEN3_30B_A3B};
    use super::*;

    #[test]
    fn mlx_lm_has_the_operations_of_its_graph_per_layer() {
        let count = |shape| per_layer(Engine::MlxLm, shape, &M4_MAX, 2112.0);
        assert_eq!(count(&QWEN3_4B), 19);
        assert_eq!(count(&QWEN3_30B_A3B), 30);
        assert_eq!(per_layer(Engine::MlxLm, &QWEN3_4B, &M3_ULTRA, 2112.0), 20);
    }

    #[test]
    fn mlxm_stays_within_its_budget_per_layer() {
        let count = |shape, context| per_layer(Engine::Mlxm, shape, &M4_MAX, context);
        assert_eq!(count(&QWEN3_4B, 512.0), 6);
        assert_eq!(count(&QWEN3_4B, 2112.0), 7);
        assert_eq!(count(&QWEN3_30B_A3B, 2112.0), 9);
    }
}
