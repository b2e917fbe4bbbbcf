//! Lille 130M: Llama with RoPE on adjacent pairs and an MLP whose width follows from that of the model, under other names.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionNames, DecoderConfig, DecoderNames, LayerNames, RopeKeys};

/// `config.json` of a Lille checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    block_size: usize,
    layer_norm_eps: f64,
    n_embd: usize,
    n_head: usize,
    n_kv_heads: usize,
    n_layer: usize,
    rope_theta: f64,
    vocab_size: usize,
}

impl Config {
    /// 8/3 of the width of the model, rounded to a multiple of 256 (half to even).
    fn intermediate_size(&self) -> usize {
        let width = (self.n_embd.saturating_mul(8) / 3) as f64;
        (width / 256.0).round_ties_even() as usize * 256
    }
}

fn names() -> llama::Names {
    llama::Names {
        decoder: DecoderNames {
            model: "transformer",
            embed_tokens: "tok_embeddings",
            ..DecoderNames::default()
        },
        layer: LayerNames {
            input_norm: "attention.norm",
            attention: "attention",
            attention_projections: AttentionNames::fused("qkv_proj", "out_proj"),
            post_attention_norm: "feed_forward.norm",
            mlp: "feed_forward",
            ..LayerNames::default()
        },
        size_keys: &[
            ("hidden_size", "n_embd"),
            ("intermediate_size", "n_embd"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("num_key_value_heads", "n_kv_heads"),
        ],
    }
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let (width, mlp) = (config.n_embd, config.intermediate_size());
        let (layers, heads) = (config.n_layer, config.n_head);
        let decoder = DecoderConfig::new(config.vocab_size, width, mlp, layers, heads);
        let sizes = decoder.grouped(config.n_kv_heads, None, config.layer_norm_eps);
        let rope = RopeKeys::new(config.rope_theta).on_adjacent_pairs();
        Self {
            max_position_embeddings: Some(config.block_size),
            tie_word_embeddings: true,
            names: names(),
            ..Self::new(sizes, rope)
        }
    }
}
