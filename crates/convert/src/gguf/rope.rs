//! `rope_scaling` of `config.json` from GGUF metadata.

use serde_json::{Value, json};

use super::blocks::dequantize_row;
use super::config::{Dimensions, Metadata};
use super::metadata::shortest_decimal;
use crate::ConvertError;

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
