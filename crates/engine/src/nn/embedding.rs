//! Token embeddings, which may also serve as the output head.

use std::sync::Arc;

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Linear, Weight};

/// A table of one row per token. Only the rows asked for are ever dequantized.
#[derive(Debug, Clone)]
pub struct Embedding {
    table: Arc<Linear>,
}

impl Embedding {
    /// From a table `[entries, width]`.
    pub fn new(table: Weight) -> Self {
        Self {
            table: Arc::new(Linear {
                weight: table,
                bias: None,
            }),
        }
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
