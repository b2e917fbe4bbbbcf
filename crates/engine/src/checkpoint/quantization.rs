//! Which modules of a checkpoint are quantized, and how.
//!
//! For each module, by its path after the model's `sanitize`, the same rules apply as in mlx-lm 0.32:
//! - An entry for the path in `quantization` takes precedence: `false` is dense, `true` uses the default settings, an object
//!   states its own settings, in which absent keys have the defaults of the quantization mode.
//! - Without an entry, a module is quantized if `{path}.scales` exists. The settings are inferred from the shapes and from the
//!   element type of the scales.

use mlxm_kernels::{QuantMode, QuantSpec};
use safetensors::Dtype;
use serde_json::{Map, Value};

use super::awq;
use super::config::{CheckpointConfig, read_json};
use super::fields::present;
use super::key_types::check_quantization_types;
use super::weights::{RawTensor, Weights};
use crate::error::LoadError;

/// The `quantization` entry of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Quantization {
    /// Settings of modules whose entry is `true`.
    default_spec: Option<QuantSpec>,
    overrides: Map<String, Value>,
}

impl Quantization {
    /// Reads the settings of a checkpoint from `quantization`, or those of other tools from `quantization_config` or
    /// `hf_quant_config.json`. Weights in AutoAWQ's layout are repacked.
    ///
    /// # Errors
    /// When the settings are malformed or the method is not supported.
    pub fn from_config(
        config: &CheckpointConfig,
        weights: &mut Weights,
    ) -> Result<Self, LoadError> {
        let invalid = |problem: String| LoadError::InvalidConfig {
            path: config.file(),
            problem,
        };
        if let Some(value) = present(&config.values, "quantization") {
            let Value::Object(map) = value else {
                return Err(invalid(format!(
                    "`quantization` must be an object, not {value}"
                )));
            };
            let default_spec =
                parse_spec(map).map_err(|problem| invalid(format!("`quantization`: {problem}")))?;
            let overrides = map
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "group_size" | "bits" | "mode"))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            return Ok(Self {
                default_spec: Some(default_spec),
                overrides,
            });
        }
        let Some(settings) = third_party_settings(config)? else {
            return Ok(Self::default());
        };
        third_party_spec(&settings, weights)
            .map(|default_spec| Self {
                default_spec,
                overrides: Map::new(),
            })
            .map_err(LoadError::UnsupportedQuantization)
    }

    /// The default settings, if the checkpoint states any.
    pub fn default_spec(&self) -> Option<QuantSpec> {
        self.default_spec
    }

    /// The quantization of the module at `path` with `inputs` input features; `None` if it is dense.
    ///
    /// # Errors
    /// When the entry is malformed, or no supported quantization has these shapes.
    pub fn resolve(
        &self,
        path: &str,
        inputs: usize,
        weight: Option<&RawTensor>,
        scales: Option<&RawTensor>,
    ) -> Result<Option<QuantSpec>, LoadError> {
        let bad = |problem: String| LoadError::BadTensor {
            name: format!("{path}.weight"),
            problem,
        };
        match self.overrides.get(path) {
            Some(Value::Bool(false)) => Ok(None),
            Some(Value::Bool(true)) => Ok(self.default_spec),
            // As in mlx-lm, where an empty dict is falsy.
            Some(Value::Object(map)) if map.is_empty() => Ok(None),
            Some(Value::Object(map)) => parse_spec(map)
                .map(Some)
                .map_err(|problem| bad(format!("its `quantization` entry: {problem}"))),
            Some(other) => Err(bad(format!(
                "its `quantization` entry must be true, false or an object, not {other}"
            ))),
            None => match (weight, scales) {
                (Some(weight), Some(scales)) => {
                    infer(inputs, weight, scales).map(Some).map_err(bad)
                }
                _ => Ok(None),
            },
        }
    }
}

fn parse_spec(map: &Map<String, Value>) -> Result<QuantSpec, String> {
    let mode = match map.get("mode") {
        None | Some(Value::Null) => QuantMode::Affine,
        Some(Value::String(name)) => name.parse().map_err(|error| format!("{error}"))?,
        Some(other) => return Err(format!("`mode` must be a string, not {other}")),
    };
    let defaults = QuantSpec::default_for(mode);
    let number = |key: &str, default: usize| match map.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .map(|number| number as usize)
            .ok_or_else(|| format!("`{key}` must be a positive integer, not {value}")),
    };
    let spec = QuantSpec {
        mode,
        group_size: number("group_size", defaults.group_size)?,
        bits: number("bits", defaults.bits as usize)? as u32,
    };
    spec.validate().map_err(|error| error.to_string())?;
    Ok(spec)
}

