//! Which layers are quantized, and how, and how `config.json` says it.

use std::collections::HashMap;

use mlxm_kernels::quant::{QuantMode, QuantSpec};
use serde_json::{Map, Value, json};

use super::options::{WeightFormat, quantization};
use super::{ConvertError, ConvertOptions};

/// What is to become of one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// What the source has, or the nearest MLX form of it.
    Keep,
    Dense,
    Quantized(QuantSpec),
}

/// The rules of one conversion, applied to module paths.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    options: &'a ConvertOptions,
    model_type: &'a str,
    layers: usize,
}

impl<'a> Rules<'a> {
    /// `modules` are the paths of all weights, `layers` the number of blocks.
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
                        "the recipe {recipe} needs layers named down_proj, and this model has none"
                    )));
                }
            }
            WeightFormat::Keep | WeightFormat::Dense => {}
        }
        for entry in &options.overrides {
            if !modules.clone().any(|path| entry.matches(path)) {
                return Err(ConvertError::Options(format!(
                    "the override {:?} matches no layer of this model",
                    entry.pattern
                )));
            }
        }
        Ok(Self {
            options,
            model_type,
            layers,
        })
    }

    /// The target of the weight of `path`, whose rows have `columns` values.
    pub(super) fn target(&self, path: &str, columns: usize) -> Result<Target, ConvertError> {
        let entry = self
            .options
            .overrides
            .iter()
            .rev()
            .find(|entry| entry.matches(path));
        if let Some(entry) = entry {
            return match entry.quantization {
                None => Ok(Target::Dense),
                Some(spec) if columns.is_multiple_of(spec.group_size) => {
                    Ok(Target::Quantized(spec))
                }
                Some(spec) => Err(ConvertError::tensor(
                    path,
                    format!(
                        "its {columns} columns do not divide into groups of {}",
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
                if self.model_type == "granite" && granite_is_sensitive(path) =>
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

/// The layers of granite that mlx-lm keeps at 8 bits: their groups are so small that few bits lose them.
fn granite_is_sensitive(path: &str) -> bool {
    path.ends_with("self_attn.o_proj") || path.ends_with("mlp.down_proj") || path == "lm_head"
}

/// Writes the quantization of each module into `config`: the most frequent format as the model's, the others by path.
pub(super) fn describe_quantization(
    config: &mut Map<String, Value>,
    modules: &[(String, QuantSpec)],
) {
    config.remove("quantization");
    config.remove("quantization_config");
    let mut counts: HashMap<QuantSpec, usize> = HashMap::new();
    for (_, spec) in modules {
        *counts.entry(*spec).or_default() += 1;
    }
    let Some(common) = modules
        .iter()
        .map(|(_, spec)| *spec)
        .max_by_key(|spec| (counts[spec], std::cmp::Reverse(spec.bits)))
    else {
        return;
    };
    let mut description = entry(common);
    for (path, spec) in modules {
        if *spec != common {
            description.insert(path.clone(), Value::Object(entry(*spec)));
        }
    }
    // Both keys, as other readers of the format look for either.
    config.insert(
        "quantization".to_owned(),
        Value::Object(description.clone()),
    );
    config.insert("quantization_config".to_owned(), Value::Object(description));
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

    fn rules<'a>(
        options: &'a ConvertOptions,
        model_type: &'a str,
    ) -> Result<Rules<'a>, ConvertError> {
        let modules = [
            "model.embed_tokens",
            "model.layers.0.mlp.down_proj",
            "lm_head",
        ];
        Rules::new(options, model_type, modules.into_iter(), 16)
    }

    #[test]
    fn rows_that_do_not_divide_stay_dense() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 64)),
            ..ConvertOptions::default()
        };
        let rules = rules(&options, "llama").unwrap();
        assert_eq!(rules.target("lm_head", 96).unwrap(), Target::Dense);
        assert_eq!(
            rules.target("lm_head", 128).unwrap(),
            Target::Quantized(spec(4, 64))
        );
    }

    #[test]
    fn the_last_override_wins() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 64)),
            overrides: vec!["*=8".parse().unwrap(), "lm_*=dense".parse().unwrap()],
            ..ConvertOptions::default()
        };
        let rules = rules(&options, "llama").unwrap();
        assert_eq!(rules.target("lm_head", 128).unwrap(), Target::Dense);
        let embedding = rules.target("model.embed_tokens", 128).unwrap();
        assert_eq!(embedding, Target::Quantized(spec(8, 64)));
        assert!(rules.target("model.embed_tokens", 100).is_err());
    }

    #[test]
    fn what_cannot_apply_is_refused() {
        let stray = ConvertOptions {
            overrides: vec!["*.gate=8".parse().unwrap()],
            ..ConvertOptions::default()
        };
        let message = rules(&stray, "llama").unwrap_err().to_string();
        assert!(message.contains("\"*.gate\" matches no layer"), "{message}");

        let recipe = ConvertOptions {
            weights: WeightFormat::Recipe {
                recipe: super::super::Recipe::Mixed4To6,
                group_size: 64,
            },
            ..ConvertOptions::default()
        };
        let without = Rules::new(&recipe, "starcoder2", ["lm_head"].into_iter(), 2);
        assert!(without.unwrap_err().to_string().contains("down_proj"));

        let odd = ConvertOptions {
            weights: WeightFormat::Quantize(spec(7, 64)),
            ..ConvertOptions::default()
        };
        assert!(rules(&odd, "llama").is_err());
    }

    #[test]
    fn granite_keeps_its_sensitive_layers_at_eight_bits() {
        let options = ConvertOptions {
            weights: WeightFormat::Quantize(spec(4, 32)),
            ..ConvertOptions::default()
        };
        let rules = rules(&options, "granite").unwrap();
        assert_eq!(
            rules.target("lm_head", 128).unwrap(),
            Target::Quantized(spec(8, 64))
        );
        let query = rules
            .target("model.layers.0.self_attn.q_proj", 128)
            .unwrap();
        assert_eq!(query, Target::Quantized(spec(4, 32)));
    }

    #[test]
    fn the_most_frequent_format_is_the_models() {
        let modules: Vec<(String, QuantSpec)> = [("a", 8), ("b", 4), ("c", 4)]
            .map(|(path, bits)| (path.to_owned(), spec(bits, 64)))
            .to_vec();
        let mut config = Map::from_iter([("quantization_config".to_owned(), json!("old"))]);
        describe_quantization(&mut config, &modules);
        let expected = json!({
            "group_size": 64, "bits": 4, "mode": "affine",
            "a": {"group_size": 64, "bits": 8, "mode": "affine"},
        });
        assert_eq!(config["quantization"], expected);
        assert_eq!(config["quantization_config"], expected);
        describe_quantization(&mut config, &[]);
        assert!(config.is_empty());
    }
}
