//! SmolLM3: Llama with layers without positions (NoPE).

use serde::Deserialize;

use super::llama;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, DecoderModel, Mlp, Shape};

/// `config.json` of a SmolLM3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    llama: llama::Config,
    #[serde(default = "default_no_rope_layer_interval")]
    no_rope_layer_interval: usize,
    /// One number per layer: 1 where the layer *does* use RoPE, 0 where it does not.
    no_rope_layers: Option<Vec<usize>>,
}

fn default_no_rope_layer_interval() -> usize {
    4
}

impl Config {
    fn uses_rope(&self, layer: usize) -> bool {
        match &self.no_rope_layers {
            Some(layers) => layers[layer] != 0,
            None => !(layer + 1).is_multiple_of(self.no_rope_layer_interval),
        }
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.llama.shape()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        self.llama.sliding_window(layer)
    }

    fn check(&self) -> Result<(), String> {
        let layers = self.dimensions().num_hidden_layers;
        match &self.no_rope_layers {
            Some(entries) if entries.len() != layers => Err(format!(
                "`no_rope_layers` has {} entries for {layers} layers",
                entries.len(),
            )),
            None if self.no_rope_layer_interval == 0 => {
                Err("`no_rope_layer_interval` must be positive".into())
            }
            _ => Ok(()),
        }
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let attention = self.llama.attention(layer, weights)?;
        Ok(if self.uses_rope(layer) {
            attention
        } else {
            attention.without_rope()
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        self.llama.mlp(weights)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        self.llama.tie_word_embeddings()
    }
}
