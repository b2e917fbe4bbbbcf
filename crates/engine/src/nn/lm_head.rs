//! The LM head: hidden states to logits.

use mlxm_kernels::{KernelError, Linear, Pass, Rows};

use super::Embedding;

/// The output projection, with the scaling or softcap that some models apply to the logits.
#[derive(Debug)]
pub struct LmHead {
    projection: Projection,
    /// Factor of the logits (Granite, Cohere).
    logit_scale: Option<f32>,
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
            logit_scale: None,
            logit_softcap: None,
        }
    }

    /// Divides the logits by `divisor`.
    #[must_use]
    pub fn logits_scaling(self, divisor: f32) -> Self {
        self.logit_scale(1.0 / divisor)
    }

    /// Multiplies the logits by `scale`.
    #[must_use]
    pub fn logit_scale(self, scale: f32) -> Self {
        Self {
            logit_scale: Some(scale),
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
        if let Some(scale) = self.logit_scale {
            logits = pass.scale(&logits, scale)?;
        }
        if let Some(cap) = self.logit_softcap {
            logits = pass.softcap(&logits, cap)?;
        }
        Ok(logits)
    }
}
