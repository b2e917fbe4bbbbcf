//! A name prefix in a checkpoint, and the layers that are loaded by names relative to it.

use std::fmt::Display;

use mlxm_kernels::{Linear, Norm, Param};

use super::row_order::Reorder;
use super::{Loader, RowOrder};
use crate::error::LoadError;

/// A name prefix such as `model.layers.0`. Its methods load layers by names relative to it.
#[derive(Clone)]
pub struct Scope<'a> {
    loader: &'a Loader<'a>,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(super) fn root(loader: &'a Loader<'a>) -> Self {
        Self {
            loader,
            prefix: String::new(),
        }
    }

    /// The scope `{prefix}.{name}`.
    #[must_use]
    pub fn child(&self, name: impl Display) -> Self {
        Self {
            loader: self.loader,
            prefix: self.path(name),
        }
    }

    fn path(&self, name: impl Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    /// The planned context length.
    pub fn context_length(&self) -> usize {
        self.loader.context_length
    }

    /// An error about the configuration that is found while the model is built.
    pub fn config_error(&self, problem: String) -> LoadError {
        LoadError::InvalidConfig {
            path: self.loader.config_file.clone(),
            problem,
        }
    }

    /// Whether the checkpoint has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.loader.weights.contains(&self.path(name))
    }

    /// A linear layer `{name}.weight` `[outputs, inputs]`, dense or quantized.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, LoadError> {
        Ok(Linear {
            weight: self
                .loader
                .weight(&self.path(name), outputs, inputs, None)?,
            bias: None,
        })
    }

    /// A linear layer with `{name}.weight` `[outputs, inputs]` and `{name}.bias` `[outputs]`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn linear_with_bias(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, LoadError> {
        let path = self.path(name);
        let bias = self.loader.param(&format!("{path}.bias"), outputs)?;
        Ok(Linear {
            weight: self.loader.weight(&path, outputs, inputs, None)?,
            bias: Some(bias),
        })
    }

    /// [`Self::linear_with_bias`] if `bias` is set, else [`Self::linear`].
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn linear_with_optional_bias(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        if bias {
            self.linear_with_bias(name, inputs, outputs)
        } else {
            self.linear(name, inputs, outputs)
        }
    }

    /// A linear layer whose rows are stored in another order, with a bias if `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn reordered_linear(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
        order: &RowOrder,
    ) -> Result<Linear, LoadError> {
        let path = self.path(name);
        let bias = bias.then(|| self.loader.param(&format!("{path}.bias"), outputs));
        Ok(Linear {
            weight: self
                .loader
                .weight(&path, outputs, inputs, Some(Reorder::Rows(order)))?,
            bias: bias.transpose()?.map(|bias| order.reorder_param(&bias)),
        })
    }

    /// A linear layer without a bias, whose columns are stored in another order.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type, or a group of quantized columns is not within a block.
    pub fn linear_with_reordered_inputs(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        order: &RowOrder,
    ) -> Result<Linear, LoadError> {
        let (path, order) = (self.path(name), Some(Reorder::Columns(order)));
        Ok(Linear {
            weight: self.loader.weight(&path, outputs, inputs, order)?,
            bias: None,
        })
    }

    /// An RMS norm `{name}.weight` `[width]`.
    ///
    /// # Errors
    /// When the tensor has the wrong shape or element type.
    pub fn rms_norm(&self, name: &str, width: usize, eps: f64) -> Result<Norm, LoadError> {
        Ok(Norm::rms(
            self.loader
                .param(&self.path(format_args!("{name}.weight")), width)?,
            eps,
        ))
    }

    /// An RMS norm whose weight is stored minus one (the Gemma family).
    ///
    /// # Errors
    /// When the tensor has the wrong shape or element type.
    pub fn rms_norm_plus_one(&self, name: &str, width: usize, eps: f64) -> Result<Norm, LoadError> {
        self.rms_norm_plus(name, width, eps, 1.0)
    }

    /// An RMS norm whose weight is stored minus `offset` (the PLaMo family).
    ///
    /// # Errors
    /// When the tensor has the wrong shape or element type.
    pub fn rms_norm_plus(
        &self,
        name: &str,
        width: usize,
        eps: f64,
        offset: f32,
    ) -> Result<Norm, LoadError> {
        Ok(Norm::rms(self.param_plus(name, width, offset)?, eps))
    }

    /// `offset + {name}.weight` `[width]`.
    fn param_plus(&self, name: &str, width: usize, offset: f32) -> Result<Param, LoadError> {
        let name = self.path(format_args!("{name}.weight"));
        let stored = self.loader.param(&name, width)?;
        let weights: Vec<f32> = stored.as_slice().iter().map(|w| offset + w).collect();
        Ok(Param::from(weights))
    }

    /// The only element of the tensor `{name}`, which has no axes.
    ///
    /// # Errors
    /// When the tensor has the wrong shape or element type.
    pub fn scalar(&self, name: &str) -> Result<f32, LoadError> {
        let value = self.loader.param_of_shape(&self.path(name), &[])?;
        // A missing tensor is reported when all are loaded.
        Ok(value.as_slice().first().copied().unwrap_or_default())
    }

    /// A layer norm with `{name}.weight` and `{name}.bias`, both `[width]`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn layer_norm(&self, name: &str, width: usize, eps: f64) -> Result<Norm, LoadError> {
        self.layer_norm_with_optional_bias(name, width, eps, true)
    }

    /// [`Self::layer_norm`], without a bias unless `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn layer_norm_with_optional_bias(
        &self,
        name: &str,
        width: usize,
        eps: f64,
        bias: bool,
    ) -> Result<Norm, LoadError> {
        let path = self.path(name);
        let weight = self.loader.param(&format!("{path}.weight"), width)?;
        let bias = bias
            .then(|| self.loader.param(&format!("{path}.bias"), width))
            .transpose()?;
        Ok(Norm::layer(weight, bias, eps))
    }

    /// A layer norm with a bias, whose weight is stored minus one (Nemotron).
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn layer_norm_plus_one(
        &self,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<Norm, LoadError> {
        let bias = self
            .loader
            .param(&self.path(format_args!("{name}.bias")), width)?;
        Ok(Norm::layer(
            self.param_plus(name, width, 1.0)?,
            Some(bias),
            eps,
        ))
    }

    /// A layer norm of each head, without a bias: `{name}.weight` `[heads, head_dim]`.
    ///
    /// # Errors
    /// When the tensor has the wrong shape or element type.
    pub fn layer_norm_per_head(
        &self,
        name: &str,
        heads: usize,
        head_dim: usize,
        eps: f64,
    ) -> Result<Norm, LoadError> {
        let name = self.path(format_args!("{name}.weight"));
        let weight = self.loader.param_of_shape(&name, &[heads, head_dim])?;
        Ok(Norm::layer_per_head(weight, heads, eps))
    }

    /// As [`Self::layer_norm_per_head`], from one tensor for each head: `{name}.norms.{head}.weight` `[head_dim]`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn layer_norm_of_heads(
        &self,
        name: &str,
        heads: usize,
        head_dim: usize,
        eps: f64,
    ) -> Result<Norm, LoadError> {
        let mut weights = Vec::with_capacity(heads * head_dim);
        for head in 0..heads {
            let name = self.path(format_args!("{name}.norms.{head}.weight"));
            weights.extend_from_slice(self.loader.param(&name, head_dim)?.as_slice());
        }
        Ok(Norm::layer_per_head(Param::from(weights), heads, eps))
    }
}
