//! Models: found on the hub, downloaded with resume, kept in the cache that `huggingface_hub`
//! uses, found again by name.
//!
//! [`Hub`] does all of it; [`blocking::Hub`] does it without an async runtime. [`HubConfig`] holds
//! every setting: outside [`HubConfig::from_env`] nothing here reads the environment.
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
//! - A file under its final name is complete and verified; a snapshot's `config.json` appears
//!   after all its other files, its ref after everything.
//! - An access token is sent to the hub's own address and nowhere else.
//! - Types of the client library do not appear in this crate's interface.
//! - Nothing here knows how models are run or where accounts are kept.

mod api;
pub mod blocking;
mod config;
mod disk;
mod error;
mod filter;
mod http;
mod hub;
mod info;
mod layout;
mod local;
pub mod progress;
mod pull;
mod remove;
mod repo_id;
mod resolve;

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
