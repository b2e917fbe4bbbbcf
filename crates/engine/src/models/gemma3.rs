//! Gemma 3 as it is usually published: the text model and a vision tower. Only the text model is loaded.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::gemma3_text;
use crate::checkpoint::{Scope, Weights, parse_fields};
use crate::error::LoadError;
use crate::forward::{Dimensions, Model, ModelConfig};

/// `config.json` of a Gemma 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Wrapper")]
pub struct Config {
    text: gemma3_text::Config,
}

/// The configuration as it is in the file.
#[derive(Deserialize)]
struct Wrapper {
    text_config: Map<String, Value>,
    #[serde(default = "default_vocab_size")]
    vocab_size: usize,
}

fn default_vocab_size() -> usize {
    262_208
}

impl TryFrom<Wrapper> for Config {
    type Error = String;

    fn try_from(wrapper: Wrapper) -> Result<Self, Self::Error> {
        let mut text = wrapper.text_config;
        // The wrapper's `vocab_size` takes precedence, and its defaults differ from the text model's.
        text.insert("vocab_size".into(), wrapper.vocab_size.into());
        text.entry("num_attention_heads").or_insert(8.into());
        text.entry("num_key_value_heads").or_insert(4.into());
        Ok(Self {
            text: parse_fields(&text).map_err(|problem| format!("in `text_config`, {problem}"))?,
        })
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        self.text.dimensions()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        self.text.sliding_window(layer)
    }

    fn check(&self) -> Result<(), String> {
        self.text.check()
    }

    fn sanitize(&self, weights: &mut Weights) {
        weights.retain(|name| {
            !name.starts_with("vision_tower.") && !name.starts_with("multi_modal_projector.")
        });
        self.text.sanitize(weights);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        self.text.load(&weights.child("language_model"))
    }
}
