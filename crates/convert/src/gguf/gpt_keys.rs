//! Keys of `config.json` of GPT-2 and its successors.

use serde_json::{Value, json};

use super::config::Metadata;
use super::dimensions::Dimensions;
use crate::ConvertError;

/// Sets the keys of GPT-2, GPT-BigCode, GPT-J, GPT-NeoX and Qwen that Llama does not have.
pub(super) fn gpt_keys(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let model_type = metadata.architecture.model_type;
    let (heads, key_value_heads) = (dimensions.heads, dimensions.key_value_heads);
    if key_value_heads != heads && (model_type != "gpt_bigcode" || key_value_heads != 1) {
        return Err(ConvertError::Unsupported(format!(
            "{} is {key_value_heads}, but {model_type} with {heads} heads cannot have so many",
            metadata.key("attention.head_count_kv")
        )));
    }
    let (width, hidden) = (dimensions.intermediate, dimensions.hidden);
    if matches!(model_type, "gpt2" | "gptj" | "gpt_neox") && width != 4 * hidden {
        return Err(ConvertError::Unsupported(format!(
            "{} is {width}, but {model_type} has 4 times the embedding length {hidden}",
            metadata.key("feed_forward_length")
        )));
    }
    let has_bias = |name: &str| json!(metadata.has(&format!("blk.0.{name}.bias")));
    match model_type {
        "gpt2" => {
            set("activation_function", json!("gelu_new"));
            set("n_ctx", json!(metadata.count("context_length")?));
        }
        "gptj" => set("activation_function", json!("gelu_new")),
        "gpt_bigcode" => {
            set("activation_function", json!("gelu"));
            set("multi_query", json!(key_value_heads != heads));
            set("attention_bias", has_bias("attn_qkv"));
            set("mlp_bias", has_bias("ffn_up"));
        }
        "gpt_neox" => {
            set("hidden_act", json!("gelu"));
            let parallel = metadata.optional_flag("use_parallel_residual")?;
            set("use_parallel_residual", json!(parallel.unwrap_or(true)));
        }
        _ => set("no_bias", json!(!metadata.has("blk.0.attn_output.bias"))),
    }
    Ok(())
}
