//! Qwen: Llama with queries, keys and values in one weight with a bias, under the names of GPT-2.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderConfig, DecoderNames, LayerNames, MlpNames, RopeKeys,
};

/// `config.json` of a Qwen checkpoint. The defaults are the sizes of the 1.8B model.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    /// Width of a head.
    kv_channels: usize,
    max_position_embeddings: usize,
    layer_norm_epsilon: f64,
    /// Width of gate and up together.
    intermediate_size: usize,
    /// No bias on any projection except queries, keys and values, which always have one.
    no_bias: bool,
    vocab_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 2048,
            num_attention_heads: 16,
            num_hidden_layers: 24,
            kv_channels: 128,
            max_position_embeddings: 8192,
            layer_norm_epsilon: 1e-6,
            intermediate_size: 11_008,
            no_bias: true,
            vocab_size: 151_936,
        }
    }
}

fn names() -> llama::Names {
    llama::Names {
        decoder: DecoderNames::GPT2,
        layer: LayerNames {
            input_norm: "ln_1",
            attention: "attn",
            attention_projections: AttentionNames::fused("c_attn", "c_proj"),
            post_attention_norm: "ln_2",
            mlp: "mlp",
            mlp_projections: MlpNames::gated("w2", "w1", "c_proj"),
        },
        ..llama::Names::default()
    }
}

impl TryFrom<Config> for llama::Config {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        let heads = config.num_attention_heads;
        if config.kv_channels.checked_mul(heads) != Some(config.hidden_size) {
            return Err(format!(
                "`kv_channels` ({}) × `num_attention_heads` ({heads}) must be `hidden_size` ({})",
                config.kv_channels, config.hidden_size
            ));
        }
        let (width, mlp) = (config.hidden_size, config.intermediate_size / 2);
        let layers = config.num_hidden_layers;
        let decoder = DecoderConfig::new(config.vocab_size, width, mlp, layers, heads);
        let sizes = decoder.grouped(None, None, config.layer_norm_epsilon);
        let rope = RopeKeys::new(defaults::rope_theta());
        let bias = !config.no_bias;
        Ok(Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::of(true, bias),
            mlp_bias: bias,
            lm_head_bias: bias,
            names: names(),
            ..Self::new(sizes, rope)
        })
    }
}
