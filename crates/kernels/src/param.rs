//! One-dimensional parameters.

use std::sync::Arc;

use crate::{
    bytes::Bytes,
    quant::FloatType,
    weight::{Floats, WeightError},
};

/// A one-dimensional parameter (norm weight, bias, attention sinks), converted to f32. Clones share the
/// values, so their address identifies them as long as there is a clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Param(Arc<[f32]>);

impl Param {
    /// Reads floats of the given type.
    pub fn from_bytes(float: FloatType, bytes: &Bytes) -> Result<Self, WeightError> {
        let count = bytes.len() / float.size_bytes();
        let floats = Floats::new(float, bytes).ok_or(WeightError::Param {
            float,
            found: bytes.len(),
        })?;
        Ok(Self((0..count).map(|index| floats.get(index)).collect()))
    }

    /// The values.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl From<Vec<f32>> for Param {
    fn from(values: Vec<f32>) -> Self {
        Self(values.into())
    }
}
