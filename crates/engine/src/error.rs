//! Errors of the engine: [`LoadError`] while opening a checkpoint, [`RequestError`] for a rejected request,
//! [`GenerationError`] for one that fails while it runs.

use std::fmt;
use std::path::PathBuf;

use mlxm_kernels::KernelError;

use crate::models::Unsupported;
use crate::sampling::{ConstraintError, SamplingError};
use crate::text::TokenizerError;

/// Why a checkpoint cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path does not exist.
    #[error("no model at {}: check the path, or see `mlxm list` for what is here and `mlxm pull` to get one", .0.display())]
    NotFound(PathBuf),
    /// The path is a file that is not a checkpoint.
    #[error("{} is a file; a model is a folder with config.json and model*.safetensors{hint}", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// The folder has no `config.json`.
    #[error("{} has no config.json, so it is not a model folder{hint}", path.display())]
    NoConfig {
        /// The folder.
        path: PathBuf,
        /// What the folder holds instead.
        hint: String,
    },
    /// The folder has no weight files: neither those of its index nor `model*.safetensors`.
    #[error("{} has no model*.safetensors{hint}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What the folder holds instead and what can be done with it.
        hint: String,
    },
    /// `config.json` is not JSON or lacks a field.
    #[error("{}: {problem}", path.display())]
    InvalidConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        problem: String,
    },
    /// The `model_type` is not supported.
    #[error("model_type `{model_type}` is not supported{}; docs/models.md lists those that are", describe(*known))]
    UnsupportedArchitecture {
        /// `model_type` of the config.
        model_type: String,
        /// What is known about it.
        known: Option<Unsupported>,
    },
    /// A quantization method that is not supported.
    #[error("{0}")]
    UnsupportedQuantization(String),
    /// A safetensors file is truncated or corrupt.
    #[error("{}: {problem}; the file is damaged or incomplete: download it again", path.display())]
    CorruptWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Two weight files have a tensor of the same name.
    #[error(
        "tensor {name} is in both {} and {}: remove the file that does not belong to the model, \
         or download the model again with its model.safetensors.index.json",
        first.display(),
        second.display()
    )]
    DuplicateTensor {
        /// Its name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// Tensors the model needs are absent.
    #[error("{model_type}: {} of the model's tensors are missing: {}", tensors.len(), first_names(tensors))]
    MissingTensors {
        /// The architecture.
        model_type: String,
        /// The tensors.
        tensors: Vec<MissingTensor>,
    },
    /// Tensors that the model does not use.
    #[error("{model_type}: the checkpoint has {} tensors that this architecture does not use: {}", names.len(), first_names(names))]
    UnknownTensors {
        /// The architecture.
        model_type: String,
        /// Their names.
        names: Vec<String>,
    },
    /// A tensor has the wrong shape or element type.
    #[error("tensor {name}: {problem}")]
    BadTensor {
        /// Its name.
        name: String,
        /// What is wrong, with expected and found.
        problem: String,
    },
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    /// The plan does not fit.
    #[error("{0}")]
    Memory(String),
    /// An option is out of range.
    #[error("{0}")]
    InvalidOption(String),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Reading a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The load was cancelled.
    #[error("loading the model was cancelled")]
    Cancelled,
    /// An operation of the kernels.
    #[error(transparent)]
    Compute(#[from] KernelError),
}

impl LoadError {
    /// A stable name for programs, such as `corrupt_weights`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "model_not_found",
            Self::NotADirectory { .. } | Self::NoConfig { .. } | Self::NoWeights { .. } => {
                "not_a_model"
            }
            Self::InvalidConfig { .. } => "invalid_config",
            Self::UnsupportedArchitecture { .. } => "unsupported_architecture",
            Self::UnsupportedQuantization(_) => "unsupported_quantization",
            Self::CorruptWeights { .. } => "corrupt_weights",
            Self::MissingTensors { .. } => "missing_tensors",
            Self::UnknownTensors { .. } => "unknown_tensors",
            Self::BadTensor { .. } => "invalid_tensor",
            Self::DuplicateTensor { .. } => "duplicate_tensor",
            Self::Device(_) => "unsupported_device",
            Self::Memory(_) => "does_not_fit",
            Self::InvalidOption(_) => "invalid_option",
            Self::Tokenizer(_) => "invalid_tokenizer",
            Self::Io { .. } => "io",
            Self::Cancelled => "cancelled",
            Self::Compute(_) => "compute_failed",
        }
    }
}

/// A tensor that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTensor {
    /// Its name.
    pub name: String,
    /// The shape that the configuration requires.
    pub shape: Vec<usize>,
}

impl fmt::Display for MissingTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.shape)
    }
}

/// What is missing for an architecture, and the closest one.
fn describe(known: Option<Unsupported>) -> String {
    let Some(Unsupported { closest, missing }) = known else {
        return String::new();
    };
    let missing = missing.map_or_else(String::new, |missing| format!(": it needs {missing}"));
    format!("{missing}; the closest supported one is `{closest}`")
}

/// A list short enough to read.
fn first_names(names: &[impl fmt::Display]) -> String {
    const SHOWN: usize = 8;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// Why a request is rejected.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The prompt has no tokens.
    #[error("the prompt is empty: give at least one token")]
    EmptyPrompt,
    /// The prompt fills the context.
    #[error(
        "the prompt has {prompt_tokens} tokens, but the context length is {context_length} (prompt and completion together); shorten it or load the model with a longer context"
    )]
    PromptTooLong {
        /// Length of the prompt.
        prompt_tokens: usize,
        /// Length of the context.
        context_length: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} at position {position} is outside the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Where in the prompt.
        position: usize,
        /// Number of tokens.
        vocab_size: usize,
    },
    /// A sampling value.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A value of the request.
    #[error("{0}")]
    Invalid(String),
    /// The queue is full.
    #[error(
        "the queue is full: {waiting} of at most {limit} requests are waiting; try again later"
    )]
    QueueFull {
        /// Requests beyond those that can run at the same time.
        waiting: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The engine is shutting down: it finishes running requests and rejects new ones.
    #[error("the engine is shutting down and accepts no new requests")]
    Draining,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
    /// The caller cancelled it.
    #[error("the request was cancelled")]
    Cancelled,
    /// The computation failed.
    #[error("the model failed: {0}")]
    Compute(String),
}

/// Why a running generation failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// The computation failed.
    #[error("the model failed: {0}")]
    Compute(String),
    /// It was cancelled for the shutdown of the engine.
    #[error("the request was cancelled because the engine is shutting down")]
    Cancelled,
    /// The constraint failed.
    #[error(transparent)]
    Constraint(ConstraintError),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl From<SamplingError> for GenerationError {
    fn from(error: SamplingError) -> Self {
        match error {
            SamplingError::Constraint(error) => Self::Constraint(error),
            error => Self::Compute(error.to_string()),
        }
    }
}
