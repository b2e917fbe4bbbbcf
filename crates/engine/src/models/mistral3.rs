//! Mistral Small 3.1, Ministral 3 and others with a vision tower: the text model is that of `text_config`, by default a Llama.

use serde_json::Value;

use super::text_model::{invalid, read_text_model, required_text_config};
use crate::checkpoint::CheckpointConfig;
use crate::error::LoadError;
use crate::forward::ModelConfig;

/// Reads the text model of a Mistral 3 checkpoint.
///
/// # Errors
/// When the configuration is invalid.
pub fn read(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError> {
    let mut text = required_text_config(config)?;
    let model_type = match text.get("model_type").and_then(Value::as_str) {
        Some("ministral3") => "ministral3",
        Some("mistral4") => {
            let problem = "`text_config.model_type` `mistral4` is not supported";
            return Err(invalid(config, problem.into()));
        }
        _ => "llama",
    };
    // Null counts as false, too.
    text.entry("tie_word_embeddings").or_insert(false.into());
    read_text_model(config, text, model_type)
}
