//! Converting models to MLX checkpoints: GGUF files, Hugging Face safetensors, and MLX checkpoints themselves to
//! another quantization.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use mlxm_engine::convert::{ConvertOptions, convert};
//!
//! let report = convert(
//!     Path::new("model.Q4_1.gguf"),
//!     Path::new("model-mlx"),
//!     &ConvertOptions::default(),
//!     &mut |_event| ControlFlow::Continue(()),
//! )?;
//! println!("{} tensors, {:.2} bits per weight", report.tensors, report.bits_per_weight);
//! # Ok::<(), mlxm_engine::convert::ConvertError>(())
//! ```
//!
//! The output is planned from the headers of the source, written row by row to a temporary directory beside the
//! output (so that memory stays bounded whatever the model's size) and renamed at the end: a conversion that fails or
//! is stopped leaves nothing behind.

mod dense;
mod error;
mod gguf;
mod job;
mod options;
mod quantized;
mod recipe;
mod run;
mod writer;

pub use error::ConvertError;
pub use gguf::GgufError;
pub use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};
pub use options::{
    ConvertEvent, ConvertOptions, ConvertReport, Outcome, Progress, WeightFormat, quantization,
};
pub use recipe::{Override, Recipe};

use std::path::{Path, PathBuf};

/// Converts `source`, a GGUF file or a directory with a checkpoint, to an MLX checkpoint in the directory `output`.
///
/// # Errors
/// Whatever keeps the conversion from being done; nothing is left at `output` then, and an existing output that
/// [`ConvertOptions::force`] allowed to be replaced is still there.
pub fn convert(
    source: &Path,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    match find_source(source)? {
        Source::Gguf(file) => gguf::convert(&file, output, options, progress),
    }
}

enum Source {
    Gguf(PathBuf),
}

fn find_source(path: &Path) -> Result<Source, ConvertError> {
    let metadata = std::fs::metadata(path).map_err(ConvertError::read(path))?;
    if metadata.is_file() {
        return Ok(Source::Gguf(path.to_owned()));
    }
    Err(ConvertError::Source {
        path: path.to_owned(),
        reason: "it is not a GGUF file".to_owned(),
    })
}
