//! The format of each weight, and the `quantization` entry of `config.json`.

use std::collections::HashMap;

use mlxm_kernels::quant::{QuantMode, QuantSpec};
use serde_json::{Map, Value, json};

use super::options::{WeightFormat, quantization};
use super::{ConvertError, ConvertOptions};

/// The output format of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The format of the source, or the closest MLX format.
    Keep,
    Dense,
    Quantized(QuantSpec),
}

/// Selects the format of each weight by its module path, as `quant_predicate` does in mlx-lm.
#[derive(Debug)]
pub(super) struct QuantPredicate<'a> {
    options: &'a ConvertOptions,
    model_type: &'a str,
    layers: usize,
}

impl<'a> QuantPredicate<'a> {
    /// `modules` are the paths of all two-dimensional weights, `layers` is the number of blocks.
    ///
    /// # Errors
    /// If the quantization format is invalid, or a recipe or an override matches no module.
    pub(super) fn new<'m>(
        options: &'a ConvertOptions,
        model_type: &'a str,
        modules: impl Iterator<Item = &'m str> + Clone,
        layers: usize,
    ) -> Result<Self, ConvertError> {
        match options.weights {
            WeightFormat::Quantize(spec) => {
                quantization(spec.mode, Some(spec.bits), Some(spec.group_size))?;
            }
            WeightFormat::Recipe { recipe, group_size } => {
                quantization(QuantMode::Affine, None, Some(group_size))?;
                if !modules.clone().any(|path| path.contains("down_proj")) {
                    return Err(ConvertError::Options(format!(
                        "the recipe {recipe} needs layers named down_proj, but this model has none"
                    )));
                }
            }
            WeightFormat::Keep | WeightFormat::Dense => {}
        }
        for module_override in &options.overrides {
            if !modules.clone().any(|path| module_override.matches(path)) {
                return Err(ConvertError::Options(format!(
                    "the override {:?} matches no layer of this model",
                    module_override.pattern
                )));
            }
        }
        Ok(Self {
            options,
            model_type,
            layers,
        })
    }

    /// The format of the weight of the module at `path`, whose rows have `columns` values.
    pub(super) fn target(&self, path: &str, columns: usize) -> Result<Target, ConvertError> {
        if is_norm(path) && !matches!(self.options.weights, WeightFormat::Keep) {
            return Ok(Target::Dense);
        }
        let module_override = self
            .options
            .overrides
            .iter()
            .rev()
            .find(|module_override| module_override.matches(path));
        if let Some(module_override) = module_override {
            return match module_override.quantization {
                None => Ok(Target::Dense),
                Some(spec) if columns.is_multiple_of(spec.group_size) => {
                    Ok(Target::Quantized(spec))
                }
                Some(spec) => Err(ConvertError::tensor(
                    path,
                    format!(
                        "its {columns} columns are not a multiple of the group size {}",
                        spec.group_size
                    ),
                )),
            };
        }
        let spec = match self.options.weights {
            WeightFormat::Keep => return Ok(Target::Keep),
            WeightFormat::Dense => return Ok(Target::Dense),
            WeightFormat::Quantize(spec) if !columns.is_multiple_of(spec.group_size) => {
                return Ok(Target::Dense);
            }
            WeightFormat::Quantize(_)
                if self.model_type == "spark2_5" && path.ends_with("self_attn.g_proj") =>
            {
                return Ok(Target::Dense);
            }
            WeightFormat::Quantize(_)
                if self.model_type == "granite" && is_sensitive_in_granite(path) =>
            {
                QuantSpec {
                    mode: QuantMode::Affine,
                    group_size: 64,
                    bits: 8,
                }
            }
            WeightFormat::Quantize(spec) => spec,
            WeightFormat::Recipe { recipe, group_size } => QuantSpec {
                mode: QuantMode::Affine,
                group_size,
                bits: recipe.bits_of(path, self.layers),
            },
        };
        Ok(if columns.is_multiple_of(spec.group_size) {
            Target::Quantized(spec)
        } else {
            Target::Dense
        })
    }
}

/// Norms of heads may have a row of weights for each head, which is not a matrix to multiply with.
fn is_norm(path: &str) -> bool {
    path.ends_with("norm")
}

/// The layers that mlx-lm's `quant_predicate` for Granite keeps at 8 bits. Their values are so small that the scales of
/// low-bit float formats, such as nvfp4, underflow.
fn is_sensitive_in_granite(path: &str) -> bool {
    path.ends_with("self_attn.o_proj") || path.ends_with("mlp.down_proj") || path == "lm_head"
}

