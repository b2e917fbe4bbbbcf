//! Blocking API for callers without an async runtime.

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

/// Blocking version of [`Hub`](crate::Hub). Its methods panic when called from within an async runtime.
#[derive(Debug)]
pub struct Hub {
    hub: crate::Hub,
    runtime: Runtime,
}

impl Hub {
    /// See [`crate::Hub::new`].
    ///
    /// # Errors
    /// See [`crate::Hub::new`]. Also fails if the async runtime cannot be created.
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

    /// See [`crate::Hub::config`].
    pub fn config(&self) -> &HubConfig {
        self.hub.config()
    }

    /// See [`crate::Hub::search`].
    ///
    /// # Errors
    /// See [`crate::Hub::search`].
    pub fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        self.runtime.block_on(self.hub.search(query))
    }

    /// See [`crate::Hub::model_info`].
    ///
    /// # Errors
    /// See [`crate::Hub::model_info`].
    pub fn model_info(&self, repo: &RepoId, revision: Option<&str>) -> Result<RepoInfo, HubError> {
        self.runtime.block_on(self.hub.model_info(repo, revision))
    }

    /// See [`crate::Hub::pull`].
    ///
    /// # Errors
    /// See [`crate::Hub::pull`].
    pub fn pull(
        &self,
        request: &PullRequest,
        progress: &dyn ProgressHandler,
        cancel: &CancellationToken,
    ) -> Result<PulledModel, HubError> {
        self.runtime
            .block_on(self.hub.pull(request, progress, cancel))
    }

    /// See [`crate::Hub::local`].
    ///
    /// # Errors
    /// See [`crate::Hub::local`].
    pub fn local(&self) -> Result<Vec<LocalModel>, HubError> {
        self.hub.local()
    }

    /// See [`crate::Hub::find`].
    ///
    /// # Errors
    /// See [`crate::Hub::find`].
    pub fn find(&self, name: &str) -> Result<LocalModel, ResolveError> {
        self.hub.find(name)
    }

    /// See [`crate::Hub::resolve`].
    ///
    /// # Errors
    /// See [`crate::Hub::resolve`].
    pub fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        self.hub.resolve(name)
    }

    /// See [`crate::Hub::resolve_revision`].
    ///
    /// # Errors
    /// See [`crate::Hub::resolve_revision`].
    pub fn resolve_revision(&self, name: &str, revision: &str) -> Result<Resolved, ResolveError> {
        self.hub.resolve_revision(name, revision)
    }

    /// See [`crate::Hub::remove`].
    ///
    /// # Errors
    /// See [`crate::Hub::remove`].
    pub fn remove(&self, name: &str, revision: Option<&str>) -> Result<Removed, HubError> {
        self.hub.remove(name, revision)
    }
}
