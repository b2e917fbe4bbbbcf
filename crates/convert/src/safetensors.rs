//! Conversion of Hugging Face and MLX safetensors checkpoints.

use std::path::{Path, PathBuf};

use mlxm_kernels::quant::{FloatType, QuantSpec};
use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::ConvertError;
use super::dense::{CopiedRows, DenseRows};
use super::execute::execute;
use super::options::{ConvertOptions, ConvertReport, Outcome, Progress};
use super::packed::PackedWeight;
use super::plan::{FileContent, OutputTensor, Plan, TensorPlan, float_dtype};
use super::quant_predicate::{QuantPredicate, Target};
use super::quantized::{QuantizedRows, quantized_outputs, relative_error};
use super::raw::RawRows;
use mlxm_engine::checkpoint::{CheckpointConfig, Quantization, RawTensor, Weights};
use mlxm_engine::forward::{Dimensions, ModelConfig};
use mlxm_engine::models::read_model_config;

/// Files that are copied unchanged if the source has them.
const COPIED_FILES: &[&str] = &[
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
];

/// Converts the checkpoint in the directory `source`.
pub(super) fn convert(
    source: &Path,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    let config = CheckpointConfig::open(source)?;
    let (model_type, architecture) = read_model_config(&config)?;
    let mut weights = Weights::open(source)?;
    architecture.sanitize(&mut weights);
    let quantization = Quantization::from_config(&config, &mut weights)?;
    let copied_files: Vec<(&str, PathBuf)> = COPIED_FILES
        .iter()
        .map(|name| (*name, source.join(name)))
        .filter(|(_, path)| path.is_file())
        .collect();
    let model = SourceModel {
        weights: &weights,
        quantization,
        dimensions: architecture.dimensions(),
        float: options
            .float_type
            .or_else(|| config_float_type(&config.values)),
    };
    let float = model.float;
    let mut planner = Planner {
        model,
        quantized: Vec::new(),
        notes: Vec::new(),
    };
    let tensors = planner.plan(model_type, architecture.as_ref(), options)?;
    let mut values = config.values.clone();
    // As in mlx-lm: the path of the source, and the vision model, which is not converted.
    values.shift_remove("_name_or_path");
    values.shift_remove("vision_config");
    if let Some(text) = values.get_mut("text_config").and_then(Value::as_object_mut) {
        text.shift_remove("quantization_config");
    }
    if let Some(float) = float {
        set_float_type(&mut values, float);
    }
    let plan = Plan {
        tensors,
        config: values,
        quantized: planner.quantized,
        files: copied_files
            .iter()
            .map(|(name, path)| ((*name).to_owned(), FileContent::Copy(path)))
            .collect(),
        notes: planner.notes,
    };
    execute(plan, output, options, progress)
}

/// The keys of the float type in `config.json`: of transformers 5, and of earlier versions. The first takes precedence.
const FLOAT_TYPE_KEYS: &[&str] = &["dtype", "torch_dtype"];

/// The float type in `config.json`, at the top level or else in `text_config`.
fn config_float_type(values: &Map<String, Value>) -> Option<FloatType> {
    let nested = values.get("text_config").and_then(Value::as_object);
    std::iter::once(values)
        .chain(nested)
        .flat_map(|values| {
            FLOAT_TYPE_KEYS
                .iter()
                .filter_map(move |key| values.get(*key))
        })
        .find_map(|value| {
            // Some configurations have the name as PyTorch prints it.
            let name = value.as_str()?.trim_start_matches("torch.");
            [FloatType::F32, FloatType::F16, FloatType::BF16]
                .into_iter()
                .find(|float| torch_dtype(*float) == name)
        })
}

/// Replaces the float type wherever `config.json` states one, so that no reader finds another. Without any, it is added under
/// the name that all versions of transformers read.
fn set_float_type(values: &mut Map<String, Value>, float: FloatType) {
    let mut found = replace_float_type(values, float);
    if let Some(text) = values.get_mut("text_config").and_then(Value::as_object_mut) {
        found |= replace_float_type(text, float);
    }
    if !found {
        values.insert("torch_dtype".to_owned(), json!(torch_dtype(float)));
    }
}

