//! Normalization over the width of a row, or over each head of it.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Vector};

/// RMS norm or layer norm.
#[derive(Debug)]
pub struct Norm {
    kind: Kind,
    eps: f32,
}

#[derive(Debug)]
enum Kind {
    Rms {
        weight: Vector,
    },
    Layer {
        weight: Vector,
        bias: Option<Vector>,
    },
}

impl Norm {
    /// `x / sqrt(mean(x²) + eps) · weight`. A weight shorter than the row normalizes each stretch of its length.
    pub fn rms(weight: Vector, eps: f64) -> Self {
        Self {
            kind: Kind::Rms { weight },
            eps: eps as f32,
        }
    }

    /// `(x − mean) / sqrt(var + eps) · weight + bias`.
    pub fn layer(weight: Vector, bias: Option<Vector>, eps: f64) -> Self {
        Self {
            kind: Kind::Layer { weight, bias },
            eps: eps as f32,
        }
    }

    /// `[T, width]` → `[T, width]`.
    ///
    /// # Errors
    /// When the width is not a multiple of the weight's length.
    pub fn forward(&self, x: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        match &self.kind {
            Kind::Rms { weight } => kernels.rms_norm(x, Some(weight), self.eps),
            Kind::Layer { weight, bias } => {
                kernels.layer_norm(x, Some(weight), bias.as_ref(), self.eps)
            }
        }
    }
}
