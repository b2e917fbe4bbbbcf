//! The parameters of the activation xIELU, which GGUF has in the metadata.

use super::GgufError;
use super::config::Metadata;
use super::dimensions::Dimensions;
use crate::plan::FloatRows;

/// A parameter without dimensions.
pub(super) struct Scalar {
    pub(super) name: String,
    pub(super) value: f32,
}

/// The one row of a [`Scalar`].
pub(super) struct Constant(pub(super) f32);

impl FloatRows for Constant {
    fn read(&self, _row: usize, out: &mut [f32]) {
        out.fill(self.0);
    }
}

/// The parameters of the activation of each block, if the architecture has it. The keys have no name of the architecture.
pub(super) fn xielu(
    metadata: &Metadata<'_>,
    dimensions: Dimensions,
) -> Result<Vec<Scalar>, GgufError> {
    let mut scalars = Vec::new();
    if metadata.architecture.model_type != "apertus" {
        return Ok(scalars);
    }
    for leaf in ["alpha_p", "alpha_n", "beta", "eps"] {
        let key = format!("xielu.{leaf}");
        let values = metadata
            .gguf
            .optional_floats(&key)?
            .ok_or_else(|| GgufError::MissingKey(key.clone()))?;
        if values.len() as u64 != dimensions.layers {
            return Err(GgufError::BadValue {
                key,
                found: format!("{} values", values.len()),
                expected: format!("one for each of the {} layers", dimensions.layers),
            });
        }
        for (block, value) in values.into_iter().enumerate() {
            scalars.push(Scalar {
                name: format!("model.layers.{block}.mlp.act_fn.{leaf}"),
                value: value as f32,
            });
        }
    }
    Ok(scalars)
}
