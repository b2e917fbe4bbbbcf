//! A name prefix in a checkpoint, and the layers that are loaded by names relative to it.

use std::fmt::Display;

use mlxm_kernels::{Linear, Norm, Param};

use super::Loader;
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
            weight: self.loader.weight(&self.path(name), outputs, inputs)?,
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
            weight: self.loader.weight(&path, outputs, inputs)?,
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
        let offsets = self
            .loader
            .param(&self.path(format_args!("{name}.weight")), width)?;
        let weights: Vec<f32> = offsets
            .as_slice()
            .iter()
            .map(|offset| 1.0 + offset)
            .collect();
        Ok(Norm::rms(Param::from(weights), eps))
    }

    /// A layer norm with `{name}.weight` and `{name}.bias`, both `[width]`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn layer_norm(&self, name: &str, width: usize, eps: f64) -> Result<Norm, LoadError> {
        let path = self.path(name);
        let weight = self.loader.param(&format!("{path}.weight"), width)?;
        let bias = self.loader.param(&format!("{path}.bias"), width)?;
        Ok(Norm::layer(weight, Some(bias), eps))
    }
}
