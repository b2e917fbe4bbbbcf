//! Lille 130M: Llama with RoPE on adjacent pairs and an MLP whose width follows from that of the model, under other names.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionNames, DecoderConfig, DecoderNames, LayerNames, QkvNames};

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
            attention_projections: AttentionNames {
                qkv: QkvNames::Fused("qkv_proj"),
                o: "out_proj",
            },
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
        let decoder = DecoderConfig {
            vocab_size: config.vocab_size,
            hidden_size: config.n_embd,
            intermediate_size: config.intermediate_size(),
            num_hidden_layers: config.n_layer,
            num_attention_heads: config.n_head,
        };
        Self {
            num_key_value_heads: Some(config.n_kv_heads),
            max_position_embeddings: Some(config.block_size),
            rope_traditional: true,
            tie_word_embeddings: true,
            names: names(),
            ..Self::new(decoder, config.layer_norm_eps, config.rope_theta)
        }
    }
}
