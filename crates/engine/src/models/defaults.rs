//! Defaults and keys that several configurations have in common.

use serde_json::{Map, Value};

/// Sets the keys of `defaults`, an object, that are absent from a configuration.
pub fn fill(values: &mut Map<String, Value>, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        for (key, value) in defaults {
            set_default(values, &key, value);
        }
    }
}

/// Sets a key that is absent. Null means that it is, as in [`crate::checkpoint::parse_fields`].
pub fn set_default(values: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    if values.get(key).is_none_or(Value::is_null) {
        values.insert(key.into(), value.into());
    }
}

/// `rope_theta`.
pub fn rope_theta() -> f64 {
    10_000.0
}

/// `tie_word_embeddings`.
pub fn tie_word_embeddings() -> bool {
    true
}

/// `max_position_embeddings`.
pub fn max_position_embeddings() -> usize {
    32_768
}

/// The key of a size in the configurations of GPT-2 and its successors, as [`crate::forward::ModelConfig::size_key`].
pub fn gpt_size_key(name: &'static str) -> &'static str {
    match name {
        "hidden_size" => "n_embd",
        "intermediate_size" => "n_inner",
        "num_hidden_layers" => "n_layer",
        "num_attention_heads" | "num_key_value_heads" => "n_head",
        _ => name,
    }
}
