//! Token embeddings, which may be shared with the LM head.

use std::sync::Arc;

use mlxm_kernels::{Indices, KernelError, Linear, Pass, Rows};

use crate::checkpoint::Scope;
use crate::error::LoadError;

/// An embedding table with a row per token. Quantized rows are dequantized on lookup.
#[derive(Debug, Clone)]
pub struct Embedding {
    table: Arc<Linear>,
}

impl Embedding {
    /// Loads `{name}.weight` `[vocab_size, hidden_size]`, dense or quantized.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        name: &str,
        weights: &Scope<'_>,
        vocab_size: usize,
        hidden_size: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            table: Arc::new(weights.linear(name, hidden_size, vocab_size)?),
        })
    }

    /// `[T]` ids → `[T, hidden]`.
    ///
    /// # Errors
    /// When an id is out of range.
    pub fn forward(&self, ids: Indices, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        pass.embed(ids, &self.table.weight)
    }

    /// The table as output projection: `[T, hidden]` → `[T, vocab]`.
    ///
    /// # Errors
    /// When the width does not match.
    pub fn as_linear(&self, x: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        pass.linear(x, None, &[&self.table])
    }
}
