//! The sizes that the configuration and the tensors depend on.

use super::GgufError;
use super::config::Metadata;
use super::metadata::Value;
use crate::ConvertError;

/// Architectures, by their `model_type`, whose layers may have sizes of their own.
const SIZES_BY_LAYER: &[&str] = &["nemotron-nas", "openelm"];

/// Sizes of the model. Of sizes by layer, the largest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dimensions {
    pub(super) layers: u64,
    pub(super) heads: u64,
    pub(super) key_value_heads: u64,
    pub(super) head_dim: u64,
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
}

/// Sizes of each layer. A layer without attention has no heads, one without MLP no intermediate size.
#[derive(Debug)]
pub(super) struct LayerSizes {
    pub(super) heads: Vec<u64>,
    pub(super) key_value_heads: Vec<u64>,
    pub(super) intermediate: Vec<u64>,
}

impl Dimensions {
    pub(super) fn read(metadata: &Metadata<'_>) -> Result<Self, ConvertError> {
        // A larger size could not be that of any tensor, and would be allocated.
        let largest = metadata.largest_dimension();
        let hidden = metadata.count("embedding_length")?;
        let hidden = bounded(metadata, "embedding_length", hidden, largest)?;
        let sizes = LayerSizes::read(metadata)?;
        let max = |sizes: &[u64]| sizes.iter().copied().max().unwrap_or(0);
        let of_layers = |name, sizes: &[u64]| bounded(metadata, name, max(sizes), largest);
        let heads = of_layers("attention.head_count", &sizes.heads)?;
        let head_dim = match metadata.optional_count("attention.key_length")? {
            Some(length) => bounded(metadata, "attention.key_length", length, largest)?,
            // The shape of the projection is more reliable than hidden_size / heads.
            None => metadata
                .rows("blk.0.attn_q.weight")
                .map_or(hidden / heads, |rows| rows / heads),
        };
        if let Some(value_length) = metadata.optional_count("attention.value_length")?
            && value_length != head_dim
        {
            return Err(ConvertError::Unsupported(format!(
                "its heads have {head_dim} dimensions for keys and {value_length} for values"
            )));
        }
        Ok(Self {
            layers: sizes.heads.len() as u64,
            heads,
            key_value_heads: of_layers("attention.head_count_kv", &sizes.key_value_heads)?,
            head_dim,
            hidden,
            intermediate: bounded(
                metadata,
                "feed_forward_length",
                max(&sizes.intermediate),
                // Qwen states the width of both inputs of an MLP together.
                largest.saturating_mul(1 + u64::from(metadata.architecture.model_type == "qwen")),
            )?,
        })
    }
}

impl LayerSizes {
    pub(super) fn read(metadata: &Metadata<'_>) -> Result<Self, ConvertError> {
        // Every block has a tensor.
        let tensors = metadata.gguf.tensors().len() as u64;
        let layers = metadata.count("block_count")?;
        let layers = bounded(metadata, "block_count", layers, tensors)?;
        let sizes = |name| of_layers(metadata, name, layers);
        let required = |name| {
            let missing = || ConvertError::from(GgufError::MissingKey(metadata.key(name)));
            sizes(name)?.ok_or_else(missing)
        };
        let heads = required("attention.head_count")?;
        Ok(Self {
            key_value_heads: match sizes("attention.head_count_kv")? {
                Some(sizes) => sizes,
                None => heads.clone(),
            },
            heads,
            intermediate: required("feed_forward_length")?,
        })
    }
}

/// The size `name` of each layer: an integer for all of them, or an array.
fn of_layers(
    metadata: &Metadata<'_>,
    name: &str,
    layers: u64,
) -> Result<Option<Vec<u64>>, ConvertError> {
    let key = metadata.key(name);
    if !matches!(metadata.gguf.get(&key), Some(Value::Array(_))) {
        let size = metadata.optional_count(name)?;
        return Ok(size.map(|size| vec![size; layers as usize]));
    }
    let sizes = metadata.gguf.optional_integers(&key)?.unwrap_or_default();
    let largest = metadata.largest_dimension();
    let bad = |found: String, expected: String| GgufError::BadValue {
        key: key.clone(),
        found,
        expected,
    };
    if sizes.len() as u64 != layers {
        let found = format!("{} values", sizes.len());
        return Err(bad(found, format!("one for each of the {layers} layers")).into());
    }
    let sizes = sizes
        .into_iter()
        .map(|size| {
            let valid = u64::try_from(size).ok().filter(|size| *size <= largest);
            valid.ok_or_else(|| {
                let expected = format!("0 to {largest}, to fit the tensors of the file");
                bad(format!("{size} for a layer"), expected)
            })
        })
        .collect::<Result<Vec<u64>, _>>()?;
    let architecture = metadata.architecture;
    let differ = sizes.windows(2).any(|pair| pair[0] != pair[1]);
    if differ && !SIZES_BY_LAYER.contains(&architecture.model_type) {
        return Err(ConvertError::Unsupported(format!(
            "{key} differs between layers, which {} does not support",
            architecture.model_type
        )));
    }
    Ok(Some(sizes))
}

/// `value` of the key `name`, which must be positive and at most `max`.
fn bounded(metadata: &Metadata<'_>, name: &str, value: u64, max: u64) -> Result<u64, GgufError> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(GgufError::BadValue {
        key: metadata.key(name),
        found: value.to_string(),
        expected: format!("an integer from 1 to {max}, to fit the tensors of the file"),
    })
}
