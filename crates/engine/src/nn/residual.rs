//! The frame around a block's function: norms before and after it, and the residual.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Linear, Norm};

/// `y = x + scale · after(f(before(x)))`, with either norm optional.
#[derive(Debug)]
pub struct Residual {
    before: Option<Norm>,
    after: Option<Norm>,
    scale: f32,
}

impl Residual {
    /// The norm comes first (Llama and most others).
    pub fn pre_norm(norm: Norm) -> Self {
        Self {
            before: Some(norm),
            after: None,
            scale: 1.0,
        }
    }

    /// The norm comes last (OLMo 2).
    pub fn post_norm(norm: Norm) -> Self {
        Self {
            before: None,
            after: Some(norm),
            scale: 1.0,
        }
    }

    /// A norm on each side (Gemma 2 and 3).
    pub fn sandwich(before: Norm, after: Norm) -> Self {
        Self {
            before: Some(before),
            after: Some(after),
            scale: 1.0,
        }
    }

    /// Scales what is added (Granite's `residual_multiplier`).
    #[must_use]
    pub fn scaled(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// The norm of what the block's function gets to see.
    pub(super) fn before(&self) -> Option<&Norm> {
        self.before.as_ref()
    }

    /// Adds the projection of the function's result to the residual stream.
    pub(super) fn leave(
        &self,
        x: &Tensor,
        h: &Tensor,
        projection: &Linear,
        kernels: &Kernels,
    ) -> Result<Tensor, KernelError> {
        match &self.after {
            Some(norm) => {
                let y = kernels.linear(h, None, &[projection])?;
                kernels.add_normed(x, &y, norm, self.scale)
            }
            None => kernels.linear_add(h, projection, x, self.scale),
        }
    }
}