/// Sets the quantization in `config`: the most frequent format as the default, other formats by module path.
pub(super) fn set_quantization(config: &mut Map<String, Value>, modules: &[(String, QuantSpec)]) {
    config.remove("quantization");
    config.remove("quantization_config");
    let mut counts: HashMap<QuantSpec, usize> = HashMap::new();
    for (_, spec) in modules {
        *counts.entry(*spec).or_default() += 1;
    }
    let Some(default) = modules
        .iter()
        .map(|(_, spec)| *spec)
        .max_by_key(|spec| (counts[spec], std::cmp::Reverse(spec.bits)))
    else {
        return;
    };
    let mut quantization = entry(default);
    for (path, spec) in modules {
        if *spec != default {
            quantization.insert(path.clone(), Value::Object(entry(*spec)));
        }
    }
    // mlx-lm also writes both keys.
    config.insert(
        "quantization".to_owned(),
        Value::Object(quantization.clone()),
    );
    config.insert(
        "quantization_config".to_owned(),
        Value::Object(quantization),
    );
}

fn entry(spec: QuantSpec) -> Map<String, Value> {
    Map::from_iter([
        ("group_size".to_owned(), json!(spec.group_size)),
        ("bits".to_owned(), json!(spec.bits)),
        ("mode".to_owned(), json!(spec.mode.to_string())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(bits: u32, group_size: usize) -> QuantSpec {
        QuantSpec {
            mode: QuantMode::Affine,
            group_size,
            bits,
        }
    }

    fn predicate<'a>(
        options: &'a ConvertOptions,
        model_type: &'a str,
    ) -> Result<QuantPredicate<'a>, ConvertError> {
        let modules = [
            "model.embed_tokens",
            "model.layers.0.mlp.down_proj",
            "lm_head",
        ];
        QuantPredicate::new(options, model_type, modules.into_iter(), 16)
    }

    #[test]
    fn columns_not_divisible_by_group_size_stay_dense() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 64)),
            ..ConvertOptions::default()
        };
        let predicate = predicate(&options, "llama").unwrap();
        assert_eq!(predicate.target("lm_head", 96).unwrap(), Target::Dense);
        assert_eq!(
            predicate.target("lm_head", 128).unwrap(),
            Target::Quantized(spec(4, 64))
        );
    }

    #[test]
    fn last_matching_override_wins() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 64)),
            overrides: vec!["*=8".parse().unwrap(), "lm_*=dense".parse().unwrap()],
            ..ConvertOptions::default()
        };
        let predicate = predicate(&options, "llama").unwrap();
        assert_eq!(predicate.target("lm_head", 128).unwrap(), Target::Dense);
        let embedding = predicate.target("model.embed_tokens", 128).unwrap();
        assert_eq!(embedding, Target::Quantized(spec(8, 64)));
        assert!(predicate.target("model.embed_tokens", 100).is_err());
    }

    #[test]
    fn options_that_do_not_fit_the_model_are_rejected() {
        let stray = ConvertOptions {
            overrides: vec!["*.gate=8".parse().unwrap()],
            ..ConvertOptions::default()
        };
        let message = predicate(&stray, "llama").unwrap_err().to_string();
        assert!(message.contains("\"*.gate\" matches no layer"), "{message}");

        let recipe = ConvertOptions {
            weights: WeightFormat::Recipe {
                recipe: super::super::Recipe::Mixed4To6,
                group_size: 64,
            },
            ..ConvertOptions::default()
        };
        let without = QuantPredicate::new(&recipe, "starcoder2", ["lm_head"].into_iter(), 2);
        assert!(without.unwrap_err().to_string().contains("down_proj"));

        let odd = ConvertOptions {
            weights: WeightFormat::Quantize(spec(7, 64)),
            ..ConvertOptions::default()
        };
        assert!(predicate(&odd, "llama").is_err());
    }

    #[test]
    fn granite_keeps_sensitive_layers_at_8_bits() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 32)),
            ..ConvertOptions::default()
        };
        let predicate = predicate(&options, "granite").unwrap();
        assert_eq!(
            predicate.target("lm_head", 128).unwrap(),
            Target::Quantized(spec(8, 64))
        );
        let query = predicate
            .target("model.layers.0.self_attn.q_proj", 128)
            .unwrap();
        assert_eq!(query, Target::Quantized(spec(4, 32)));
    }

    #[test]
    fn most_frequent_format_is_the_default() {
        let modules: Vec<(String, QuantSpec)> = [("a", 8), ("b", 4), ("c", 4)]
            .map(|(path, bits)| (path.to_owned(), spec(bits, 64)))
            .to_vec();
        let mut config = Map::from_iter([("quantization_config".to_owned(), json!("old"))]);
        set_quantization(&mut config, &modules);
        let expected = json!({
            "group_size": 64, "bits": 4, "mode": "affine",
            "a": {"group_size": 64, "bits": 8, "mode": "affine"},
        });
        assert_eq!(config["quantization"], expected);
        assert_eq!(config["quantization_config"], expected);
        set_quantization(&mut config, &[]);
        assert!(config.is_empty());
    }
}
