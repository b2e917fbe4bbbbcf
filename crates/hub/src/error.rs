//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Token;
use crate::info::WeightsKind;

/// An error of this crate. Each message says what to do next where there is something to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not the name of a repository.
    #[error("`{id}` is not a repository name: {reason}; it should look like `owner/name`")]
    InvalidRepoId {
        /// What was given.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    InvalidConfig(String),
    /// A file pattern that is not one.
    #[error("the file pattern `{pattern}` is not valid: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The network is needed but switched off.
    #[error(
        "cannot {action}: offline mode is on; unset HF_HUB_OFFLINE, or use a model that is already here (`mlxm list`)"
    )]
    Offline {
        /// What was to be done.
        action: String,
    },
    /// No such repository, or none that this token may see.
    #[error("no model `{repo}` on the hub: check the spelling; a private model looks the same without a token that may read it ({})", token_hint(.token.as_ref()))]
    RepoNotFound {
        /// The repository.
        repo: String,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "`{repo}` has no revision `{revision}`: give a branch, a tag or a full commit, or leave it out for `main`"
    )]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// A file that was listed is not there.
    #[error("`{repo}` has no file `{file}` at {revision}")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// Path in the repository.
        file: String,
        /// The commit.
        revision: String,
    },
    /// The repository asks people to request access first.
    #[error("access to `{repo}` must be requested: open {page}, accept its terms, then try again ({})", token_hint(.token.as_ref()))]
    Gated {
        /// The repository.
        repo: String,
        /// The page where access is requested.
        page: String,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The hub refused the token, or wants one.
    #[error("the hub refused access to `{repo}` (status {status}): {}", token_hint(.token.as_ref()))]
    Unauthorized {
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// The token that was sent.
        token: Option<Token>,
    },
    /// The hub answered with an error that is not about the request's target.
    #[error("the hub answered {status} for {url}{}", .message.as_deref().map(|message| format!(": {message}")).unwrap_or_default())]
    Server {
        /// HTTP status.
        status: u16,
        /// The address.
        url: String,
        /// The hub's own words.
        message: Option<String>,
        /// How long the hub asks to wait.
        retry_after: Option<Duration>,
    },
    /// The hub could not be reached.
    #[error("cannot reach the hub at {url}: {reason}; check the network and the proxy settings")]
    Network {
        /// The address.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The hub's answer cannot be understood.
    #[error("unexpected answer from the hub at {url}: {reason}")]
    UnexpectedResponse {
        /// The address.
        url: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A file could not be fetched in the allowed number of attempts.
    #[error(
        "gave up on `{file}` after {attempts} attempts: {reason}; what arrived is kept, the next pull continues there"
    )]
    RetriesExhausted {
        /// Path in the repository.
        file: String,
        /// Attempts in a row that brought nothing.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// The bytes are not the ones the hub announced, twice.
    #[error(
        "`{file}` arrived damaged: expected {expected}, got {actual}; a proxy or a mirror may be altering it"
    )]
    Corrupt {
        /// Path in the repository.
        file: String,
        /// The announced digest.
        expected: String,
        /// The digest of what arrived.
        actual: String,
    },
    /// Not enough room.
    #[error("the disk of {} is full: {}", .path.display(), space_hint(*.needed_bytes, *.available_bytes))]
    DiskFull {
        /// The folder or file.
        path: PathBuf,
        /// What the download still needs; `None` when the disk filled up while writing.
        needed_bytes: Option<u64>,
        /// What is free; `None` when not known.
        available_bytes: Option<u64>,
    },
    /// The folder cannot be written.
    #[error("cannot write to {}: {reason}; make it writable or choose another folder with HF_HUB_CACHE or HF_HOME", .path.display())]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Another file system error.
    #[error("cannot {action} {}: {reason}", .path.display())]
    Io {
        /// What was tried: "read", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The repository has no weights this program can read.
    #[error("`{repo}` {}; look for an MLX or safetensors version of it with `mlxm search`, or name the files you want", .kind.describe())]
    UnsupportedWeights {
        /// The repository.
        repo: String,
        /// What it has instead.
        kind: WeightsKind,
    },
    /// No file of the repository matches the filter.
    #[error("no file of `{repo}` matches the patterns that were asked for")]
    NoMatchingFiles {
        /// The repository.
        repo: String,
    },
    /// The caller cancelled.
    #[error("cancelled; what arrived is kept, the next pull continues there")]
    Cancelled,
    /// Another process is downloading into what was to be removed.
    #[error("`{name}` is being downloaded by another process; stop that first")]
    Busy {
        /// The model.
        name: String,
    },
    /// Nothing of that name on this machine.
    #[error("no model `{name}` on this machine; `mlxm list` shows what there is")]
    NoLocalModel {
        /// The model.
        name: String,
    },
}

impl HubError {
    /// How long the hub asks to wait before the next request, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Sorts a file system error into the variants a caller can act on.
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
            "{} was sent: check that it is valid and may read this model",
            token.source()
        ),
    }
}

fn space_hint(needed_bytes: Option<u64>, available_bytes: Option<u64>) -> String {
    let keep = "what arrived is kept, the next pull continues there";
    match (needed_bytes, available_bytes) {
        (Some(needed), Some(available)) => format!(
            "{} more are needed and {} are free; free some space (`mlxm rm`) or choose another folder with HF_HUB_CACHE",
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
