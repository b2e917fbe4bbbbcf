//! A linear layer, dense or quantized.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Matrix, Vector};

/// `y = x·Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Matrix,
    bias: Option<Vector>,
}

impl Linear {
    /// From a weight `[outputs, inputs]` and an optional bias `[outputs]`.
    pub fn new(weight: Matrix, bias: Option<Vector>) -> Self {
        Self { weight, bias }
    }

    /// `[T, inputs]` → `[T, outputs]`.
    ///
    /// # Errors
    /// When the width of `x` is not the layer's.
    pub fn forward(&self, x: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        kernels.linear(x, &self.weight, self.bias.as_ref())
    }
}
