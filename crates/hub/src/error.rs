//! Errors, with messages that tell the user what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Token;
use crate::info::WeightsKind;

/// An error of this crate. Where possible the message says what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Invalid repository name.
    #[error("`{id}` is not a repository name: {reason}; it should look like `owner/name`")]
    InvalidRepoId {
        /// The given name.
        id: String,
        /// Why it is invalid.
        reason: String,
    },
    /// Invalid configuration.
    #[error("{0}")]
    InvalidConfig(String),
    /// Invalid file pattern.
    #[error("invalid file pattern `{pattern}`: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The network is required but offline mode is on.
    #[error(
        "cannot {action}: offline mode is on; unset HF_HUB_OFFLINE, or use a local model (`mlxm list`)"
    )]
    Offline {
        /// The operation that was attempted.
        action: String,
    },
    /// The repository does not exist or is not visible with this token.
    #[error("model `{repo}` not found on the hub: check the spelling; a private model requires a token with read access ({})", token_hint(.token.as_ref()))]
    RepoNotFound {
        /// The repository.
        repo: String,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "`{repo}` has no revision `{revision}`: specify a branch, a tag or a full commit hash, or omit it to use `main`"
    )]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// A listed file does not exist.
    #[error("`{repo}` has no file `{file}` at {revision}")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// Path in the repository.
        file: String,
        /// The commit.
        revision: String,
    },
    /// The repository is gated: access must be requested first.
    #[error("`{repo}` is gated: request access at {page}, then try again ({})", token_hint(.token.as_ref()))]
    Gated {
        /// The repository.
        repo: String,
        /// The page where access is requested.
        page: String,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The hub rejected the token, or requires one.
    #[error("the hub denied access to `{repo}` (status {status}): {}", token_hint(.token.as_ref()))]
    Unauthorized {
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The hub returned another HTTP error status.
    #[error("the hub returned status {status} for {url}{}", .message.as_deref().map(|message| format!(": {message}")).unwrap_or_default())]
    Server {
        /// HTTP status.
        status: u16,
        /// The URL.
        url: String,
        /// Error message from the hub.
        message: Option<String>,
        /// Value of the `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// The hub could not be reached.
    #[error("cannot reach the hub at {url}: {reason}; check the network and the proxy settings")]
    Network {
        /// The URL.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The hub's response is invalid.
    #[error("unexpected response from the hub at {url}: {reason}")]
    UnexpectedResponse {
        /// The URL.
        url: String,
        /// Why it is invalid.
        reason: String,
    },
    /// A download failed after the maximum number of attempts.
    #[error(
        "download of `{file}` failed after {attempts} attempts: {reason}; the partial download is kept and the next pull resumes it"
    )]
    RetriesExhausted {
        /// Path in the repository.
        file: String,
        /// Consecutive attempts without progress.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// The downloaded content repeatedly does not match the expected digest.
    #[error(
        "checksum mismatch for `{file}`: expected {expected}, got {actual}; a proxy or a mirror may be modifying it"
    )]
    Corrupt {
        /// Path in the repository.
        file: String,
        /// The expected digest.
        expected: String,
        /// The digest of the downloaded content.
        actual: String,
    },
    /// Not enough disk space.
    #[error("not enough disk space at {}: {}", .path.display(), space_hint(*.needed_bytes, *.available_bytes))]
    DiskFull {
        /// The directory or file.
        path: PathBuf,
        /// Bytes that the download still needs; `None` if the disk filled up during a write.
        needed_bytes: Option<u64>,
        /// Available bytes, without those that other downloads will need; `None` if unknown.
        available_bytes: Option<u64>,
    },
    /// The directory is not writable.
    #[error("cannot write to {}: {reason}; make it writable or choose another directory with HF_HUB_CACHE or HF_HOME", .path.display())]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// Error message from the operating system.
        reason: String,
    },
    /// Another file system error.
    #[error("cannot {action} {}: {reason}", .path.display())]
    Io {
        /// The operation: "read", "create", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Error message from the operating system.
        reason: String,
    },
    /// The repository has no weights in a supported format.
    #[error("`{repo}` {}; find an MLX or safetensors version with `mlxm search`, or select files explicitly", .kind.describe())]
    UnsupportedWeights {
        /// The repository.
        repo: String,
        /// The weights that it has.
        kind: WeightsKind,
    },
    /// No file of the repository matches the filter.
    #[error("no file of `{repo}` matches the given patterns")]
    NoMatchingFiles {
        /// The repository.
        repo: String,
    },
    /// The caller cancelled.
    #[error("cancelled; the partial download is kept and the next pull resumes it")]
    Cancelled,
    /// Another process is downloading the model that should be removed.
    #[error("`{name}` is being downloaded by another process; stop that first")]
    Busy {
        /// The model.
        name: String,
    },
    /// A symbolic link leads to what should be removed.
    #[error("{} is a directory elsewhere, to which a symbolic link leads: remove it there, or remove the link", .path.display())]
    LinkedElsewhere {
        /// Where it is.
        path: PathBuf,
    },
    /// No local model has this name.
    #[error("no local model `{name}`; run `mlxm list` to see the local models")]
    NoLocalModel {
        /// The model.
        name: String,
    },
}

impl HubError {
    /// The `Retry-After` value of the response, if any.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Maps an I/O error to the matching variant.
    pub(crate) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                path,
                needed_bytes: None,
                available_bytes: None,
            },
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory => Self::NotWritable {
                path,
                reason: error.to_string(),
            },
            _ => Self::Io {
                action,
                path,
                reason: error.to_string(),
            },
        }
    }
}

fn token_hint(token: Option<&Token>) -> String {
    match token {
        None => "no token was sent: set HF_TOKEN or log in with `hf auth login`".to_owned(),
        Some(token) => format!(
            "{} was sent: check that it is valid and has read access to this model",
            token.source()
        ),
    }
}

fn space_hint(needed_bytes: Option<u64>, available_bytes: Option<u64>) -> String {
    let keep = "the partial download is kept and the next pull resumes it";
    match (needed_bytes, available_bytes) {
        (Some(needed), Some(available)) => format!(
            "{} required, {} available; free some space (`mlxm rm`) or choose another directory with HF_HUB_CACHE",
            gigabytes(needed),
            gigabytes(available)
        ),
        _ => format!("free some space (`mlxm rm`) and try again; {keep}"),
    }
}

fn gigabytes(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.2} GB", bytes as f64 / 1e9)
    }
}
