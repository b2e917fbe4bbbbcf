//! Bytes and floating-point operations of a step.

use super::cost::Work;
use super::shapes::{Format, Mlp, Shape};

/// Rows of the tiles in which MLX multiplies rows that are sorted by expert.
const EXPERT_TILE_ROWS: usize = 16;

/// How an engine keeps activations while it computes a prompt.
#[derive(Clone, Copy)]
pub enum Activations {
    /// mlx-lm: 16 bits, every elementwise operation a dispatch of its own.
    Separate,
    /// mlxm: 32 bits, elementwise operations within the products.
    Fused,
}

/// Decoding one token of one sequence with this many cached positions.
pub fn decode(shape: &Shape, format: &Format, context: f64) -> Work {
    let layers = shape.full_attention_layers() * shape.attention_weights()
        + shape.linear_attention_layers() * shape.linear_attention_weights()
        + shape.layers * shape.active_mlp_weights();
    let weights = layers + shape.hidden_size * shape.vocabulary;
    let routers = shape.layers * shape.router_weights();
    let bits =
        weights as f64 * format.bits_per_weight + routers as f64 * format.router_bits_per_weight;
    let scores = 4 * shape.attention.heads * shape.attention.head_width;
    Work {
        bytes: bits / 8.0 + context * cache_bytes_per_position(shape) + state_bytes(shape),
        operations: 2.0 * (weights + routers) as f64
            + context * (scores * shape.full_attention_layers()) as f64,
        activation_bytes: 0.0,
    }
}

/// Keys and values in 16 bits.
fn cache_bytes_per_position(shape: &Shape) -> f64 {
    let width = shape.attention.key_value_heads * shape.attention.head_width;
    (shape.full_attention_layers() * width * 2 * 2) as f64
}

/// Reading and writing the recurrent states in 32 bits.
fn state_bytes(shape: &Shape) -> f64 {
    shape.linear_attention.map_or(0.0, |linear| {
        let state = linear.value_heads * linear.head_width * linear.head_width;
        (shape.linear_attention_layers() * state * 4 * 2) as f64
    })
}

/// Computing the keys and values of a prompt, without logits.
///
/// The last layer's only result is its keys and values: nothing reads more of it.
pub fn prefill(shape: &Shape, format: &Format, tokens: f64, activations: Activations) -> Work {
    let layers = |full: f64, linear: f64, each: f64| {
        (shape.full_attention_layers() - 1) as f64 * full
            + shape.linear_attention_layers() as f64 * linear
            + (shape.layers - 1) as f64 * each
    };
    let weights = layers(
        shape.attention_weights() as f64,
        shape.linear_attention_weights() as f64,
        shape.router_weights() as f64
            + expert_row_factor(shape, tokens) * shape.active_mlp_weights() as f64,
    ) + shape.key_value_weights() as f64;
    // A query is multiplied with the keys up to its own position, and so are the values.
    let scores =
        4.0 * (shape.attention.heads * shape.attention.head_width) as f64 * tokens * (tokens + 1.0)
            / 2.0;
    // Per token: the state is decayed, read for the key, updated, and read for the query.
    let recurrence = shape.linear_attention.map_or(0.0, |linear| {
        8.0 * (linear.value_heads * linear.head_width * linear.head_width) as f64 * tokens
    });
    let stored = match shape.mlp {
        Mlp::Dense { .. } => shape.active_mlp_weights(),
        // A prompt of many tokens uses every expert.
        Mlp::Moe {
            experts,
            width,
            shared_width,
            ..
        } => 3 * shape.hidden_size * (experts * width + shared_width),
    };
    let bits = layers(
        shape.attention_weights() as f64,
        shape.linear_attention_weights() as f64,
        stored as f64,
    ) * format.bits_per_weight;
    Work {
        bytes: bits / 8.0,
        operations: 2.0 * tokens * weights + layers(scores, recurrence, 0.0),
        activation_bytes: tokens * (shape.layers - 1) as f64 * activation_bytes(shape, activations),
    }
}

/// Rows that are multiplied per row that is needed.
///
/// Rows are sorted by expert. A tile with rows of several experts is multiplied once for each of them, so that each boundary
/// between two experts costs one more tile, unless it is a boundary of tiles.
fn expert_row_factor(shape: &Shape, tokens: f64) -> f64 {
    match shape.mlp {
        Mlp::Dense { .. } => 1.0,
        Mlp::Moe {
            experts, active, ..
        } => {
            let rows = tokens * active as f64;
            let repeated = (experts * (EXPERT_TILE_ROWS - 1)) as f64;
            (rows + repeated) / rows
        }
    }
}

/// Bytes that dispatches without a matrix product read and write for one token in one layer.
///
/// What a matrix product reads and writes is hidden by its arithmetic.
fn activation_bytes(shape: &Shape, activations: Activations) -> f64 {
    let hidden = shape.hidden_size;
    let queries = shape.attention.heads * shape.attention.head_width;
    let keys = shape.attention.key_value_heads * shape.attention.head_width;
    let (dense_width, expert_width, active) = match shape.mlp {
        Mlp::Dense { width } => (width, 0, 0),
        Mlp::Moe {
            active,
            width,
            shared_width,
            ..
        } => (shared_width, width, active),
    };
    match activations {
        Activations::Separate => {
            let norms = 2 * 2 * hidden;
            let residuals = 2 * 3 * hidden;
            let qk_norms_and_rope = 2 * 2 * (queries + keys);
            let cache = 2 * 2 * keys;
            let activation = 3 * (dense_width + active * expert_width);
            // Rows are copied in the order of the experts and back, scaled, and summed.
            let experts = active * (2 + 2 + 2 + 1) * hidden + usize::from(active > 0) * hidden;
            2.0 * (norms + residuals + qk_norms_and_rope + cache + activation + experts) as f64
        }
        Activations::Fused => {
            // The normed rows are written in 16 bits.
            let norms = 2 * (4 + 2) * hidden;
            let qk_norms_rope_cache = 4 * (2 * queries + keys * 2) + 2 * 2 * keys;
            let experts = 4 * (active + usize::from(active > 0)) * hidden;
            (norms + qk_norms_rope_cache + experts) as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::{BF16, Q4, QWEN3_4B, QWEN3_30B_A3B};
    use super::*;

    #[test]
    fn weights_of_qwen3_4b_have_the_sizes_of_its_checkpoints() {
        let gigabytes = |format| decode(&QWEN3_4B, format, 0.0).bytes / 1e9;
        assert!((gigabytes(&BF16) - 8.04).abs() < 0.01);
        assert!((gigabytes(&Q4) - 2.26).abs() < 0.01);
    }

    #[test]
    fn decoding_a_mixture_reads_the_active_experts_only() {
        let gigabytes = decode(&QWEN3_30B_A3B, &Q4, 0.0).bytes / 1e9;
        assert!((gigabytes - 1.72).abs() < 0.01, "{gigabytes}");
    }

    #[test]
    fn cache_of_qwen3_4b_has_147_kilobytes_per_position() {
        let with = |context| decode(&QWEN3_4B, &Q4, context).bytes;
        assert_eq!(with(1.0) - with(0.0), 147_456.0);
    }

    #[test]
    fn prefill_of_a_mixture_multiplies_more_rows_than_it_needs() {
        let factor = expert_row_factor(&QWEN3_30B_A3B, 2048.0);
        assert!((factor - 1.117).abs() < 0.001, "{factor}");
        assert_eq!(expert_row_factor(&QWEN3_4B, 2048.0), 1.0);
    }
}
