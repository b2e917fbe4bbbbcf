//! The models. One file each, named after its `model_type`: configuration, attention, MLP, model.
//!
//! A model file contains nothing about devices or quantization, owns no cache and does not sample.
//! `docs/add-a-model.md` explains how to add one.

mod apertus;
mod cohere;
mod cohere2;
mod defaults;
mod ernie4_5;
mod exaone;
mod exaone4;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3_text;
mod glm;
mod glm4;
mod gpt2;
mod gpt_bigcode;
mod gpt_neox;
mod gptj;
mod granite;
mod helium;
mod hunyuan_v1_dense;
mod internlm2;
mod internlm3;
mod lille_130m;
mod llama;
mod mimo;
mod minicpm;
mod ministral3;
mod mistral3;
mod nanbeige;
mod nemotron;
mod nemotron_nas;
mod olmo;
mod olmo2;
mod olmo3;
mod openelm;
mod phi;
mod phi3;
mod pixtral;
mod plamo;
mod plamo3;
mod qwen;
mod qwen2;
mod qwen2_vl;
mod qwen3;
mod qwen3_vl;
mod seed_oss;
mod smollm3;
mod spark2_5;
mod stablelm;
mod starcoder2;
mod telechat3;
mod text_model;
mod unsupported;

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::Value;
pub use unsupported::Unsupported;

use crate::checkpoint::{CheckpointConfig, check_key_types, parse_fields};
use crate::error::LoadError;
use crate::forward::ModelConfig;

type ReadConfig = fn(&CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError>;

/// Models by `model_type`.
const MODELS: &[(&str, ReadConfig)] = &[
    ("apertus", read::<apertus::Config>),
    ("cohere", |config| {
        read_with::<cohere::Config>(config, cohere::defaults())
    }),
    ("cohere2", read::<cohere2::Config>),
    ("ernie4_5", read_as::<ernie4_5::Config, llama::Config>),
    ("exaone", read_as::<exaone::Config, llama::Config>),
    ("exaone4", read::<exaone4::Config>),
    ("gemma", read::<gemma::Config>),
    ("gemma2", read::<gemma2::Config>),
    ("gemma3", gemma3::read),
    ("gemma3_text", |config| {
        read_with::<gemma3_text::Config>(config, gemma3_text::defaults())
    }),
    ("glm", read_as::<glm::Config, llama::Config>),
    ("glm4", read::<glm4::Config>),
    ("gpt2", read::<gpt2::Config>),
    ("gpt_bigcode", read::<gpt_bigcode::Config>),
    ("gpt_neox", read::<gpt_neox::Config>),
    ("gptj", read::<gptj::Config>),
    ("granite", read::<granite::Config>),
    ("helium", read_as::<helium::Config, llama::Config>),
    ("hunyuan_v1_dense", read::<hunyuan_v1_dense::Config>),
    ("internlm2", read_as::<internlm2::Config, llama::Config>),
    ("internlm3", read_as::<internlm3::Config, llama::Config>),
    ("lille-130m", read_as::<lille_130m::Config, llama::Config>),
    ("llama", read::<llama::Config>),
    ("mimo", read_as::<mimo::Config, llama::Config>),
    ("minicpm", read_as::<minicpm::Config, granite::Config>),
    ("ministral3", read::<ministral3::Config>),
    ("mistral3", mistral3::read),
    ("nanbeige", read::<nanbeige::Config>),
    ("nemotron", read::<nemotron::Config>),
    ("nemotron-nas", read::<nemotron_nas::Config>),
    ("olmo", read::<olmo::Config>),
    ("olmo2", read::<olmo2::Config>),
    ("olmo3", read::<olmo3::Config>),
    ("openelm", read::<openelm::Config>),
    ("phi", |config| {
        read_with::<phi::Config>(config, phi::defaults())
    }),
    ("phi3", read::<phi3::Config>),
    ("pixtral", pixtral::read),
    ("plamo", read::<plamo::Config>),
    ("plamo3", |config| {
        read_with::<plamo3::Config>(config, plamo3::defaults())
    }),
    ("qwen", read_as::<qwen::Config, llama::Config>),
    ("qwen2", read_as::<qwen2::Config, llama::Config>),
    ("qwen2_vl", qwen2_vl::read),
    ("qwen3", read::<qwen3::Config>),
    ("qwen3_vl", qwen3_vl::read),
    ("seed_oss", read_as::<seed_oss::Config, llama::Config>),
    ("smollm3", read::<smollm3::Config>),
    ("spark2_5", read::<spark2_5::Config>),
    ("stablelm", read::<stablelm::Config>),
    ("starcoder2", |config| {
        read_with::<starcoder2::Config>(config, starcoder2::defaults())
    }),
    ("telechat3", read_as::<telechat3::Config, llama::Config>),
];

/// Other `model_type`s of the same architectures.
const MODEL_TYPE_ALIASES: &[(&str, &str)] = &[
    ("mistral", "llama"),
    ("llava", "mistral3"),
    ("qwen2_5_vl", "qwen2_vl"),
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

/// The architecture of a `model_type`: the name of a file in `models/`. `None` if it is not supported.
pub fn architecture(model_type: &str) -> Option<&'static str> {
    find(model_type).map(|(name, _)| *name)
}

fn find(model_type: &str) -> Option<&'static (&'static str, ReadConfig)> {
    let name = MODEL_TYPE_ALIASES
        .iter()
        .find(|(from, _)| *from == model_type)
        .map_or(model_type, |(_, to)| *to);
    MODELS.iter().find(|(known, _)| *known == name)
}

