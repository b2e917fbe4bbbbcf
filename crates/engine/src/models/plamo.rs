//! PLaMo: attention and MLP in parallel after one norm. Query head `i` reads key and value head `i` modulo their number.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::{RowOrder, Scope};
use crate::error::LoadError;
use crate::forward::AttentionDims;
use crate::nn::{
    Attention, DecoderConfig, DecoderModel, DecoderNames, Mlp, NormKind, QkvProjection, RopeConfig,
    Shape,
};

/// `config.json` of a PLaMo checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    /// Query heads per key and value head.
    #[serde(default = "default_n_shared_head")]
    n_shared_head: usize,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
}

fn default_n_shared_head() -> usize {
    8
}

/// The position in the checkpoint of each query head, so that heads that read the same key and value head are consecutive.
fn query_order(dims: AttentionDims) -> RowOrder {
    let position = |kv_head: usize| (kv_head..dims.heads).step_by(dims.kv_heads);
    RowOrder {
        blocks: (0..dims.kv_heads).flat_map(position).collect(),
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let kv_heads = self.decoder.num_attention_heads / self.n_shared_head.max(1);
        let context = self.max_position_embeddings;
        let dimensions = self.decoder.dimensions(kv_heads.max(1), None, context);
        Shape::new(dimensions, NormKind::Rms(self.rms_norm_eps))
    }

    fn check(&self) -> Result<(), String> {
        let (heads, shared) = (self.decoder.num_attention_heads, self.n_shared_head);
        if shared == 0 || !heads.is_multiple_of(shared) {
            return Err(format!(
                "`num_attention_heads` ({heads}) must be a multiple of `n_shared_head` ({shared})"
            ));
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let (hidden, q_width, kv_width) = (dims.hidden_size, dims.q_width(), dims.kv_width());
        let rope = RopeConfig::new(dims.head_dim, self.rope_theta)
            .traditional(self.rope_traditional)
            .build(weights)?;
        let residual = self.pre_norm("norm", weights)?;
        let (weights, order) = (weights.child("self_attn"), query_order(dims));
        let qkv = QkvProjection::Separate {
            q: weights.reordered_linear("q_proj", hidden, q_width, false, &order)?,
            k: weights.linear("k_proj", hidden, kv_width)?,
            v: weights.linear("v_proj", hidden, kv_width)?,
        };
        let o = weights.linear_with_reordered_inputs("o_proj", q_width, hidden, &order)?;
        Ok(Attention::new(layer, dims, qkv, o, residual).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("norm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn parallel_residual(&self) -> bool {
        true
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            layers: "layers.layers",
            ..DecoderNames::default()
        }
    }
}
