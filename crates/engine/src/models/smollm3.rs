//! SmolLM3: Llama with layers without positions (NoPE).

use serde::Deserialize;

use super::llama;
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{Dimensions, Model, ModelConfig};

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

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        self.llama.dimensions()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        self.llama.sliding_window(layer)
    }

    fn check(&self) -> Result<(), String> {
        let layers = self.llama.decoder.num_hidden_layers;
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

    fn sanitize(&self, weights: &mut Weights) {
        self.llama.sanitize(weights);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        self.llama
            .load_with_rope_layers(weights, |layer| self.uses_rope(layer))
    }
}
