//! What a conversion is asked to do, and what it says while and after doing it.

use std::ops::ControlFlow;

use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};

use super::ConvertError;
use super::overrides::Override;
use super::recipe::Recipe;

/// How the weights of linear layers and embeddings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// As the source has them: dense stays dense, MLX quantization is copied, GGUF quantization is repacked without
    /// loss where MLX has the same form and quantized again where it has not.
    #[default]
    Keep,
    /// One format for every layer whose input width is a multiple of the group size.
    Quantize(QuantSpec),
    /// Affine with more bits for the layers that lose most by it.
    Recipe {
        /// Which layers get how many bits.
        recipe: Recipe,
        /// Values per scale: 32, 64 or 128.
        group_size: usize,
    },
    /// Every quantized tensor is written out as floats.
    Dense,
}

/// What [`convert`](super::convert) does.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// How linear layers and embeddings are written.
    pub weights: WeightFormat,
    /// Exceptions by module path; the last that matches wins.
    pub overrides: Vec<Override>,
    /// The type of float tensors, and of the scales and biases of affine ones. `None` keeps the type `config.json`
    /// names, else the type each tensor has.
    pub float_type: Option<FloatType>,
    /// Replace an existing output.
    pub force: bool,
}

/// A quantization format from what a user gave, the rest filled in with the mode's defaults.
///
/// # Errors
/// [`ConvertError::Options`] if MLX has no such combination.
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

/// What became of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The same numbers.
    Exact,
    /// The same numbers rounded to the type named.
    Rounded {
        /// The float type of the values, scales or biases.
        to: FloatType,
    },
    /// Quantized from floats.
    Quantized {
        /// The new format.
        to: QuantSpec,
    },
    /// Quantized again from another quantization, which adds to its error.
    Requantized {
        /// The format it had.
        from: String,
        /// The new format.
        to: QuantSpec,
        /// Root mean square of the change over that of the values, on a sample of rows.
        relative_error: f32,
    },
    /// Written as floats from a quantization.
    Dequantized {
        /// The format it had.
        from: String,
    },
}

/// Progress of a conversion, in order: one `Started`, then for each tensor any number of `Written` and one `Tensor`,
/// then `Finishing`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConvertEvent<'a> {
    /// The plan is made and writing starts.
    Started {
        /// How many `Tensor` events follow.
        tensors: usize,
        /// Bytes of weights that will be written.
        size_bytes: u64,
    },
    /// A part of a tensor has been written.
    Written {
        /// Bytes of weights written so far.
        written_bytes: u64,
    },
    /// A tensor has been written.
    Tensor {
        /// Its name, or its module path if it is quantized.
        name: &'a str,
        /// What became of it.
        outcome: &'a Outcome,
        /// Bytes of weights written so far.
        written_bytes: u64,
    },
    /// The files are being flushed and moved into place; it cannot be stopped any more.
    Finishing,
}

/// Called with each event; `Break` stops the conversion with [`ConvertError::Cancelled`].
pub type Progress<'a> = dyn FnMut(ConvertEvent<'_>) -> ControlFlow<()> + 'a;

/// What a conversion wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConvertReport {
    /// Tensors of the source model that were written; a quantized one counts once.
    pub tensors: usize,
    /// How many kept exactly their numbers.
    pub exact: usize,
    /// How many were rounded to another float type.
    pub rounded: usize,
    /// How many were quantized from floats.
    pub quantized: usize,
    /// How many were quantized again from another quantization.
    pub requantized: usize,
    /// How many were written as floats from a quantization.
    pub dequantized: usize,
    /// Bits of weight files per parameter, scales and biases included.
    pub bits_per_weight: f64,
    /// Parameters of the model.
    pub parameters: u64,
    /// Bytes of the weight files.
    pub size_bytes: u64,
    /// Weight files written.
    pub files: usize,
    /// Things the user should know, such as metadata that was dropped or guessed.
    pub notes: Vec<String>,
}