/// Whether there was a float type to replace.
fn replace_float_type(values: &mut Map<String, Value>, float: FloatType) -> bool {
    let mut found = false;
    for key in FLOAT_TYPE_KEYS {
        if let Some(value) = values.get_mut(*key) {
            *value = json!(torch_dtype(float));
            found = true;
        }
    }
    found
}

/// The value of `torch_dtype` in `config.json`.
pub(super) fn torch_dtype(float: FloatType) -> &'static str {
    match float {
        FloatType::F32 => "float32",
        FloatType::F16 => "float16",
        FloatType::BF16 => "bfloat16",
    }
}

struct SourceModel<'a> {
    weights: &'a Weights,
    quantization: Quantization,
    dimensions: Dimensions,
    /// The output type of float tensors; `None` keeps the type of each.
    float: Option<FloatType>,
}

impl SourceModel<'_> {
    /// Number of inputs of the module at `path`, which the shape of its packed weight does not determine.
    fn columns(&self, path: &str) -> usize {
        let dimensions = &self.dimensions;
        match path.rsplit('.').next() {
            Some("o_proj") => dimensions.attention.q_width(),
            Some("down_proj" | "c_proj") => dimensions.intermediate_size,
            _ => dimensions.hidden_size,
        }
    }
}

struct Planner<'a> {
    model: SourceModel<'a>,
    quantized: Vec<(String, QuantSpec)>,
    notes: Vec<String>,
}

