//! OLMo 3: OLMo 2 with sliding windows in three layers of four. Only full attention is extended beyond the trained length.

use serde::Deserialize;

use super::olmo2;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, DecoderModel, Mlp, Shape};

/// `config.json` of an OLMo 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    olmo2: olmo2::Config,
    sliding_window: usize,
    /// `sliding_attention` or `full_attention` per layer. By default, every fourth layer has full attention.
    layer_types: Option<Vec<String>>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.olmo2.shape()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let full = match &self.layer_types {
            Some(types) => types
                .get(layer)
                .is_some_and(|kind| kind == "full_attention"),
            None => (layer + 1).is_multiple_of(4),
        };
        (!full).then_some(self.sliding_window)
    }

    fn check(&self) -> Result<(), String> {
        let Some(types) = &self.layer_types else {
            return Ok(());
        };
        let layers = self.dimensions().num_hidden_layers;
        if types.len() != layers {
            return Err(format!(
                "`layer_types` has {} entries for {layers} layers",
                types.len()
            ));
        }
        let known = |kind: &String| kind == "full_attention" || kind == "sliding_attention";
        match types.iter().find(|kind| !known(kind)) {
            Some(unknown) => Err(format!(
                "`layer_types` must be `full_attention` or `sliding_attention`, not `{unknown}`"
            )),
            None => Ok(()),
        }
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        match self.sliding_window(layer) {
            Some(window) => {
                let mut olmo2 = self.olmo2.clone();
                olmo2.rope.rope_scaling = None;
                let attention = olmo2.attention(layer, weights)?;
                Ok(attention.with_sliding_window(Some(window)))
            }
            None => self.olmo2.attention(layer, weights),
        }
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        self.olmo2.mlp(weights)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}
