//! The same for callers without a runtime of their own.

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::config::HubConfig;
use crate::error::HubError;
use crate::info::{ModelSummary, RepoInfo, SearchQuery};
use crate::local::LocalModel;
use crate::progress::ProgressHandler;
use crate::pull::{PullRequest, PulledModel};
use crate::remove::Removed;
use crate::repo_id::RepoId;
use crate::resolve::{ResolveError, Resolved};

/// A [`Hub`](crate::Hub) that waits for its answers. Not for use inside an async runtime: its
/// calls would panic there.
#[derive(Debug)]
pub struct Hub {
    hub: crate::Hub,
    runtime: Runtime,
}

impl Hub {
    /// As [`crate::Hub::new`].
    ///
    /// # Errors
    /// As [`crate::Hub::new`], and when the system gives no runtime.
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                HubError::InvalidConfig(format!("cannot start the network runtime: {error}"))
            })?;
        Ok(Self {
            hub: crate::Hub::new(config)?,
            runtime,
        })
    }

    /// As [`crate::Hub::config`].
    pub fn config(&self) -> &HubConfig {
        self.hub.config()
    }

    /// As [`crate::Hub::search`].
    ///
    /// # Errors
    /// As [`crate::Hub::search`].
    pub fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        self.runtime.block_on(self.hub.search(query))
    }

    /// As [`crate::Hub::model_info`].
    ///
    /// # Errors
    /// As [`crate::Hub::model_info`].
    pub fn model_info(&self, repo: &RepoId, revision: Option<&str>) -> Result<RepoInfo, HubError> {
        self.runtime.block_on(self.hub.model_info(repo, revision))
    }

    /// As [`crate::Hub::pull`].
    ///
    /// # Errors
    /// As [`crate::Hub::pull`].
    pub fn pull(
        &self,
        request: &PullRequest,
        progress: &dyn ProgressHandler,
        cancel: &CancellationToken,
    ) -> Result<PulledModel, HubError> {
        self.runtime
            .block_on(self.hub.pull(request, progress, cancel))
    }

    /// As [`crate::Hub::local`].
    ///
    /// # Errors
    /// As [`crate::Hub::local`].
    pub fn local(&self) -> Result<Vec<LocalModel>, HubError> {
        self.hub.local()
    }

    /// As [`crate::Hub::find`].
    ///
    /// # Errors
    /// As [`crate::Hub::find`].
    pub fn find(&self, name: &str) -> Result<LocalModel, ResolveError> {
        self.hub.find(name)
    }

    /// As [`crate::Hub::resolve`].
    ///
    /// # Errors
    /// As [`crate::Hub::resolve`].
    pub fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        self.hub.resolve(name)
    }

    /// As [`crate::Hub::resolve_revision`].
    ///
    /// # Errors
    /// As [`crate::Hub::resolve_revision`].
    pub fn resolve_revision(&self, name: &str, revision: &str) -> Result<Resolved, ResolveError> {
        self.hub.resolve_revision(name, revision)
    }

    /// As [`crate::Hub::remove`].
    ///
    /// # Errors
    /// As [`crate::Hub::remove`].
    pub fn remove(&self, name: &str, revision: Option<&str>) -> Result<Removed, HubError> {
        self.hub.remove(name, revision)
    }
}
