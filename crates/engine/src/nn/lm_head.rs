//! The LM head: hidden states to logits.

use mlxm_kernels::{KernelError, Linear, Pass, Rows};

use super::Embedding;

/// The output projection, with the scaling or softcap that some models apply to the logits.
#[derive(Debug)]
pub struct LmHead {
    projection: Projection,
    /// Logits are divided by this (Granite).
    logits_scaling: Option<f32>,
    /// `cap·tanh(logits / cap)` (Gemma 2).
    logit_softcap: Option<f32>,
}

#[derive(Debug)]
enum Projection {
    Tied(Embedding),
    Untied(Linear),
}

impl LmHead {
    /// Tied to the embedding table.
    pub fn tied(embedding: &Embedding) -> Self {
        Self::new(Projection::Tied(embedding.clone()))
    }

    /// A separate weight.
    pub fn untied(linear: Linear) -> Self {
        Self::new(Projection::Untied(linear))
    }

    fn new(projection: Projection) -> Self {
        Self {
            projection,
            logits_scaling: None,
            logit_softcap: None,
        }
    }

    /// Divides the logits by `divisor`.
    #[must_use]
    pub fn logits_scaling(self, divisor: f32) -> Self {
        Self {
            logits_scaling: Some(divisor),
            ..self
        }
    }

    /// Softcaps the logits: `cap·tanh(logits / cap)`.
    #[must_use]
    pub fn logit_softcap(self, cap: f32) -> Self {
        Self {
            logit_softcap: Some(cap),
            ..self
        }
    }

    /// `[rows, hidden]` → `[rows, vocab]`.
    ///
    /// # Errors
    /// When the width does not match.
    pub fn forward(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        let mut logits = match &self.projection {
            Projection::Tied(embedding) => embedding.as_linear(rows, pass)?,
            Projection::Untied(linear) => pass.linear(rows, None, &[linear])?,
        };
        if let Some(divisor) = self.logits_scaling {
            logits = pass.scale(&logits, 1.0 / divisor)?;
        }
        if let Some(cap) = self.logit_softcap {
            logits = pass.softcap(&logits, cap)?;
        }
        Ok(logits)
    }
}
