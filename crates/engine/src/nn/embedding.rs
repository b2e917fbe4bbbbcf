//! Token embeddings, which may also serve as the LM head.

use std::sync::Arc;

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Linear};

use crate::checkpoint::Scope;
use crate::error::LoadError;

/// A table of one row per token. Rows are dequantized when they are looked up.
#[derive(Debug, Clone)]
pub struct Embedding {
    table: Arc<Linear>,
}

impl Embedding {
    /// Loads `{name}.weight` `[entries, width]`, dense or quantized.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        name: &str,
        weights: &Scope<'_>,
        entries: usize,
        width: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            table: Arc::new(weights.linear(name, width, entries)?),
        })
    }

    /// `[T]` ids → `[T, width]`.
    ///
    /// # Errors
    /// When an id is not in the table.
    pub fn forward(&self, ids: &[u32], kernels: &Kernels) -> Result<Tensor, KernelError> {
        kernels.embed(ids, &self.table.weight)
    }

    /// The table as an output projection: `[T, width]` → `[T, entries]`.
    ///
    /// # Errors
    /// When the width of `x` is not the table's.
    pub fn as_linear(&self, x: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        kernels.linear(x, None, &[&self.table])
    }
}
