//! Pixtral: a Llama and a vision tower.

use super::defaults::set_default;
use super::text_model::{read_text_model, required_text_config};
use crate::checkpoint::CheckpointConfig;
use crate::error::LoadError;
use crate::forward::ModelConfig;

/// Reads the text model of a Pixtral checkpoint.
///
/// # Errors
/// When the configuration is invalid.
pub fn read(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError> {
    let mut text = required_text_config(config)?;
    text.insert("tie_word_embeddings".into(), false.into());
    set_default(&mut text, "num_attention_heads", 32);
    read_text_model(config, text, "llama")
}
