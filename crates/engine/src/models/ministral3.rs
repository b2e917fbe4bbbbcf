//! Ministral 3: Llama with queries that are scaled by their position.

use mlxm_kernels::QueryScaling;
use serde::Deserialize;

use super::llama;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, DecoderModel, Mlp, Shape};

/// `config.json` of a Ministral 3 checkpoint. `rope_theta` and `rope_scaling` of Llama are in `rope_parameters`, too.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    llama: llama::Config,
    rope_parameters: RopeParameters,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeParameters {
    llama_4_scaling_beta: f32,
    original_max_position_embeddings: f32,
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.llama.shape()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        self.llama.sliding_window(layer)
    }

    fn check(&self) -> Result<(), String> {
        let length = self.rope_parameters.original_max_position_embeddings;
        if length > 0.0 {
            return Ok(());
        }
        Err(format!(
            "`rope_parameters.original_max_position_embeddings` must be positive, not {length}"
        ))
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let scaling = QueryScaling {
            beta: self.rope_parameters.llama_4_scaling_beta,
            original_length: self.rope_parameters.original_max_position_embeddings,
        };
        let attention = self.llama.attention(layer, weights)?;
        Ok(attention.map_rope(|rope| rope.query_scaling = Some(scaling)))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        self.llama.mlp(weights)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        self.llama.tie_word_embeddings()
    }
}
