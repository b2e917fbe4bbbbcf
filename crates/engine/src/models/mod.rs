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

use crate::checkpoint::{CheckpointConfig, check_key_types, parse_fields};
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
    check_key_types(&config.values).map_err(invalid)?;
    let parsed: C = parse_fields(&config.values).map_err(invalid)?;
    // The sizes first, because other checks may take time or memory in proportion to them.
    parsed
        .check_dimensions()
        .and_then(|()| parsed.check())
        .map_err(invalid)?;
    check_windows(&parsed).map_err(invalid)?;
    Ok(Box::new(parsed))
}

fn check_windows(config: &impl ModelConfig) -> Result<(), String> {
    let layers = config.dimensions().num_hidden_layers;
    if (0..layers).any(|layer| config.sliding_window(layer) == Some(0)) {
        return Err("`sliding_window` must be positive".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn window_without_tokens_is_rejected() {
        let with_window = |window: usize| {
            let values = json!({"model_type": "gemma3_text", "sliding_window": window});
            let config = CheckpointConfig {
                folder: "model".into(),
                values: values.as_object().cloned().unwrap_or_default(),
                generation: serde_json::Map::new(),
                model_type: "gemma3_text".into(),
            };
            read_model_config(&config)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(with_window(1), Ok(()));
        let message = with_window(0).unwrap_err();
        assert!(message.contains("`sliding_window`"), "{message}");
    }
}
