//! Keys of `config.json` of architectures whose layers have sizes of their own.

use serde_json::{Value, json};

use super::config::Metadata;
use super::dimensions::{Dimensions, LayerSizes};
use crate::ConvertError;

/// The MLPs of Nemotron-NAS have a multiple of this width.
const WIDTH_MULTIPLE: u64 = 256;

/// Sets `block_configs` of Nemotron-NAS.
pub(super) fn nemotron_nas_keys(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let sizes = LayerSizes::read(metadata)?;
    let attention = |layer: usize| {
        let (heads, key_value_heads) = (sizes.heads[layer], sizes.key_value_heads[layer]);
        if heads == 0 {
            return Ok(json!({"no_op": true}));
        }
        if key_value_heads == 0 {
            return Ok(json!({"replace_with_linear": true}));
        }
        if heads != dimensions.heads || !heads.is_multiple_of(key_value_heads) {
            return Err(ConvertError::Unsupported(format!(
                "layer {layer} has {heads} heads and {key_value_heads} for keys and values, but nemotron-nas has {} or none, \
                 and the latter must divide the former",
                dimensions.heads
            )));
        }
        Ok(json!({"n_heads_in_group": heads / key_value_heads}))
    };
    let ffn = |layer: usize| {
        let width = sizes.intermediate[layer];
        if width == 0 {
            return Ok(json!({"no_op": true}));
        }
        if !width.is_multiple_of(WIDTH_MULTIPLE) {
            return Err(ConvertError::Unsupported(format!(
                "{} of layer {layer} is {width}, but nemotron-nas has multiples of {WIDTH_MULTIPLE}",
                metadata.key("feed_forward_length")
            )));
        }
        // The model computes two thirds of it, with six decimals, times the hidden size, and rounds up to the multiple.
        let multiplier = 1.5 * width as f64 / dimensions.hidden as f64;
        Ok(json!({"ffn_mult": (multiplier * 1e6).round() / 1e6}))
    };
    let blocks = (0..sizes.heads.len())
        .map(|layer| Ok(json!({"attention": attention(layer)?, "ffn": ffn(layer)?})))
        .collect::<Result<Vec<_>, ConvertError>>()?;
    set("block_configs", json!(blocks));
    Ok(())
}

/// Sets the heads and MLP widths of the layers of OpenELM.
pub(super) fn openelm_keys(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
    set: &mut impl FnMut(&str, Value),
) -> Result<(), ConvertError> {
    let sizes = LayerSizes::read(metadata)?;
    set("num_query_heads", json!(sizes.heads));
    set("num_kv_heads", json!(sizes.key_value_heads));
    // Widths are multiples of the divisor, so 1 allows all.
    let widths = sizes.intermediate.iter();
    let multipliers = widths.map(|width| *width as f64 / dimensions.hidden as f64);
    set("ffn_multipliers", json!(multipliers.collect::<Vec<_>>()));
    set("ffn_dim_divisor", json!(1));
    set("ffn_with_glu", json!(true));
    let has_norms = metadata.has("blk.0.attn_q_norm.weight");
    set("normalize_qk_projections", json!(has_norms));
    Ok(())
}
