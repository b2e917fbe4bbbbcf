//! Keys of `config.json` that only some architectures have.

use serde_json::{Value, json};

use super::GgufError;
use super::config::Metadata;
use super::dimensions::Dimensions;
use super::gpt_keys::gpt_keys;
use super::layer_keys::{nemotron_nas_keys, openelm_keys};
use super::rope::rope_scaling;
use crate::ConvertError;

/// The projections of attention.
const ATTENTION: &[&str] = &["attn_q", "attn_k", "attn_v", "attn_output"];

/// Those of them that read the input.
const ATTENTION_INPUTS: &[&str] = &["attn_q", "attn_k", "attn_v"];

/// The projections of an MLP with a gate.
const GATED_MLP: &[&str] = &["ffn_gate", "ffn_up", "ffn_down"];

/// Sets the keys of the architecture of the file.
pub(super) fn architecture_keys(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let query_scale = || {
        // The 27B models of Gemma 2 and 3 use hidden_size / heads instead of head_dim.
        let is_27b = matches!(
            (metadata.architecture.model_type, dimensions.layers),
            ("gemma2", 46) | ("gemma3_text", 62)
        );
        if is_27b {
            dimensions.hidden / dimensions.heads
        } else {
            dimensions.head_dim
        }
    };
    // Whether projections have biases, by the key that says so for all of them.
    let bias = |key: &str, projections: &[&str]| {
        let has_bias = |name: &&str| metadata.has(&format!("blk.0.{name}.bias"));
        let count = projections.iter().filter(|name| has_bias(name)).count();
        if count != 0 && count != projections.len() {
            return Err(ConvertError::Unsupported(format!(
                "only some of its projections have biases, which {key} cannot express"
            )));
        }
        Ok(json!(count > 0))
    };
    let biases = |set: &mut dyn FnMut(&str, Value), mlp: &[&str]| {
        set("attention_bias", bias("attention_bias", ATTENTION)?);
        set("mlp_bias", bias("mlp_bias", mlp)?);
        Ok::<_, ConvertError>(())
    };
    // The sliding window, and a flag for each layer that has it.
    let windows = || {
        let Some(window) = metadata.optional_count("attention.sliding_window")? else {
            return Ok::<_, GgufError>(None);
        };
        let layers =
            metadata.optional_flags("attention.sliding_window_pattern", dimensions.layers)?;
        Ok(Some((window, layers)))
    };
    match metadata.architecture.model_type {
        "gemma" => set("hidden_activation", json!("gelu_pytorch_tanh")),
        "gemma2" => {
            set("hidden_activation", json!("gelu_pytorch_tanh"));
            set("query_pre_attn_scalar", json!(query_scale()));
            let cap = |name, default: f64| {
                Ok::<_, GgufError>(json!(metadata.optional_number(name)?.unwrap_or(default)))
            };
            set(
                "attn_logit_softcapping",
                cap("attn_logit_softcapping", 50.0)?,
            );
            set(
                "final_logit_softcapping",
                cap("final_logit_softcapping", 30.0)?,
            );
            let window = metadata.optional_count("attention.sliding_window")?;
            set("sliding_window", json!(window.unwrap_or(4096)));
        }
        "gemma3_text" => {
            if metadata
                .optional_number("final_logit_softcapping")?
                .is_some()
            {
                return Err(ConvertError::Unsupported(
                    "it has final logit softcapping, which gemma3_text does not support".to_owned(),
                ));
            }
            set("hidden_activation", json!("gelu_pytorch_tanh"));
            set("query_pre_attn_scalar", json!(query_scale()));
            set(
                "sliding_window",
                json!(metadata.count("attention.sliding_window")?),
            );
            let pattern = metadata.optional_count("attention.sliding_window_pattern")?;
            set("sliding_window_pattern", json!(pattern.unwrap_or(6)));
            let local = metadata.optional_number("rope.freq_base_swa")?;
            set("rope_local_base_freq", json!(local.unwrap_or(1e4)));
        }
        "olmo3" => {
            set("hidden_act", json!("silu"));
            biases(set, GATED_MLP)?;
            if let Some((window, layers)) = windows()? {
                set("sliding_window", json!(window));
                let kind = |sliding: bool| {
                    if sliding {
                        "sliding_attention"
                    } else {
                        "full_attention"
                    }
                };
                let kinds =
                    |layers: Vec<bool>| json!(layers.into_iter().map(kind).collect::<Vec<_>>());
                set("layer_types", layers.map_or(Value::Null, kinds));
            }
        }
        "exaone4" => {
            set("hidden_act", json!("silu"));
            let (mut window, mut pattern) = (Value::Null, Value::Null);
            if let Some((size, layers)) = windows()? {
                // Without the key, the last layer of each four has full attention.
                let is_sliding = |layer: u64| !(layer + 1).is_multiple_of(4);
                let layers =
                    layers.unwrap_or_else(|| (0..dimensions.layers).map(is_sliding).collect());
                let letters = layers
                    .into_iter()
                    .map(|sliding| if sliding { 'L' } else { 'G' });
                (window, pattern) = (json!(size), json!(letters.collect::<String>()));
            }
            set("sliding_window", window);
            set("sliding_window_pattern", pattern);
        }
        "seed_oss" => {
            set("hidden_act", json!("silu"));
            set("attention_bias", bias("attention_bias", ATTENTION_INPUTS)?);
            set(
                "attention_out_bias",
                bias("attention_out_bias", &["attn_output"])?,
            );
            set("mlp_bias", bias("mlp_bias", GATED_MLP)?);
        }
        "ernie4_5" => {
            set("hidden_act", json!("silu"));
            let projections = [ATTENTION, GATED_MLP].concat();
            set("use_bias", bias("use_bias", &projections)?);
        }
        "minicpm" => {
            // The multipliers of the file, in terms of the configuration.
            let (hidden, layers) = (dimensions.hidden as f64, dimensions.layers as f64);
            set("hidden_act", json!("silu"));
            set("scale_emb", json!(metadata.number("embedding_scale")?));
            let residual = metadata.number("residual_scale")?;
            set("scale_depth", json!(residual * layers.sqrt()));
            let logits = metadata.number("logit_scale")?;
            set("dim_model_base", json!(hidden / logits));
        }
        "cohere" => {
            set("hidden_act", json!("silu"));
            set("logit_scale", json!(metadata.number("logit_scale")?));
            set("attention_bias", bias("attention_bias", ATTENTION)?);
            let has_norms = metadata.has("blk.0.attn_q_norm.weight");
            set("use_qk_norm", json!(has_norms));
        }
        "cohere2" => {
            set("hidden_act", json!("silu"));
            set("logit_scale", json!(metadata.number("logit_scale")?));
            set("attention_bias", bias("attention_bias", ATTENTION)?);
            set(
                "sliding_window",
                json!(metadata.count("attention.sliding_window")?),
            );
            // llama.cpp has no key for it.
            set("sliding_window_pattern", json!(4));
        }
        "nemotron" => {
            set("hidden_act", json!("relu2"));
            biases(set, &["ffn_up", "ffn_down"])?;
        }
        "glm4" => {
            set("hidden_act", json!("silu"));
            set("attention_bias", bias("attention_bias", ATTENTION_INPUTS)?);
        }
        "phi3" => {
            set("hidden_act", json!("silu"));
            let window = metadata.optional_count("attention.sliding_window")?;
            set("sliding_window", json!(window.filter(|window| *window > 0)));
            let context = metadata.count("context_length")?;
            let original = metadata.optional_count("rope.scaling.original_context_length")?;
            set(
                "original_max_position_embeddings",
                json!(original.unwrap_or(context)),
            );
        }
        "granite" => {
            set("hidden_act", json!("silu"));
            let scale =
                |name| Ok::<_, GgufError>(json!(metadata.optional_number(name)?.unwrap_or(1.0)));
            set(
                "attention_multiplier",
                json!(metadata.number("attention.scale")?),
            );
            set("embedding_multiplier", scale("embedding_scale")?);
            set("residual_multiplier", scale("residual_scale")?);
            set("logits_scaling", scale("logit_scale")?);
            biases(set, GATED_MLP)?;
        }
        "starcoder2" => {
            set("hidden_act", json!("gelu_pytorch_tanh"));
            set("use_bias", json!(true));
        }
        "smollm3" => {
            set("hidden_act", json!("silu"));
            set("no_rope_layer_interval", json!(4));
            biases(set, GATED_MLP)?;
        }
        "qwen2" | "qwen3" | "qwen2_vl" | "qwen3_vl" => set("hidden_act", json!("silu")),
        "stablelm" => {
            set("hidden_act", json!("silu"));
            set("use_qkv_bias", bias("use_qkv_bias", ATTENTION_INPUTS)?);
            // Attention and MLP after the same norm. The key use_parallel_residual of the file is also true of others.
            let parallel = !metadata.has("blk.0.ffn_norm.weight");
            set("use_parallel_residual", json!(parallel));
            let has_norms = metadata.has("blk.0.attn_q_norm.weight");
            set("qk_layernorm", json!(has_norms));
        }
        "internlm2" => {
            set("hidden_act", json!("silu"));
            set("bias", bias("bias", ATTENTION)?);
        }
        "glm" => {
            set("hidden_act", json!("silu"));
            let inputs = if metadata.has("blk.0.attn_qkv.weight") {
                &["attn_qkv"]
            } else {
                ATTENTION_INPUTS
            };
            set("attention_bias", bias("attention_bias", inputs)?);
        }
        "hunyuan_v1_dense" => {
            set("hidden_act", json!("silu"));
            set("attention_bias", bias("attention_bias", ATTENTION)?);
            let has_norms = metadata.has("blk.0.attn_q_norm.weight");
            set("use_qk_norm", json!(has_norms));
            // Most files have the base that results from it.
            if let Some(alpha) = metadata.optional_number("rope.scaling.alpha")?
                && alpha > 0.0
            {
                set(
                    "rope_scaling",
                    json!({"type": "dynamic", "rope_type": "dynamic", "alpha": alpha, "factor": 1.0}),
                );
            }
        }
        "apertus" => {
            set("hidden_act", json!("xielu"));
            set("attention_bias", json!(false));
            set("mlp_bias", bias("mlp_bias", &["ffn_up", "ffn_down"])?);
            set("post_norm", json!(false));
            set("qk_norm", json!(true));
        }
        "plamo" => {
            let (heads, shared) = (dimensions.heads, dimensions.key_value_heads);
            if !heads.is_multiple_of(shared) {
                return Err(ConvertError::Unsupported(format!(
                    "its {heads} heads are not a multiple of its {shared} key and value heads"
                )));
            }
            set("n_shared_head", json!(heads / shared));
        }
        "ministral3" => {
            set("hidden_act", json!("silu"));
            set("rope_parameters", ministral3_rope(metadata, dimensions)?);
        }
        "nemotron-nas" => {
            set("hidden_act", json!("silu"));
            biases(set, GATED_MLP)?;
            nemotron_nas_keys(metadata, dimensions, set)?;
        }
        "openelm" => openelm_keys(metadata, dimensions, set)?,
        "gpt2" | "gpt_bigcode" | "gptj" | "gpt_neox" | "qwen" => {
            gpt_keys(metadata, dimensions, set)?;
        }
        "olmo" => olmo_keys(metadata, dimensions, set)?,
        "phi" => set("hidden_act", json!("gelu_new")),
        _ => {
            set("hidden_act", json!("silu"));
            biases(set, GATED_MLP)?;
        }
    }
    Ok(())
}

