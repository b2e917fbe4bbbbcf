//! The models. One file each, named after its `model_type`: configuration, attention, MLP, model.
//!
//! A model file contains nothing about devices or quantization, owns no cache and does not sample.
//! `docs/add-a-model.md` explains how to add one.

mod defaults;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3_text;
mod granite;
mod llama;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;
mod starcoder2;

use serde::de::DeserializeOwned;

use crate::checkpoint::{CheckpointConfig, parse_fields};
use crate::error::LoadError;
use crate::forward::ModelConfig;

type ReadConfig = fn(&CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError>;

/// Models by `model_type`.
const MODELS: &[(&str, ReadConfig)] = &[
    ("gemma", read::<gemma::Config>),
    ("gemma2", read::<gemma2::Config>),
    ("gemma3", read::<gemma3::Config>),
    ("gemma3_text", read::<gemma3_text::Config>),
    ("granite", read::<granite::Config>),
    ("llama", read::<llama::Config>),
    ("olmo2", read::<olmo2::Config>),
    ("phi3", read::<phi3::Config>),
    ("qwen2", read::<qwen2::Config>),
    ("qwen3", read::<qwen3::Config>),
    ("smollm3", read::<smollm3::Config>),
    ("starcoder2", read::<starcoder2::Config>),
];

/// Other `model_type`s of the same architectures.
const MODEL_TYPE_ALIASES: &[(&str, &str)] = &[
    ("mistral", "llama"),
    ("iquestcoder", "llama"),
    ("xverse", "llama"),
];

/// All `model_type`s that load, sorted.
pub fn supported() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = MODELS
        .iter()
        .map(|(name, _)| *name)
        .chain(MODEL_TYPE_ALIASES.iter().map(|(name, _)| *name))
        .collect();
    names.sort_unstable();
    names
}

/// Parses the configuration of a checkpoint as its `model_type` requires. Returns it with the name of its model file.
///
/// # Errors
/// When the `model_type` is not supported or the configuration is invalid.
pub fn read_model_config(
    config: &CheckpointConfig,
) -> Result<(&'static str, Box<dyn ModelConfig>), LoadError> {
    let model_type = config.model_type.as_str();
    let name = MODEL_TYPE_ALIASES
        .iter()
        .find(|(from, _)| *from == model_type)
        .map_or(model_type, |(_, to)| *to);
    let Some((name, read)) = MODELS.iter().find(|(known, _)| *known == name) else {
        return Err(LoadError::UnsupportedArchitecture {
            model_type: model_type.into(),
            supported: supported(),
        });
    };
    Ok((*name, read(config)?))
}

fn read<C: ModelConfig + DeserializeOwned + 'static>(
    config: &CheckpointConfig,
) -> Result<Box<dyn ModelConfig>, LoadError> {
    let invalid = |problem: String| LoadError::InvalidConfig {
        path: config.file(),
        problem,
    };
    let parsed: C = parse_fields(&config.values).map_err(invalid)?;
    // The sizes first, because other checks may take time or memory in proportion to them.
    parsed
        .check_dimensions()
        .and_then(|()| parsed.check())
        .map_err(invalid)?;
    Ok(Box::new(parsed))
}
