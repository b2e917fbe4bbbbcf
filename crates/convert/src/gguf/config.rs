//! `config.json` from GGUF metadata.

use serde_json::{Map, Value, json};

use super::GgufError;
use super::architecture::Architecture;
use super::architecture_keys::architecture_keys;
use super::dimensions::Dimensions;
use super::key_names::rename_keys;
use super::reader::Gguf;
use super::rope::rope;
use crate::ConvertError;

/// Limit for counts and dimensions, so that arithmetic on them does not overflow.
const MAX_COUNT: u64 = 1 << 32;

/// Access to the metadata of an architecture, whose keys are prefixed with its name.
pub(super) struct Metadata<'a> {
    pub(super) gguf: &'a Gguf<'a>,
    pub(super) architecture: &'static Architecture,
}

impl Metadata<'_> {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.gguf)
    }

    pub(super) fn count(&self, name: &str) -> Result<u64, GgufError> {
        self.gguf.u64(&self.key(name), MAX_COUNT)
    }

    pub(super) fn optional_count(&self, name: &str) -> Result<Option<u64>, GgufError> {
        self.gguf.optional_u64(&self.key(name), MAX_COUNT)
    }

    pub(super) fn number(&self, name: &str) -> Result<f64, GgufError> {
        self.gguf.f64(&self.key(name))
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<f64>, GgufError> {
        self.gguf.optional_f64(&self.key(name))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, GgufError> {
        self.gguf.optional_str(&self.key(name))
    }

    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>, GgufError> {
        self.gguf.optional_bool(&self.key(name))
    }

    /// An array with a boolean for each layer.
    pub(super) fn optional_flags(
        &self,
        name: &str,
        layers: u64,
    ) -> Result<Option<Vec<bool>>, GgufError> {
        let key = self.key(name);
        let Some(values) = self.gguf.optional_integers(&key)? else {
            return Ok(None);
        };
        if values.len() as u64 != layers {
            return Err(GgufError::BadValue {
                key,
                found: format!("{} values", values.len()),
                expected: format!("one for each of the {layers} layers"),
            });
        }
        Ok(Some(values.into_iter().map(|value| value != 0).collect()))
    }

    pub(super) fn has(&self, tensor: &str) -> bool {
        self.gguf.tensor(tensor).is_some()
    }

    /// The largest dimension of all tensors.
    pub(super) fn largest_dimension(&self) -> u64 {
        let tensors = self.gguf.tensors().iter();
        tensors
            .flat_map(|tensor| &tensor.shape)
            .max()
            .map_or(0, |dimension| *dimension as u64)
    }

    pub(super) fn rows(&self, tensor: &str) -> Option<u64> {
        let shape = &self.gguf.tensor(tensor)?.shape;
        (shape.len() == 2).then(|| shape[0] as u64)
    }
}

/// `config.json` without quantization, token ids and float type.
pub(super) fn config(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
) -> Result<Map<String, Value>, ConvertError> {
    if let Some(experts) = metadata.optional_count("expert_count")?
        && experts > 0
    {
        return Err(ConvertError::Unsupported(format!(
            "it is a mixture of {experts} experts; only dense {} models are supported",
            metadata.architecture.gguf
        )));
    }
    let architecture = metadata.architecture;
    let vocabulary = metadata.rows("token_embd.weight").ok_or_else(|| {
        ConvertError::tensor("token_embd.weight", "it is missing or not two-dimensional")
    })?;
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| {
        config.insert(key.to_owned(), value);
    };
    set("architectures", json!([architecture.class]));
    set("model_type", json!(architecture.model_type));
    set("hidden_size", json!(dimensions.hidden));
    set("intermediate_size", json!(dimensions.intermediate));
    set("num_hidden_layers", json!(dimensions.layers));
    set("num_attention_heads", json!(dimensions.heads));
    set("num_key_value_heads", json!(dimensions.key_value_heads));
    set("head_dim", json!(dimensions.head_dim));
    set("vocab_size", json!(vocabulary));
    set(
        "max_position_embeddings",
        json!(metadata.count("context_length")?),
    );
    let (key, value) = epsilon(metadata)?;
    set(key, json!(value));
    set("tie_word_embeddings", json!(is_tied(metadata)?));
    rope(metadata, dimensions, &mut set)?;
    architecture_keys(metadata, dimensions, &mut set)?;
    rename_keys(architecture.model_type, &mut config);
    Ok(config)
}

/// The epsilon of norms, and its key.
fn epsilon(metadata: &Metadata<'_>) -> Result<(&'static str, f64), GgufError> {
    const LAYER_NORM: &str = "attention.layer_norm_epsilon";
    const RMS_NORM: &str = "attention.layer_norm_rms_epsilon";
    Ok(match metadata.architecture.model_type {
        "starcoder2" => ("norm_epsilon", metadata.number(LAYER_NORM)?),
        "nemotron" => ("norm_eps", metadata.number(LAYER_NORM)?),
        "cohere" | "cohere2" | "phi" | "stablelm" | "gpt_neox" | "olmo" => {
            ("layer_norm_eps", metadata.number(LAYER_NORM)?)
        }
        "gpt2" | "gpt_bigcode" | "gptj" => ("layer_norm_epsilon", metadata.number(LAYER_NORM)?),
        // That of RMS norms, which newer files have under the key for layer norms, because of its name in the source.
        "exaone" | "qwen" => {
            let epsilon = match metadata.optional_number(RMS_NORM)? {
                Some(epsilon) => epsilon,
                None => metadata.number(LAYER_NORM)?,
            };
            ("layer_norm_epsilon", epsilon)
        }
        _ => ("rms_norm_eps", metadata.number(RMS_NORM)?),
    })
}

/// Whether the output layer has the weights of the embedding.
fn is_tied(metadata: &Metadata<'_>) -> Result<bool, ConvertError> {
    let architecture = metadata.architecture;
    let tied = architecture.names.output.is_none() || !metadata.has("output.weight");
    let always_untied = matches!(
        architecture.model_type,
        "phi" | "stablelm" | "gpt_neox" | "gptj" | "qwen" | "plamo"
    );
    if tied && always_untied {
        return Err(ConvertError::Unsupported(format!(
            "it has no output.weight, but the output layer of {} cannot have the weights of the embedding",
            architecture.model_type
        )));
    }
    Ok(tied)
}
