//! Qwen 2 VL and Qwen 2.5 VL: a Qwen 2 and a vision tower. The keys of the text model are at the top level of `config.json` or
//! under `text_config`. Of text, the three positions of a token in its RoPE are the same, so it is that of Qwen 2.

use super::text_model::{read_text_model, text_config_or_top_level};
use crate::checkpoint::CheckpointConfig;
use crate::error::LoadError;
use crate::forward::ModelConfig;

/// Reads the text model of a Qwen 2 VL checkpoint.
///
/// # Errors
/// When the configuration is invalid.
pub fn read(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError> {
    read_text_model(config, text_config_or_top_level(config)?, "qwen2")
}
