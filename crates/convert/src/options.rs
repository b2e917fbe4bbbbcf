//! Options, progress events and the report of a conversion.

use std::ops::ControlFlow;

use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};

use super::ConvertError;
use super::overrides::Override;
use super::recipe::Recipe;

/// How the weights of linear layers and embeddings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// The format of the source: dense weights stay dense, MLX quantization is copied, and GGUF quantization is
    /// repacked without loss if MLX has an equivalent format, else requantized.
    #[default]
    Keep,
    /// One format for every layer whose number of columns is a multiple of the group size.
    Quantize(QuantSpec),
    /// Affine quantization with more bits for sensitive layers.
    Recipe {
        /// Which layers get how many bits.
        recipe: Recipe,
        /// Values per scale: 32, 64 or 128.
        group_size: usize,
    },
    /// All weights are dense; quantized ones are dequantized.
    Dense,
}

/// Options of [`convert`](super::convert).
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// The format of linear layers and embeddings.
    pub weights: WeightFormat,
    /// Exceptions by module path; the last match wins.
    pub overrides: Vec<Override>,
    /// The type of float tensors and of affine scales and biases. `None` uses `dtype` or `torch_dtype` of
    /// `config.json`, else the type each tensor has.
    pub float_type: Option<FloatType>,
    /// Replace an existing output.
    pub force: bool,
}

/// A quantization format in which missing values are the mode's defaults.
///
/// # Errors
/// [`ConvertError::Options`] if MLX does not support the combination.
pub fn quantization(
    mode: QuantMode,
    bits: Option<u32>,
    group_size: Option<usize>,
) -> Result<QuantSpec, ConvertError> {
    let default = QuantSpec::default_for(mode);
    let spec = QuantSpec {
        mode,
        group_size: group_size.unwrap_or(default.group_size),
        bits: bits.unwrap_or(default.bits),
    };
    spec.validate()
        .map_err(|error| ConvertError::Options(error.to_string()))?;
    Ok(spec)
}

/// How a tensor was converted.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The values are unchanged.
    Exact,
    /// The values, or the scales and biases, were rounded to another float type.
    Rounded {
        /// The new float type.
        to: FloatType,
    },
    /// Floats were quantized.
    Quantized {
        /// The new format.
        to: QuantSpec,
    },
    /// Quantized values were dequantized and quantized to another format, which adds to their error.
    Requantized {
        /// The old format.
        from: String,
        /// The new format.
        to: QuantSpec,
        /// Root mean square of the change divided by that of the values, for a sample of rows.
        relative_error: f32,
    },
    /// Quantized values were written as floats.
    Dequantized {
        /// The old format.
        from: String,
    },
}

/// Progress of a conversion. The order is one `Started`, for each tensor any number of `Written` and one `Tensor`, then
/// `Finishing`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConvertEvent<'a> {
    /// The plan is complete and writing starts.
    Started {
        /// Number of `Tensor` events that follow.
        tensors: usize,
        /// Total size of the weights in bytes.
        size_bytes: u64,
    },
    /// Part of a tensor has been written.
    Written {
        /// Bytes of weights written so far.
        written_bytes: u64,
    },
    /// A tensor has been written.
    Tensor {
        /// Its name, or its module path if it is quantized.
        name: &'a str,
        /// How it was converted.
        outcome: &'a Outcome,
        /// Bytes of weights written so far.
        written_bytes: u64,
    },
    /// The files are about to be flushed and moved into place. This is the last chance to cancel.
    Finishing,
}

/// Called with each event; `Break` cancels the conversion with [`ConvertError::Cancelled`].
pub type Progress<'a> = dyn FnMut(ConvertEvent<'_>) -> ControlFlow<()> + 'a;

/// The result of a conversion.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConvertReport {
    /// Tensors written. A quantized weight with its scales and biases counts as one.
    pub tensors: usize,
    /// Number of tensors with [`Outcome::Exact`].
    pub exact: usize,
    /// Number of tensors with [`Outcome::Rounded`].
    pub rounded: usize,
    /// Number of tensors with [`Outcome::Quantized`].
    pub quantized: usize,
    /// Number of tensors with [`Outcome::Requantized`].
    pub requantized: usize,
    /// Number of tensors with [`Outcome::Dequantized`].
    pub dequantized: usize,
    /// Size of the weights in bits per parameter, including scales and biases.
    pub bits_per_weight: f64,
    /// Number of parameters of the model.
    pub parameters: u64,
    /// Total size of the weights in bytes.
    pub size_bytes: u64,
    /// Number of weight files.
    pub files: usize,
    /// Messages for the user, such as a missing chat template.
    pub notes: Vec<String>,
}
