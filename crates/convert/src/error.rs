//! What can go wrong in a conversion.

use std::path::{Path, PathBuf};

use super::gguf::GgufError;
use mlxm_engine::LoadError;

/// A conversion that could not be done. Nothing is left at the output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The source is neither a GGUF file nor a directory with a checkpoint.
    #[error("{path} cannot be converted: {reason}")]
    Source {
        /// The path given.
        path: PathBuf,
        /// Why not.
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
        /// What was being written.
        path: PathBuf,
        /// Bytes of all weight files.
        needed_bytes: u64,
    },
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// `cannot read` or `cannot write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A JSON file that is not what it should be.
    #[error("{path} is not valid: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A GGUF file that cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A checkpoint directory that cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An architecture whose conversion is not known.
    #[error("{found:?} models cannot be converted; supported are {}", supported.join(", "))]
    Architecture {
        /// What the source says.
        found: String,
        /// What can be converted.
        supported: Vec<&'static str>,
    },
    /// The model uses something that the MLX form of its architecture cannot express.
    #[error("this model cannot be converted: {0}")]
    Unsupported(String),
    /// A tensor that cannot be converted.
    #[error("tensor {name:?}: {reason}")]
    Tensor {
        /// Its name in the source.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A tokenizer that cannot be converted.
    #[error("the tokenizer cannot be converted: {0}")]
    Tokenizer(String),
    /// Options that contradict each other or the format.
    #[error("{0}")]
    Options(String),
    /// The progress callback asked to stop.
    #[error("the conversion was stopped")]
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