/// The widths of OLMo. It has no key for some values that files state.
fn olmo_keys(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let epsilon = metadata.number("attention.layer_norm_epsilon")?;
    let limit = metadata.optional_number("attention.clamp_kqv")?;
    let reason = if epsilon as f32 != 1e-5 {
        format!("its layer norms have an epsilon of {epsilon}, but that of olmo is 1e-5")
    } else if limit.is_some_and(|limit| limit > 0.0) {
        let key = metadata.key("attention.clamp_kqv");
        format!("{key} limits queries, keys and values, which olmo does not support")
    } else if dimensions.key_value_heads != dimensions.heads {
        let key = metadata.key("attention.head_count_kv");
        format!("{key} is not the number of heads, as olmo requires")
    } else {
        set("mlp_hidden_size", json!(2 * dimensions.intermediate));
        set("embedding_size", json!(metadata.rows("token_embd.weight")));
        return Ok(());
    };
    Err(ConvertError::Unsupported(reason))
}

/// `rope_parameters` of Ministral 3, which also has the scaling of queries by their position.
fn ministral3_rope(metadata: &Metadata<'_>, dimensions: Dimensions) -> Result<Value, ConvertError> {
    let mut parameters = rope_scaling(metadata, dimensions)?;
    if parameters.is_null() {
        parameters = json!({"type": "default", "rope_type": "default"});
    } else if parameters["type"] == "yarn" {
        // llama.cpp has the same value of mscale in its code.
        parameters["mscale"] = json!(1.0);
        let all_dimensions = metadata.number("rope.scaling.yarn_log_multiplier")?;
        parameters["mscale_all_dim"] = json!(all_dimensions);
    }
    let theta = metadata.optional_number("rope.freq_base")?;
    parameters["rope_theta"] = json!(theta.unwrap_or(1e4));
    let beta = metadata.number("attention.temperature_scale")?;
    parameters["llama_4_scaling_beta"] = json!(beta);
    let original = match metadata.optional_count("rope.scaling.original_context_length")? {
        Some(original) => original,
        None => metadata.count("context_length")?,
    };
    parameters["original_max_position_embeddings"] = json!(original);
    Ok(parameters)
}
