//! Converting models to MLX checkpoints: GGUF files, Hugging Face safetensors, and MLX checkpoints themselves to
//! another quantization.
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
//! The output is planned from the headers of the source, written row by row to a temporary directory beside the
//! output (so that memory stays bounded whatever the model's size) and renamed at the end: a conversion that fails or
//! is stopped leaves nothing behind.

mod dense;
mod error;
mod gguf;
mod job;
mod options;
mod overrides;
mod packed;
mod quantized;
mod raw;
mod recipe;
mod rules;
mod run;
mod safetensors;
mod writer;

pub use error::ConvertError;
pub use gguf::GgufError;
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
/// Whatever keeps the conversion from being done; nothing is left at `output` then, and an existing output that
/// [`ConvertOptions::force`] allowed to be replaced is still there.
pub fn convert(
    source: &Path,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    if options.force {
        refuse_to_replace_source(source, output)?;
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

/// A file is taken for GGUF, a directory for a checkpoint unless it has no weights but one GGUF file.
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
            reason: "it has several GGUF files: name one of them".to_owned(),
        }),
        // Says what is missing, and what is there instead.
        (None, _) => Ok(Source::Directory),
    }
}

/// The output may replace anything but what is being read.
fn refuse_to_replace_source(source: &Path, output: &Path) -> Result<(), ConvertError> {
    let (Ok(from), Ok(to)) = (source.canonicalize(), output.canonicalize()) else {
        return Ok(());
    };
    if from.starts_with(&to) {
        return Err(ConvertError::Options(format!(
            "{} holds the model that is to be converted: choose another output",
            output.display()
        )));
    }
    Ok(())
}
