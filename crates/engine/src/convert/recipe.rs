//! Which layers are quantized, and how.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use mlxm_kernels::quant::{QuantMode, QuantSpec};
use serde_json::{Map, Value, json};

use super::options::{WeightFormat, quantization};
use super::{ConvertError, ConvertOptions};

/// The mixed recipes of mlx-lm: few bits for most layers; more for `lm_head`, and for `v_proj` and `down_proj` of the
/// first and last eighth of the blocks and of every third block between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// 2 and 6 bits.
    Mixed2To6,
    /// 3 and 4 bits.
    Mixed3To4,
    /// 3 and 6 bits.
    Mixed3To6,
    /// 4 and 6 bits.
    Mixed4To6,
}

impl Recipe {
    /// Every recipe.
    pub const ALL: [Self; 4] = [
        Self::Mixed2To6,
        Self::Mixed3To4,
        Self::Mixed3To6,
        Self::Mixed4To6,
    ];

    fn bits(self) -> (u32, u32) {
        match self {
            Self::Mixed2To6 => (2, 6),
            Self::Mixed3To4 => (3, 4),
            Self::Mixed3To6 => (3, 6),
            Self::Mixed4To6 => (4, 6),
        }
    }

    /// Bits of the layer at `path` in a model of `layers` blocks.
    fn bits_of(self, path: &str, layers: usize) -> u32 {
        let (low, high) = self.bits();
        let eighth = layers / 8;
        let index = layer_index(path).unwrap_or(0);
        let sensitive_block = index < eighth
            || index >= 7 * layers / 8
            || index.checked_sub(eighth).is_some_and(|i| i % 3 == 2);
        let sensitive_layer = ["v_proj", "v_a_proj", "v_b_proj", "down_proj"]
            .iter()
            .any(|name| path.contains(name));
        if path.contains("lm_head") || (sensitive_block && sensitive_layer) {
            high
        } else {
            low
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.bits();
        write!(f, "mixed_{low}_{high}")
    }
}

impl FromStr for Recipe {
    type Err = ConvertError;

    fn from_str(name: &str) -> Result<Self, ConvertError> {
        Self::ALL
            .into_iter()
            .find(|recipe| recipe.to_string() == name)
            .ok_or_else(|| {
                let known: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
                ConvertError::Options(format!(
                    "unknown recipe {name:?}: expected {}",
                    known.join(", ")
                ))
            })
    }
}

/// The number after `layers.` in a module path.
fn layer_index(path: &str) -> Option<usize> {
    let mut parts = path.split('.').skip_while(|part| *part != "layers");
    parts.next()?;
    parts.next()?.parse().ok()
}

/// An exception for the modules whose path matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// A module path in which `*` stands for any run of characters and `?` for any one.
    pub pattern: String,
    /// The quantization, or `None` for dense.
    pub quantization: Option<QuantSpec>,
}

impl FromStr for Override {
    type Err = ConvertError;

    /// `PATTERN=BITS`, `PATTERN=BITS:GROUP`, `PATTERN=BITS:GROUP:MODE` or `PATTERN=dense`.
    fn from_str(text: &str) -> Result<Self, ConvertError> {
        let wrong = || {
            ConvertError::Options(format!(
                "{text:?} is not an override: write PATTERN=BITS, PATTERN=BITS:GROUP, PATTERN=BITS:GROUP:MODE or \
                 PATTERN=dense, such as 'model.layers.*.mlp.down_proj=6:64'"
            ))
        };
        let (pattern, format) = text.split_once('=').ok_or_else(wrong)?;
        if pattern.is_empty() {
            return Err(wrong());
        }
        let quantization = if format == "dense" {
            None
        } else {
            let mut parts = format.split(':');
            let bits = parts.next().and_then(|bits| bits.parse().ok());
            let bits = bits.ok_or_else(wrong)?;
            let group_size = parts
                .next()
                .map(|group| group.parse().map_err(|_| wrong()))
                .transpose()?;
            let mode = match parts.next() {
                None => QuantMode::Affine,
                Some(mode) => mode
                    .parse()
                    .map_err(|error| ConvertError::Options(format!("{text:?}: {error}")))?,
            };
            if parts.next().is_some() {
                return Err(wrong());
            }
            Some(quantization(mode, Some(bits), group_size)?)
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            quantization,
        })
    }
}

/// Whether `path` matches `pattern` as a whole.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    // The last star and what it has swallowed so far: the only place to go back to.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == path[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, swallowed)) => {
                    star = Some((after, swallowed + 1));
                    (p, t) = (after, swallowed + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

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
            if !modules
                .clone()
                .any(|path| matches(entry.pattern.as_bytes(), path.as_bytes()))
            {
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
            .find(|entry| matches(entry.pattern.as_bytes(), path.as_bytes()));
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
