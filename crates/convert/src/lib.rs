//! Conversion of GGUF files, Hugging Face safetensors and MLX checkpoints to MLX checkpoints, optionally with another
//! quantization.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use mlxm_convert::{ConvertOptions, convert};
//!
//! let report = convert(
//!     Path::new("model.Q4_1.gguf"),
//!     Path::new("model-mlx"),
//!     &ConvertOptions::default(),
//!     &mut |_event| ControlFlow::Continue(()),
//! )?;
//! println!("{} tensors, {:.2} bits per weight", report.tensors, report.bits_per_weight);
//! # Ok::<(), mlxm_convert::ConvertError>(())
//! ```
//!
//! A plan is made from the headers of the source. Weights are then written row by row, so memory use does not depend on
//! the size of the model. The output is a hidden sibling directory until it is complete and renamed; a conversion that
//! fails or is cancelled removes it. The engine must be able to load the output: this is checked before the first weight is
//! written, when the weight files have only their headers, and again at the end.

mod dense;
mod error;
mod execute;
mod gguf;
mod options;
mod overrides;
mod packed;
mod plan;
mod quant_predicate;
mod quantized;
mod raw;
mod recipe;
mod safetensors;
mod verify;
mod writer;

pub use error::ConvertError;
pub use gguf::{GgufError, gguf_architectures};
pub use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};
pub use options::{
    ConvertEvent, ConvertOptions, ConvertReport, Outcome, Progress, WeightFormat, quantization,
};
pub use overrides::Override;
pub use recipe::Recipe;

use std::path::{Path, PathBuf};

/// Converts `source`, a GGUF file or a directory with a checkpoint, to an MLX checkpoint in the directory `output`.
///
/// # Errors
/// If the source cannot be converted or the output cannot be written. An existing output that
/// [`ConvertOptions::force`] would have replaced is kept.
pub fn convert(
    source: &Path,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    if options.force {
        reject_source_as_output(source, output)?;
    }
    match find_source(source)? {
        Source::Gguf(file) => gguf::convert(&file, output, options, progress),
        Source::Directory => safetensors::convert(source, output, options, progress),
    }
}

enum Source {
    Gguf(PathBuf),
    Directory,
}

/// A file is read as GGUF. A directory is read as a checkpoint, unless it has one GGUF file and no safetensors.
fn find_source(path: &Path) -> Result<Source, ConvertError> {
    let metadata = std::fs::metadata(path).map_err(ConvertError::read(path))?;
    if metadata.is_file() {
        return Ok(Source::Gguf(path.to_owned()));
    }
    let has_extension = |file: &Path, wanted: &str| {
        file.extension()
            .is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    };
    let files: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(ConvertError::read(path))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let mut gguf = files.iter().filter(|file| has_extension(file, "gguf"));
    if files.iter().any(|file| has_extension(file, "safetensors")) {
        return Ok(Source::Directory);
    }
    match (gguf.next(), gguf.next()) {
        (Some(file), None) => Ok(Source::Gguf(file.clone())),
        (Some(_), Some(_)) => Err(ConvertError::Source {
            path: path.to_owned(),
            reason: "it has several GGUF files: give the path of one of them".to_owned(),
        }),
        // The error of reading it as a checkpoint names the missing files.
        (None, _) => Ok(Source::Directory),
    }
}

/// The output must not be the source or contain it.
fn reject_source_as_output(source: &Path, output: &Path) -> Result<(), ConvertError> {
    let (Ok(from), Ok(to)) = (source.canonicalize(), output.canonicalize()) else {
        return Ok(());
    };
    if from.starts_with(&to) {
        return Err(ConvertError::Options(format!(
            "{} contains the model to convert: choose another output",
            output.display()
        )));
    }
    Ok(())
}
