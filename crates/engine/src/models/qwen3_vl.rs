//! Qwen 3 VL: a Qwen 3 and a vision tower, as Qwen 2 VL.

use super::text_model::{read_text_model, text_config_or_top_level};
use crate::checkpoint::CheckpointConfig;
use crate::error::LoadError;
use crate::forward::ModelConfig;

/// Reads the text model of a Qwen 3 VL checkpoint.
///
/// # Errors
/// When the configuration is invalid.
pub fn read(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError> {
    read_text_model(config, text_config_or_top_level(config)?, "qwen3")
}
