//! Gemma 3 as it is usually published: the text model and a vision tower.

use super::defaults::set_default;
use super::text_model::{read_text_model, required_text_config};
use crate::checkpoint::CheckpointConfig;
use crate::error::LoadError;
use crate::forward::ModelConfig;

/// Reads the text model of a Gemma 3 checkpoint.
///
/// # Errors
/// When the configuration is invalid.
pub fn read(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError> {
    let mut text = required_text_config(config)?;
    // The wrapper's `vocab_size` takes precedence, and its defaults differ from the text model's.
    let vocab_size = config
        .values
        .get("vocab_size")
        .filter(|size| !size.is_null());
    let vocab_size = vocab_size.cloned().unwrap_or_else(|| 262_208.into());
    text.insert("vocab_size".into(), vocab_size);
    set_default(&mut text, "num_attention_heads", 8);
    set_default(&mut text, "num_key_value_heads", 4);
    read_text_model(config, text, "gemma3_text")
}
