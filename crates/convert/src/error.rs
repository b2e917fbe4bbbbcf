//! Conversion errors.

use std::path::{Path, PathBuf};

use super::gguf::GgufError;
use mlxm_engine::LoadError;

/// A failed conversion. Nothing is left at the output path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The source is neither a GGUF file nor a directory with a checkpoint.
    #[error("{path} cannot be converted: {reason}")]
    Source {
        /// The path of the source.
        path: PathBuf,
        /// Why it cannot be converted.
        reason: String,
    },
    /// The output exists already.
    #[error("{0} exists already: choose another output or allow it to be replaced (--force)")]
    OutputExists(PathBuf),
    /// The disk is full.
    #[error(
        "no space left on the disk of {path}: the converted weights need {needed_bytes} bytes there"
    )]
    DiskFull {
        /// The file being written, or the output directory if the space was checked before writing.
        path: PathBuf,
        /// Total size of the weight files in bytes.
        needed_bytes: u64,
    },
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// `cannot read` or `cannot write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A JSON file has invalid content.
    #[error("{path} is not valid: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The GGUF file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The checkpoint directory cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The architecture is not supported.
    #[error("{found:?} models cannot be converted; supported are {}", supported.join(", "))]
    Architecture {
        /// The architecture of the source.
        found: String,
        /// The architectures that can be converted.
        supported: Vec<&'static str>,
    },
    /// The model uses a feature that the architecture's MLX implementation does not have.
    #[error("this model cannot be converted: {0}")]
    Unsupported(String),
    /// A tensor cannot be converted.
    #[error("tensor {name:?}: {reason}")]
    Tensor {
        /// Its name in the source.
        name: String,
        /// Why it cannot be converted.
        reason: String,
    },
    /// The tokenizer cannot be converted.
    #[error("the tokenizer cannot be converted: {0}")]
    Tokenizer(String),
    /// The engine cannot load what would be written.
    #[error("{output} is not written, because the converted model could not be loaded: {reason}")]
    Unusable {
        /// The output directory.
        output: PathBuf,
        /// The error of loading it.
        reason: String,
    },
    /// The options are invalid for the model or the format.
    #[error("{0}")]
    Options(String),
    /// The progress callback returned `Break`.
    #[error("the conversion was cancelled")]
    Cancelled,
}

impl ConvertError {
    pub(super) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action: "cannot read",
            path,
            source,
        }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action: "cannot write",
            path,
            source,
        }
    }

    pub(super) fn tensor(name: &str, reason: impl Into<String>) -> Self {
        Self::Tensor {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }
}
