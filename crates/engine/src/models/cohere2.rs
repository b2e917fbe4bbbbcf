//! Cohere Command R7B and A: Cohere with sliding windows. Layers with full attention have no positions.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{cohere, defaults};
use crate::checkpoint::{Scope, parse_fields};
use crate::error::LoadError;
use crate::nn::{Attention, Decoder, DecoderModel, Mlp, Shape};

/// `config.json` of a Cohere 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Config {
    cohere: cohere::Config,
    attention: AttentionFields,
}

/// What Cohere does not have. The head width is stated, but must be `hidden_size / num_attention_heads`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct AttentionFields {
    head_dim: usize,
    sliding_window: usize,
    sliding_window_pattern: usize,
}

impl Default for AttentionFields {
    fn default() -> Self {
        Self {
            head_dim: 128,
            sliding_window: 4096,
            sliding_window_pattern: 4,
        }
    }
}

impl TryFrom<Map<String, Value>> for Config {
    type Error = String;

    fn try_from(mut values: Map<String, Value>) -> Result<Self, Self::Error> {
        for (key, default) in [
            ("hidden_size", 4096),
            ("num_hidden_layers", 32),
            ("intermediate_size", 14_336),
            ("num_attention_heads", 32),
            ("num_key_value_heads", 8),
            ("rope_theta", 50_000),
        ] {
            values.entry(key).or_insert(default.into());
        }
        defaults::fill(&mut values, cohere::defaults());
        // Norms of queries and keys are an option of Cohere only.
        values.remove("use_qk_norm");
        Ok(Self {
            cohere: parse_fields(&values)?,
            attention: parse_fields(&values)?,
        })
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.cohere.shape()
    }

    /// The last layer of each pattern has full attention.
    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let full = (layer + 1).is_multiple_of(self.attention.sliding_window_pattern);
        (!full).then_some(self.attention.sliding_window)
    }

    fn check(&self) -> Result<(), String> {
        let dims = self.dimensions().attention;
        let head_dim = self.attention.head_dim;
        if dims.heads * head_dim != dims.hidden_size {
            return Err(format!(
                "`head_dim` ({head_dim}) times `num_attention_heads` ({}) must be `hidden_size` ({})",
                dims.heads, dims.hidden_size
            ));
        }
        if self.attention.sliding_window_pattern == 0 {
            return Err("`sliding_window_pattern` must be positive".into());
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let attention = self.cohere.attention(layer, weights)?;
        let window = self.sliding_window(layer);
        Ok(match window {
            Some(_) => attention.with_sliding_window(window),
            None => attention.without_rope(),
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        self.cohere.mlp(weights)
    }

    fn parallel_residual(&self) -> bool {
        self.cohere.parallel_residual()
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        self.cohere.tie_word_embeddings()
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        let scale = self.cohere.logit_scale();
        Ok(Decoder::load(self, weights)?.map_lm_head(|lm_head| lm_head.logit_scale(scale)))
    }
}
