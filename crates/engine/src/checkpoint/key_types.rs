//! Types of the keys of `config.json` that a model does not parse, or that only some models do.
//!
//! Fields of a model's configuration have types of their own. Without this check, a value of the wrong type under another known
//! key would count as absent.

use serde_json::{Map, Value};

use super::fields::present;
use crate::json;

/// What the value of a key must be. Null is always accepted, as it means that the key is absent.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyType {
    Bool,
    Text,
    Number,
    Size,
    Object,
    /// A name, or names by part of the model.
    DataType,
    /// An integer or a list of integers. Some files have −1 for a token that does not exist.
    TokenIds,
}

type Keys = &'static [(&'static str, KeyType)];

/// Keys of `config.json` and of its `text_config`.
const CONFIG: Keys = &[
    ("dtype", KeyType::DataType),
    ("eos_token_id", KeyType::TokenIds),
    ("hidden_act", KeyType::Text),
    ("hidden_activation", KeyType::Text),
    ("quantization_config", KeyType::Object),
    ("rope_parameters", KeyType::Object),
    ("rope_scaling", KeyType::Object),
    ("text_config", KeyType::Object),
    ("tie_word_embeddings", KeyType::Bool),
    ("torch_dtype", KeyType::DataType),
];

/// Keys of `rope_scaling` and `rope_parameters`.
const ROPE: Keys = &[
    ("factor", KeyType::Number),
    ("full_attention", KeyType::Object),
    ("original_max_position_embeddings", KeyType::Number),
    ("partial_rotary_factor", KeyType::Number),
    ("rope_theta", KeyType::Number),
    ("rope_type", KeyType::Text),
    ("sliding_attention", KeyType::Object),
    ("type", KeyType::Text),
];

/// Keys of the quantization settings of other tools.
const QUANTIZATION: Keys = &[
    ("format", KeyType::Text),
    ("quant_algo", KeyType::Text),
    ("quant_method", KeyType::Text),
    ("quantization", KeyType::Object),
    ("scale_fmt", KeyType::Text),
];

/// More of these keys. Methods that are not supported may have other types here, such as a fraction of a bit.
const QUANTIZATION_SIZES: Keys = &[("bits", KeyType::Size), ("group_size", KeyType::Size)];

impl KeyType {
    pub(super) fn accepts(self, value: &Value) -> bool {
        let is_integer = |value: &Value| value.is_i64() || value.is_u64();
        match (self, value) {
            (_, Value::Null) => true,
            (Self::Bool, value) => value.is_boolean(),
            (Self::Text, value) => value.is_string(),
            (Self::Number, value) => value.is_number(),
            (Self::Size, value) => value.is_u64(),
            (Self::Object, value) => value.is_object() && json::non_finite(value).is_none(),
            (Self::DataType, value) => value.is_string() || value.is_object(),
            (Self::TokenIds, Value::Array(ids)) => ids.iter().all(is_integer),
            (Self::TokenIds, value) => is_integer(value),
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Text => "a string",
            Self::Number => "a finite number",
            Self::Size => "a positive integer",
            Self::Object => "an object",
            Self::DataType => "the name of a data type",
            Self::TokenIds => "a token id or a list of token ids",
        }
    }
}

/// Checks the types of known keys of `config.json`.
///
/// # Errors
/// A message that names the key.
pub fn check_key_types(values: &Map<String, Value>) -> Result<(), String> {
    check_config(values, "")?;
    match values.get("text_config") {
        Some(Value::Object(text)) => check_config(text, "text_config."),
        _ => Ok(()),
    }
}

fn check_config(values: &Map<String, Value>, prefix: &str) -> Result<(), String> {
    check(values, prefix, CONFIG)?;
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(Value::Object(rope)) = values.get(key) else {
            continue;
        };
        let prefix = format!("{prefix}{key}.");
        check(rope, &prefix, ROPE)?;
        for kind in ["full_attention", "sliding_attention"] {
            if let Some(Value::Object(of_kind)) = rope.get(kind) {
                check(of_kind, &format!("{prefix}{kind}."), ROPE)?;
            }
        }
    }
    Ok(())
}

/// Checks the types of known keys in the quantization settings of other tools.
///
/// # Errors
/// A message that names the key.
pub(super) fn check_quantization_types(settings: &Map<String, Value>) -> Result<(), String> {
    check(settings, "", QUANTIZATION)?;
    if let Some(Value::Object(nested)) = settings.get("quantization") {
        check(nested, "quantization.", QUANTIZATION)?;
    }
    match present(settings, "quant_method").and_then(Value::as_str) {
        None | Some("awq" | "gptq") => check(settings, "", QUANTIZATION_SIZES),
        Some(_) => Ok(()),
    }
}

/// Checks `keys`, whose path in the file is that after `prefix`.
fn check(values: &Map<String, Value>, prefix: &str, keys: Keys) -> Result<(), String> {
    for (key, key_type) in keys {
        let Some(value) = present(values, key).filter(|value| !key_type.accepts(value)) else {
            continue;
        };
        let found = match value {
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => json::non_finite(value).unwrap_or("an object").to_owned(),
            other => other.to_string(),
        };
        let expected = key_type.description();
        return Err(format!("`{prefix}{key}` must be {expected}, not {found}"));
    }
    Ok(())
}