impl<'a> Planner<'a> {
    fn plan(
        &mut self,
        model_type: &str,
        architecture: &dyn ModelConfig,
        options: &ConvertOptions,
    ) -> Result<Vec<TensorPlan<'a>>, ConvertError> {
        let weights = self.model.weights;
        let modules: Vec<&str> = weights
            .iter()
            .filter(|(_, tensor)| tensor.shape.len() == 2)
            .filter_map(|(name, _)| name.strip_suffix(".weight"))
            .collect();
        let predicate = QuantPredicate::new(
            options,
            model_type,
            modules.iter().copied(),
            architecture.dimensions().num_hidden_layers,
        )?;
        let mut plans = Vec::new();
        for (name, tensor) in weights.iter() {
            let (path, leaf) = name.rsplit_once('.').unwrap_or((name, ""));
            let has_scales = weights.contains(&format!("{path}.scales"));
            match leaf {
                // Handled together with their weight.
                "scales" | "biases" | "global_scale" if has_scales => {}
                "weight" if has_scales => {
                    plans.extend(self.quantized_weight(path, tensor, &predicate)?);
                }
                "weight" if tensor.shape.len() == 2 => {
                    let target = predicate.target(path, tensor.shape[1])?;
                    plans.push(self.float_weight(path, tensor, target)?);
                }
                _ => plans.push(self.float_tensor(name, tensor)?),
            }
        }
        Ok(plans)
    }

    /// A linear layer or embedding that is dense in the source.
    fn float_weight(
        &mut self,
        path: &str,
        tensor: &'a RawTensor,
        target: Target,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let name = format!("{path}.weight");
        let Target::Quantized(to) = target else {
            return self.float_tensor(&name, tensor);
        };
        let rows = RawRows::new(&name, tensor)?;
        let float = self.model.float.unwrap_or(rows.float());
        let producer = QuantizedRows {
            columns: tensor.shape[1],
            rows,
            spec: to,
            float,
        };
        self.quantized.push((path.to_owned(), to));
        Ok(TensorPlan {
            name: path.to_owned(),
            outputs: quantized_outputs(path, &tensor.shape, to, float_dtype(float)),
            rows: tensor.shape[0],
            parameters: parameters(&tensor.shape),
            producer: Box::new(producer),
            outcome: Outcome::Quantized { to },
        })
    }

    /// A float tensor that is not quantized.
    fn float_tensor(
        &self,
        name: &str,
        tensor: &'a RawTensor,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let source = RawRows::new(name, tensor)?;
        let columns = tensor.shape.last().copied().unwrap_or(1);
        let stored = source.float();
        let float = self.model.float.unwrap_or(stored);
        let rows = tensor.shape.iter().rev().skip(1).product();
        Ok(TensorPlan {
            name: name.to_owned(),
            outputs: vec![OutputTensor {
                name: name.to_owned(),
                dtype: float_dtype(float),
                shape: tensor.shape.clone(),
            }],
            rows,
            parameters: parameters(&tensor.shape),
            outcome: if float == stored || float == FloatType::F32 {
                Outcome::Exact
            } else {
                Outcome::Rounded { to: float }
            },
            producer: if float == stored {
                Box::new(CopiedRows {
                    parts: vec![tensor.bytes.as_slice()],
                    rows,
                })
            } else {
                Box::new(DenseRows {
                    rows: source,
                    columns,
                    float,
                })
            },
        })
    }

    /// A linear layer or embedding that is quantized in the source: one plan, and a second one if it has a global
    /// scale.
    fn quantized_weight(
        &mut self,
        path: &str,
        weight: &'a RawTensor,
        predicate: &QuantPredicate<'_>,
    ) -> Result<Vec<TensorPlan<'a>>, ConvertError> {
        let columns = self.model.columns(path);
        let part = |leaf: &str| self.model.weights.get(&format!("{path}.{leaf}"));
        let from = self
            .model
            .quantization
            .resolve(path, columns, Some(weight), part("scales"))?
            .ok_or_else(|| {
                ConvertError::tensor(
                    path,
                    "it has scales, but it is dense according to config.json",
                )
            })?;
        let packed = PackedWeight::new(path, columns, from, weight, &part)?;
        let float = self
            .model
            .float
            .or(packed.scale_float())
            .unwrap_or(FloatType::BF16);
        let target = predicate.target(path, columns)?;
        let shape = [weight.shape[0], columns];
        let parameters = parameters(&shape);
        let to = match target {
            Target::Keep => from,
            Target::Quantized(to) => to,
            Target::Dense => {
                return Ok(vec![TensorPlan {
                    name: format!("{path}.weight"),
                    outputs: vec![OutputTensor {
                        name: format!("{path}.weight"),
                        dtype: float_dtype(float),
                        shape: shape.to_vec(),
                    }],
                    rows: shape[0],
                    parameters,
                    producer: Box::new(DenseRows {
                        rows: packed.weight()?,
                        columns,
                        float,
                    }),
                    outcome: Outcome::Dequantized {
                        from: from.to_string(),
                    },
                }]);
            }
        };
        self.quantized.push((path.to_owned(), to));
        let mut plans = Vec::new();
        if to == from {
            let (producer, outcome) = packed.copied(self.model.float);
            let scales = packed
                .scale_float()
                .map(|stored| self.model.float.unwrap_or(stored));
            plans.push(TensorPlan {
                name: path.to_owned(),
                outputs: quantized_outputs(path, &shape, to, scales.map_or(Dtype::U8, float_dtype)),
                rows: shape[0],
                parameters,
                producer,
                outcome,
            });
            if let Some(scale) = part("global_scale") {
                let name = format!("{path}.global_scale");
                plans.push(global_scale(name, scale));
            }
        } else {
            let weight = packed.weight()?;
            let relative_error = relative_error(&weight, shape[0], columns, to, float);
            plans.push(TensorPlan {
                name: path.to_owned(),
                outputs: quantized_outputs(path, &shape, to, float_dtype(float)),
                rows: shape[0],
                parameters,
                producer: Box::new(QuantizedRows {
                    rows: weight,
                    columns,
                    spec: to,
                    float,
                }),
                outcome: Outcome::Requantized {
                    from: from.to_string(),
                    to,
                    relative_error,
                },
            });
        }
        Ok(plans)
    }
}

/// Copies the scale of a whole tensor without converting it, because mlx-lm reads any float type.
fn global_scale(name: String, tensor: &RawTensor) -> TensorPlan<'_> {
    TensorPlan {
        outputs: vec![OutputTensor {
            name: name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
        }],
        name,
        rows: 1,
        parameters: 0,
        producer: Box::new(CopiedRows {
            parts: vec![tensor.bytes.as_slice()],
            rows: 1,
        }),
        outcome: Outcome::Exact,
    }
}

fn parameters(shape: &[usize]) -> u64 {
    shape.iter().product::<usize>() as u64
}

#[cfg(test)]
mod tests;
