//! `config.json` from GGUF metadata.

use serde_json::{Map, Value, json};

use super::GgufError;
use super::architecture::Architecture;
use super::architecture_keys::architecture_keys;
use super::reader::Gguf;
use super::rope::rope_scaling;
use crate::ConvertError;

/// Limit for counts and dimensions, so that arithmetic on them does not overflow.
const MAX_COUNT: u64 = 1 << 32;

/// Access to the metadata of an architecture, whose keys are prefixed with its name.
pub(super) struct Metadata<'a> {
    pub(super) gguf: &'a Gguf<'a>,
    pub(super) architecture: &'static Architecture,
}

impl Metadata<'_> {
    fn key(&self, name: &str) -> String {
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
    fn largest_dimension(&self) -> u64 {
        let tensors = self.gguf.tensors().iter();
        tensors
            .flat_map(|tensor| &tensor.shape)
            .max()
            .map_or(0, |dimension| *dimension as u64)
    }

    fn rows(&self, tensor: &str) -> Option<u64> {
        let shape = &self.gguf.tensor(tensor)?.shape;
        (shape.len() == 2).then(|| shape[0] as u64)
    }
}

/// Dimensions used by the configuration and the tensors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dimensions {
    pub(super) layers: u64,
    pub(super) heads: u64,
    pub(super) key_value_heads: u64,
    pub(super) head_dim: u64,
    pub(super) hidden: u64,
}

impl Dimensions {
    pub(super) fn read(metadata: &Metadata<'_>) -> Result<Self, ConvertError> {
        // A larger size could not be that of any tensor, and would be allocated.
        let largest = metadata.largest_dimension();
        let count = |name: &str| bounded(metadata, name, metadata.count(name)?, largest);
        let hidden = count("embedding_length")?;
        let heads = count("attention.head_count")?;
        let key_value_heads = match metadata.optional_count("attention.head_count_kv")? {
            Some(value) => bounded(metadata, "attention.head_count_kv", value, largest)?,
            None => heads,
        };
        let head_dim = match metadata.optional_count("attention.key_length")? {
            Some(length) => bounded(metadata, "attention.key_length", length, largest)?,
            // The shape of the projection is more reliable than hidden_size / heads.
            None => metadata
                .rows("blk.0.attn_q.weight")
                .map_or(hidden / heads, |rows| rows / heads),
        };
        if let Some(value_length) = metadata.optional_count("attention.value_length")?
            && value_length != head_dim
        {
            return Err(ConvertError::Unsupported(format!(
                "its heads have {head_dim} dimensions for keys and {value_length} for values"
            )));
        }
        // Every block has a tensor.
        let tensors = metadata.gguf.tensors().len() as u64;
        let layers = metadata.count("block_count")?;
        Ok(Self {
            layers: bounded(metadata, "block_count", layers, tensors)?,
            heads,
            key_value_heads,
            head_dim,
            hidden,
        })
    }
}

/// `value` of the key `name`, which must be positive and at most `max`.
fn bounded(metadata: &Metadata<'_>, name: &str, value: u64, max: u64) -> Result<u64, GgufError> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(GgufError::BadValue {
        key: metadata.key(name),
        found: value.to_string(),
        expected: format!("an integer from 1 to {max}, to fit the tensors of the file"),
    })
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
    let intermediate = bounded(
        metadata,
        "feed_forward_length",
        metadata.count("feed_forward_length")?,
        metadata.largest_dimension(),
    )?;
    set("intermediate_size", json!(intermediate));
    set("num_hidden_layers", json!(dimensions.layers));
    set("num_attention_heads", json!(dimensions.heads));
    set("num_key_value_heads", json!(dimensions.key_value_heads));
    set("head_dim", json!(dimensions.head_dim));
    set("vocab_size", json!(vocabulary));
    set(
        "max_position_embeddings",
        json!(metadata.count("context_length")?),
    );
    let (key, epsilon) = match architecture.model_type {
        "starcoder2" => ("norm_epsilon", "attention.layer_norm_epsilon"),
        "nemotron" => ("norm_eps", "attention.layer_norm_epsilon"),
        "cohere" | "cohere2" => ("layer_norm_eps", "attention.layer_norm_epsilon"),
        _ => ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    };
    set(key, json!(metadata.number(epsilon)?));
    let default_theta = if architecture.model_type == "gemma3_text" {
        1e6
    } else {
        1e4
    };
    let theta = metadata.optional_number("rope.freq_base")?;
    set("rope_theta", json!(theta.unwrap_or(default_theta)));
    let scaling = rope_scaling(metadata, dimensions)?;
    let has_scaling = !matches!(
        architecture.model_type,
        "ernie4_5" | "cohere" | "cohere2" | "glm4"
    );
    if !has_scaling && !scaling.is_null() {
        return Err(ConvertError::Unsupported(format!(
            "it has RoPE scaling, which {} does not support",
            architecture.model_type
        )));
    }
    set("rope_scaling", scaling);
    set("tie_word_embeddings", json!(!metadata.has("output.weight")));
    partial_rotary(metadata, dimensions, &mut set)?;
    architecture_keys(metadata, dimensions, &mut set)?;
    Ok(config)
}

/// The fraction of head dimensions that RoPE rotates, which few architectures can express.
fn partial_rotary(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let rotated = metadata
        .optional_count("rope.dimension_count")?
        .unwrap_or(dimensions.head_dim);
    if matches!(
        metadata.architecture.model_type,
        "phi3" | "nemotron" | "glm4"
    ) {
        set(
            "partial_rotary_factor",
            json!(rotated as f64 / dimensions.head_dim as f64),
        );
    } else if rotated != dimensions.head_dim {
        return Err(ConvertError::Unsupported(format!(
            "RoPE rotates only {rotated} of {} head dimensions",
            dimensions.head_dim
        )));
    }
    Ok(())
}
