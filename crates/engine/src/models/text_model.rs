//! The text model of checkpoints that have other parts as well, such as a vision tower. Only the text model is loaded.

use serde_json::{Map, Value};

use super::defaults::set_default;
use super::read_model_config;
use crate::checkpoint::{CheckpointConfig, Scope, Weights, check_key_types};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions, Model, ModelConfig};

/// Modules whose tensors the text model does not use, at any level of a name.
const OTHER_PARTS: &[&str] = &["multi_modal_projector", "vision_tower", "visual"];

/// The module of the text model, as mlx-lm names it.
const SCOPE: &str = "language_model";

/// A text model whose tensors are in the scope `language_model`.
#[derive(Debug)]
struct TextModel(Box<dyn ModelConfig>);

impl ModelConfig for TextModel {
    fn dimensions(&self) -> Dimensions {
        self.0.dimensions()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        self.0.sliding_window(layer)
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        self.0.cache_layers()
    }

    fn ignores_images(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    /// Removes the other parts and moves the text model to its scope: it may be at the top level, or below `model` as in newer
    /// checkpoints of transformers.
    fn sanitize(&self, weights: &mut Weights) {
        weights.rename(|name| {
            let is_other = name.split('.').any(|part| OTHER_PARTS.contains(&part));
            (!is_other).then(|| match name.strip_prefix("model.language_model.") {
                Some(name) => format!("model.{name}"),
                None => name.strip_prefix("language_model.").unwrap_or(name).into(),
            })
        });
        self.0.sanitize(weights);
        weights.rename(|name| Some(format!("{SCOPE}.{name}")));
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        self.0.load(&weights.child(SCOPE))
    }
}

/// The `text_config` of a configuration, if it has one.
fn text_config(config: &CheckpointConfig) -> Result<Option<Map<String, Value>>, LoadError> {
    check_key_types(&config.values).map_err(|problem| invalid(config, problem))?;
    let text = config.values.get("text_config").and_then(Value::as_object);
    Ok(text.cloned())
}

/// The `text_config` of a configuration.
///
/// # Errors
/// When it is missing, or a known key has the wrong type.
pub fn required_text_config(config: &CheckpointConfig) -> Result<Map<String, Value>, LoadError> {
    let missing = || invalid(config, "missing field `text_config`".into());
    text_config(config)?.ok_or_else(missing)
}

/// The `text_config` of a configuration, or all of it if the keys of the text model are at its top level.
///
/// # Errors
/// When a known key has the wrong type.
pub fn text_config_or_top_level(
    config: &CheckpointConfig,
) -> Result<Map<String, Value>, LoadError> {
    let Some(mut text) = text_config(config)? else {
        return Ok(config.values.clone());
    };
    // Some configurations state it for the whole model only.
    if let Some(tied) = config.values.get("tie_word_embeddings") {
        set_default(&mut text, "tie_word_embeddings", tied.clone());
    }
    Ok(text)
}

/// Reads the text model with the configuration `text`, as that of a checkpoint of this `model_type`.
///
/// # Errors
/// As [`read_model_config`].
pub fn read_text_model(
    config: &CheckpointConfig,
    text: Map<String, Value>,
    model_type: &str,
) -> Result<Box<dyn ModelConfig>, LoadError> {
    let config = CheckpointConfig {
        values: text,
        model_type: model_type.into(),
        ..config.clone()
    };
    let (_, text) = read_model_config(&config).map_err(|error| match error {
        LoadError::InvalidConfig { problem, .. } => {
            invalid(&config, format!("in the text model, {problem}"))
        }
        other => other,
    })?;
    Ok(Box::new(TextModel(text)))
}

/// An error about a configuration.
pub fn invalid(config: &CheckpointConfig, problem: String) -> LoadError {
    LoadError::InvalidConfig {
        path: config.file(),
        problem,
    }
}
