//! RoPE in `config.json` from GGUF metadata.

use serde_json::{Value, json};

use super::blocks::dequantize_row;
use super::config::Metadata;
use super::dimensions::Dimensions;
use super::metadata::shortest_decimal;
use crate::ConvertError;

/// Whether the configuration of an architecture has `rope_scaling`.
fn has_scaling(model_type: &str) -> bool {
    !matches!(
        model_type,
        "ernie4_5"
            | "cohere"
            | "cohere2"
            | "glm4"
            | "glm"
            | "gpt2"
            | "gpt_bigcode"
            | "gpt_neox"
            | "gptj"
            | "hunyuan_v1_dense"
            | "olmo"
            | "openelm"
            | "phi"
            | "plamo"
            | "qwen"
            | "stablelm"
    )
}

/// Sets the base, the scaling, and the rotated part of heads.
pub(super) fn rope(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let model_type = metadata.architecture.model_type;
    let default_theta = if model_type == "gemma3_text" {
        1e6
    } else {
        1e4
    };
    let theta = metadata.optional_number("rope.freq_base")?;
    let theta = theta.unwrap_or(default_theta);
    // These models have the default in their code.
    if matches!(model_type, "gptj" | "qwen") && theta != default_theta {
        return Err(ConvertError::Unsupported(format!(
            "{} is {theta}, but {model_type} has the base {default_theta}",
            metadata.key("rope.freq_base")
        )));
    }
    set("rope_theta", json!(theta));
    let scaling = rope_scaling(metadata, dimensions)?;
    if !scaling.is_null() {
        let kind = scaling["type"].as_str().unwrap_or_default();
        // mlx-lm accepts no other type.
        let accepted = model_type != "internlm2" || kind == "linear";
        if !has_scaling(model_type) || !accepted {
            return Err(ConvertError::Unsupported(format!(
                "it has RoPE scaling of the type {kind}, which {model_type} does not support"
            )));
        }
    }
    set("rope_scaling", scaling);
    rotated_part(metadata, dimensions, set)
}

/// The part of the head dimensions that RoPE rotates, which few architectures can express.
fn rotated_part(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let head_dim = dimensions.head_dim;
    let rotated = metadata
        .optional_count("rope.dimension_count")?
        .unwrap_or(head_dim);
    match metadata.architecture.model_type {
        "phi3" | "nemotron" | "glm" | "glm4" | "phi" | "stablelm" => {
            set("partial_rotary_factor", json!(fraction(rotated, head_dim)));
        }
        "gpt_neox" => set("rotary_pct", json!(fraction(rotated, head_dim))),
        "gptj" => set("rotary_dim", json!(rotated)),
        _ if rotated != head_dim => {
            return Err(ConvertError::Unsupported(format!(
                "RoPE rotates only {rotated} of {head_dim} head dimensions"
            )));
        }
        _ => {}
    }
    Ok(())
}

/// `part / whole`. Its product with `whole` is not below `part`, because models truncate the product.
fn fraction(part: u64, whole: u64) -> f64 {
    let quotient = part as f64 / whole as f64;
    if quotient * (whole as f64) < part as f64 {
        quotient.next_up()
    } else {
        quotient
    }
}

/// The `rope_scaling` value; null without scaling.
pub(super) fn rope_scaling(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
) -> Result<Value, ConvertError> {
    let factors = |name: &str| -> Result<Option<Vec<f32>>, ConvertError> {
        let Some(tensor) = metadata.gguf.tensor(name) else {
            return Ok(None);
        };
        if tensor.shape.len() != 1 || !tensor.kind.is_dense() {
            return Err(ConvertError::tensor(
                name,
                "RoPE factors must be a one-dimensional float tensor",
            ));
        }
        let mut values = vec![0.0; tensor.shape[0]];
        dequantize_row(tensor.kind, tensor.data, &mut values);
        Ok(Some(values))
    };
    if let Some(factors) = factors("rope_freqs.weight")? {
        let theta = metadata.optional_number("rope.freq_base")?.unwrap_or(1e4);
        return llama3(&factors, theta, dimensions.head_dim);
    }
    let original = metadata.optional_count("rope.scaling.original_context_length")?;
    if let (Some(long), Some(short)) = (
        factors("rope_factors_long.weight")?,
        factors("rope_factors_short.weight")?,
    ) {
        let context = metadata.count("context_length")?;
        return Ok(json!({
            "type": "longrope",
            "rope_type": "longrope",
            "long_factor": decimals(&long),
            "short_factor": decimals(&short),
            "original_max_position_embeddings": original.unwrap_or(context),
        }));
    }
    let factor = match metadata.optional_number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        // Older files have this key.
        None => metadata.optional_number("rope.scale_linear")?,
    };
    let kind = metadata.optional_text("rope.scaling.type")?;
    match (kind, factor) {
        (Some("none"), _) | (None, None) => Ok(Value::Null),
        (Some("linear") | None, Some(factor)) => Ok(if factor == 1.0 || factor == 0.0 {
            Value::Null
        } else {
            json!({"type": "linear", "rope_type": "linear", "factor": factor})
        }),
        (Some("yarn"), Some(factor)) => {
            let original = original.ok_or_else(|| {
                ConvertError::Unsupported(
                    "its YaRN scaling has no original context length".to_owned(),
                )
            })?;
            for name in [
                "rope.scaling.yarn_ext_factor",
                "rope.scaling.yarn_attn_factor",
            ] {
                if let Some(value) = metadata.optional_number(name)?
                    && value != 1.0
                {
                    return Err(ConvertError::Unsupported(format!(
                        "its YaRN scaling has {name} = {value}, which config.json cannot express"
                    )));
                }
            }
            let mut scaling = json!({
                "type": "yarn",
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original,
            });
            for (name, key) in [
                ("rope.scaling.yarn_beta_fast", "beta_fast"),
                ("rope.scaling.yarn_beta_slow", "beta_slow"),
            ] {
                if let Some(value) = metadata.optional_number(name)? {
                    scaling[key] = json!(value);
                }
            }
            Ok(scaling)
        }
        (Some(kind), _) => Err(ConvertError::Unsupported(format!(
            "its RoPE scaling {kind:?} (factor {factor:?}) is not supported"
        ))),
    }
}

fn decimals(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(shortest_decimal).collect()
}

/// Finds the parameters of Llama 3's RoPE scaling that produce `factors`, because GGUF stores only the factors.
fn llama3(factors: &[f32], theta: f64, head_dim: u64) -> Result<Value, ConvertError> {
    if factors.iter().all(|factor| *factor == 1.0) {
        return Ok(Value::Null);
    }
    let factor = f64::from(factors.iter().copied().fold(1.0, f32::max));
    let (low, high) = (1.0, 4.0);
    for exponent in 9..18 {
        let original = 2_f64.powi(exponent);
        let matches = factors.len() as u64 == head_dim / 2
            && factors.iter().enumerate().all(|(index, found)| {
                let wavelength =
                    std::f64::consts::TAU * theta.powf(2.0 * index as f64 / head_dim as f64);
                let expected = if wavelength < original / high {
                    1.0
                } else if wavelength > original / low {
                    factor
                } else {
                    let smooth = (original / wavelength - low) / (high - low);
                    1.0 / ((1.0 - smooth) / factor + smooth)
                };
                (f64::from(*found) - expected).abs() <= 1e-4 * expected
            });
        if matches {
            return Ok(json!({
                "type": "llama3",
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original as u64,
            }));
        }
    }
    Err(ConvertError::Unsupported(
        "its RoPE factors (rope_freqs.weight) do not match Llama 3's scaling".to_owned(),
    ))
}
