//! Client for the Hugging Face Hub: search, resumable downloads into the cache shared with `huggingface_hub`, and
//! lookup of local models by name.
//!
//! [`Hub`] is the entry point; [`blocking::Hub`] is its blocking version. Only [`HubConfig::from_env`] reads
//! environment variables.
//!
//! ```no_run
//! use mlxm_hub::{CancellationToken, HubConfig, NoProgress, PullRequest, blocking::Hub};
//!
//! let hub = Hub::new(HubConfig::from_env()?)?;
//! let request = PullRequest::new("mlx-community/Qwen3-0.6B-4bit".parse()?);
//! let pulled = hub.pull(&request, &NoProgress, &CancellationToken::new())?;
//! assert_eq!(hub.resolve("qwen3-0.6b").unwrap().path, pulled.snapshot);
//! # Ok::<(), mlxm_hub::HubError>(())
//! ```
//!
//! # Invariants
//! - A file with its final name is complete and verified. The `config.json` of a snapshot is linked after all other
//!   files, and the ref is written last.
//! - An access token is sent only to the hub's own origin.
//! - Types of the client library do not appear in the public API.
//! - Deliberately absent: running models, user accounts.

mod api;
mod bandwidth;
pub mod blocking;
mod config;
mod disk;
mod error;
mod files;
mod filter;
mod http;
mod hub;
mod info;
mod layout;
mod local;
pub mod names;
pub mod progress;
mod pull;
mod remove;
mod repo_id;
mod resolve;
mod search;
mod verify;

pub use bandwidth::Bandwidth;
pub use config::{HubConfig, Proxies, RetryPolicy, Token, TokenSource};
pub use disk::{Disk, SystemDisk};
pub use error::HubError;
pub use filter::FileFilter;
pub use hub::Hub;
pub use info::{Digest, ModelSummary, RepoFile, RepoInfo, SearchQuery, Sort, WeightsKind};
pub use local::{LocalModel, LocalRevision, LocalSource};
pub use progress::{NoProgress, ProgressHandler, PullEvent};
pub use pull::{PullRequest, PulledModel};
pub use remove::Removed;
pub use repo_id::RepoId;
pub use resolve::{ResolveError, Resolved};
pub use tokio_util::sync::CancellationToken;
pub use verify::Verified;