/// Infers the settings from the shapes of a packed weight and its scales.
fn infer(inputs: usize, weight: &RawTensor, scales: &RawTensor) -> Result<QuantSpec, String> {
    let (Some(&words), Some(&groups)) = (weight.shape.last(), scales.shape.last()) else {
        return Err("a packed weight and its scales need two dimensions".into());
    };
    let does_not_fit = || {
        format!(
            "{words} packed words and {groups} scales per row do not fit {inputs} inputs in any supported quantization \
             (affine 2,3,4,5,6,8 bits with groups of 32,64,128; mxfp4, nvfp4, mxfp8)"
        )
    };
    if groups == 0 || inputs == 0 || !inputs.is_multiple_of(groups) || (words * 32) % inputs != 0 {
        return Err(does_not_fit());
    }
    let group_size = inputs / groups;
    let bits = (words * 32 / inputs) as u32;
    let mode = match (scales.dtype, bits, group_size) {
        (Dtype::U8, 4, 16) => QuantMode::Nvfp4,
        (Dtype::U8, 4, 32) => QuantMode::Mxfp4,
        (Dtype::U8, 8, 32) => QuantMode::Mxfp8,
        (Dtype::U8, ..) => return Err(does_not_fit()),
        _ => QuantMode::Affine,
    };
    let spec = QuantSpec {
        mode,
        group_size,
        bits,
    };
    spec.validate().map_err(|_| does_not_fit())?;
    Ok(spec)
}

/// The quantization settings that other tools wrote into `quantization_config` or `hf_quant_config.json`.
fn third_party_settings(
    config: &CheckpointConfig,
) -> Result<Option<Map<String, Value>>, LoadError> {
    let text = config.values.get("text_config").and_then(Value::as_object);
    let key = "quantization_config";
    let settings = present(&config.values, key).or_else(|| present(text?, key));
    if let Some(Value::Object(settings)) = settings {
        check_quantization_types(settings).map_err(|problem| LoadError::InvalidConfig {
            path: config.file(),
            problem: format!("in `{key}`, {problem}"),
        })?;
        return Ok(Some(settings.clone()));
    }
    let path = config.folder.join("hf_quant_config.json");
    if !path.exists() {
        return Ok(None);
    }
    match read_json(&path)? {
        Value::Object(mut settings) => {
            check_quantization_types(&settings)
                .map_err(|problem| LoadError::InvalidConfig { path, problem })?;
            settings
                .entry("quant_method")
                .or_insert_with(|| "modelopt".into());
            Ok(Some(settings))
        }
        _ => Err(LoadError::InvalidConfig {
            path,
            problem: "must hold a JSON object".into(),
        }),
    }
}

/// The quantization that settings of other tools describe. Weights in AutoAWQ's layout are repacked. With other methods, tensors
/// must have MLX's names and packing; otherwise loading the model reports missing and unknown tensors.
fn third_party_spec(
    config: &Map<String, Value>,
    weights: &mut Weights,
) -> Result<Option<QuantSpec>, String> {
    let method = config.get("quant_method").and_then(Value::as_str);
    let spec = |mode| Ok(Some(QuantSpec::default_for(mode)));
    match method {
        Some("mxfp4") => spec(QuantMode::Mxfp4),
        Some("mxfp8") => spec(QuantMode::Mxfp8),
        // Power-of-two scales for blocks of 32 × 32 are equivalent to mxfp8.
        Some("fp8")
            if config.get("scale_fmt").and_then(Value::as_str) == Some("ue8m0")
                && config.get("weight_block_size") == Some(&serde_json::json!([32, 32])) =>
        {
            spec(QuantMode::Mxfp8)
        }
        Some("compressed-tensors") => match config.get("format").and_then(Value::as_str) {
            Some("nvfp4-pack-quantized") => spec(QuantMode::Nvfp4),
            Some("mxfp4-pack-quantized") => spec(QuantMode::Mxfp4),
            Some("pack-quantized") => Ok(Some(QuantSpec {
                mode: QuantMode::Affine,
                group_size: 32,
                bits: 4,
            })),
            other => Err(format!(
                "compressed-tensors format {other:?} is not supported; supported: pack-quantized, \
                 nvfp4-pack-quantized, mxfp4-pack-quantized"
            )),
        },
        Some("awq" | "gptq") => awq::repack(weights, config).map(Some),
        Some("modelopt") => {
            let settings = config
                .get("quantization")
                .and_then(Value::as_object)
                .unwrap_or(config);
            match settings.get("quant_algo").and_then(Value::as_str) {
                Some("NVFP4") => spec(QuantMode::Nvfp4),
                other => Err(format!(
                    "modelopt quantization {other:?} is not supported; supported: NVFP4"
                )),
            }
        }
        Some(other) => Err(format!(
            "quant_method `{other}` is not supported; use an MLX checkpoint of this model, or its dense version with `mlxm convert --bits 4`"
        )),
        // mlx-lm also writes its `quantization` under this key, without a method.
        None if config.contains_key("bits") || config.contains_key("group_size") => {
            parse_spec(config).map(Some)
        }
        None => Ok(None),
    }
}
