//! From hidden rows to logits.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Linear};

use super::Embedding;
use crate::checkpoint::Scope;
use crate::error::LoadError;

/// The output projection with the scaling some families put behind it.
#[derive(Debug)]
pub struct LmHead {
    projection: Projection,
    /// Logits are divided by this (Granite's `logits_scaling`).
    divisor: Option<f32>,
    /// `cap·tanh(logits / cap)` (Gemma 2).
    softcap: Option<f32>,
}

#[derive(Debug)]
enum Projection {
    Tied(Embedding),
    Linear(Linear),
}

impl LmHead {
    /// The embedding table, used a second time.
    pub fn tied(embedding: &Embedding) -> Self {
        Self {
            projection: Projection::Tied(embedding.clone()),
            divisor: None,
            softcap: None,
        }
    }

    /// A projection of its own.
    pub fn linear(linear: Linear) -> Self {
        Self {
            projection: Projection::Linear(linear),
            divisor: None,
            softcap: None,
        }
    }

    /// The embedding table if `tied`, else `lm_head`.
    ///
    /// # Errors
    /// When a tensor does not fit.
    pub fn load(
        weights: &Scope<'_>,
        embedding: &Embedding,
        tied: bool,
        hidden: usize,
        vocab: usize,
    ) -> Result<Self, LoadError> {
        if tied {
            Ok(Self::tied(embedding))
        } else {
            Ok(Self::linear(weights.linear("lm_head", hidden, vocab)?))
        }
    }

    /// Divides the logits.
    #[must_use]
    pub fn logits_scaling(self, divisor: f32) -> Self {
        Self {
            divisor: Some(divisor),
            ..self
        }
    }

    /// Caps the logits softly.
    #[must_use]
    pub fn logit_softcap(self, softcap: f32) -> Self {
        Self {
            softcap: Some(softcap),
            ..self
        }
    }

    /// `[rows, hidden]` → `[rows, vocab]`.
    ///
    /// # Errors
    /// When the width of the rows is not the head's.
    pub fn forward(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        let mut logits = match &self.projection {
            Projection::Tied(embedding) => embedding.as_linear(rows, kernels)?,
            Projection::Linear(linear) => kernels.linear(rows, None, &[linear])?,
        };
        if let Some(divisor) = self.divisor {
            logits = kernels.scale(&logits, 1.0 / divisor)?;
        }
        if let Some(cap) = self.softcap {
            logits = kernels.softcap(&logits, cap)?;
        }
        Ok(logits)
    }
}
