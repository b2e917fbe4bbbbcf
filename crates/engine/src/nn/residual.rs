//! The norms around a block and its residual connection.

use mlxm_kernels::{KernelError, Linear, Norm, Pass, Rows};

/// `y = x + scale · post(block(pre(x)))`. Either norm may be absent.
#[derive(Debug, Clone)]
pub struct Residual {
    pre: Option<Norm>,
    post: Option<Norm>,
    scale: f32,
}

impl Residual {
    /// A norm before the block (Llama and most others).
    pub fn pre_norm(norm: Norm) -> Self {
        Self {
            pre: Some(norm),
            post: None,
            scale: 1.0,
        }
    }

    /// A norm after the block (OLMo 2).
    pub fn post_norm(norm: Norm) -> Self {
        Self {
            pre: None,
            post: Some(norm),
            scale: 1.0,
        }
    }

    /// A norm before and one after the block (Gemma 2 and 3).
    pub fn sandwich(pre: Norm, post: Norm) -> Self {
        Self {
            pre: Some(pre),
            post: Some(post),
            scale: 1.0,
        }
    }

    /// Scales the block's output (Granite's `residual_multiplier`).
    #[must_use]
    pub fn scaled(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// The norm of the block's input.
    pub(super) fn pre(&self) -> Option<&Norm> {
        self.pre.as_ref()
    }

    /// A block that is one linear layer.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn add_linear(
        &self,
        x: &Rows,
        linear: &Linear,
        pass: &mut Pass<'_>,
    ) -> Result<Rows, KernelError> {
        match &self.pre {
            Some(norm) => {
                let h = pass.norm(x, norm)?;
                self.add(x, &h, linear, pass)
            }
            None => self.add(x, x, linear, pass),
        }
    }

    /// Applies the block's output projection to `h` and adds the result to the residual stream `x`.
    pub(super) fn add(
        &self,
        x: &Rows,
        h: &Rows,
        projection: &Linear,
        pass: &mut Pass<'_>,
    ) -> Result<Rows, KernelError> {
        match &self.post {
            Some(norm) => {
                let y = pass.linear(h, None, &[projection])?;
                pass.add_normed(x, &y, norm, self.scale)
            }
            None => pass.linear_add(h, projection, x, self.scale),
        }
    }
}