/// Parses the configuration of a checkpoint as its `model_type` requires. Returns it with the name of its model file.
///
/// # Errors
/// When the `model_type` is not supported or the configuration is invalid.
pub fn read_model_config(
    config: &CheckpointConfig,
) -> Result<(&'static str, Box<dyn ModelConfig>), LoadError> {
    let model_type = config.model_type.as_str();
    let Some((name, read)) = find(model_type) else {
        return Err(LoadError::UnsupportedArchitecture {
            model_type: model_type.into(),
            known: unsupported::describe(model_type),
        });
    };
    Ok((*name, read(config)?))
}

fn read<C: ModelConfig + DeserializeOwned + 'static>(
    config: &CheckpointConfig,
) -> Result<Box<dyn ModelConfig>, LoadError> {
    read_as::<C, C>(config)
}

/// Reads a configuration whose absent keys have the values of `defaults`.
fn read_with<C: ModelConfig + DeserializeOwned + 'static>(
    config: &CheckpointConfig,
    defaults: Value,
) -> Result<Box<dyn ModelConfig>, LoadError> {
    let mut config = config.clone();
    defaults::fill(&mut config.values, defaults);
    read::<C>(&config)
}

/// Reads a configuration that is converted to that of another model.
fn read_as<C, M>(config: &CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError>
where
    C: DeserializeOwned + TryInto<M>,
    C::Error: Display,
    M: ModelConfig + 'static,
{
    let invalid = |problem: String| LoadError::InvalidConfig {
        path: config.file(),
        problem,
    };
    check_key_types(&config.values).map_err(invalid)?;
    let parsed: C = parse_fields(&config.values).map_err(invalid)?;
    let parsed: M = parsed
        .try_into()
        .map_err(|error: C::Error| invalid(error.to_string()))?;
    let parsed: Box<dyn ModelConfig> = Box::new(parsed);
    check(&*parsed).map_err(invalid)?;
    Ok(parsed)
}

/// The sizes first, because other checks may take time or memory in proportion to them.
fn check(config: &dyn ModelConfig) -> Result<(), String> {
    config.check_dimensions()?;
    config.check()?;
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

    /// The problem with a configuration of a tiny model after `changes`.
    fn problem(model_type: &str, changes: Value) -> Option<String> {
        let mut values = json!({
            "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 96, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5, "layer_norm_epsilon": 1e-5, "layer_norm_eps": 1e-5, "rope_theta": 1e4,
            "tie_word_embeddings": false, "sliding_window": 8, "kv_channels": 32, "num_layers": 4,
            "block_size": 64, "n_embd": 64, "n_head": 2, "n_kv_heads": 1, "n_layer": 4,
        });
        for (key, value) in changes.as_object().unwrap() {
            values[key] = value.clone();
        }
        let config = CheckpointConfig {
            folder: "model".into(),
            values: values.as_object().cloned().unwrap_or_default(),
            generation: serde_json::Map::new(),
            model_type: model_type.into(),
        };
        let read = read_model_config(&config);
        read.err().map(|error| error.to_string())
    }

    #[test]
    fn inconsistent_values_are_rejected_by_key() {
        for (model_type, changes, key) in [
            ("qwen", json!({"kv_channels": 16}), "`kv_channels`"),
            ("qwen", json!({"no_bias": 1}), "`no_bias`"),
            ("exaone", json!({"num_layers": 0}), "`num_layers`"),
            ("lille-130m", json!({"n_embd": 0}), "`n_embd`"),
            ("lille-130m", json!({"n_kv_heads": 3}), "`n_kv_heads`"),
            ("lille-130m", json!({"n_layer": 1 << 20}), "`n_layer`"),
            (
                "exaone4",
                json!({"sliding_window_pattern": "LXG"}),
                "`sliding_window_pattern`",
            ),
            (
                "exaone4",
                json!({"sliding_window_pattern": "LG", "sliding_window": null}),
                "`sliding_window`",
            ),
            (
                "olmo3",
                json!({"layer_types": ["full_attention"]}),
                "`layer_types`",
            ),
            (
                "olmo3",
                json!({"layer_types": vec!["chunked_attention"; 4]}),
                "`layer_types`",
            ),
        ] {
            assert_eq!(problem(model_type, json!({})), None, "{model_type}");
            let message = problem(model_type, changes.clone()).unwrap_or_default();
            assert!(message.contains(key), "{model_type} {changes}: {message}");
        }
    }
}
