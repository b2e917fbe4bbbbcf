//! The main entry point of this crate.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::config::HubConfig;
use crate::error::HubError;
use crate::http::parse_endpoint;
use crate::info::{ModelSummary, RepoInfo, SearchQuery};
use crate::local::{LocalModel, scan};
use crate::progress::ProgressHandler;
use crate::pull::{PullRequest, PulledModel, pull};
use crate::remove::{Removed, remove, remove_partial};
use crate::repo_id::RepoId;
use crate::resolve::{ResolveError, Resolved, find, resolve};

/// Access to a model hub and to the local models.
///
/// Methods that use the network are `async` and require a tokio runtime with time and I/O enabled;
/// [`blocking::Hub`](crate::blocking::Hub) provides its own. All other methods are synchronous.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    /// Created on the first request, because setting up TLS is slower than listing local models.
    api: OnceLock<Api>,
}

impl Hub {
    /// Creates a hub client. Does not connect.
    ///
    /// # Errors
    /// [`HubError::InvalidConfig`] if the endpoint is not a valid URL.
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        if let Some(endpoint) = &config.endpoint {
            parse_endpoint(endpoint)?;
        }
        Ok(Self {
            config,
            api: OnceLock::new(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// Searches for models on the hub.
    ///
    /// # Errors
    /// [`HubError::Offline`], or a network or server error.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        self.api("search the hub")?.search(query).await
    }

    /// Returns the metadata and file list of a repository at a revision (default `main`).
    ///
    /// # Errors
    /// [`HubError::RepoNotFound`], [`HubError::RevisionNotFound`], [`HubError::Gated`],
    /// [`HubError::Offline`], or a network or server error.
    pub async fn model_info(
        &self,
        repo: &RepoId,
        revision: Option<&str>,
    ) -> Result<RepoInfo, HubError> {
        self.api(&format!("look up `{repo}`"))?
            .model_info(repo, revision)
            .await
    }

    /// The content of a text file of a repository, such as its `README.md`, cut after `max_bytes`.
    ///
    /// # Errors
    /// As [`Hub::model_info`]; [`HubError::FileNotFound`].
    pub async fn read_text(
        &self,
        repo: &RepoId,
        revision: &str,
        path: &str,
        max_bytes: usize,
    ) -> Result<String, HubError> {
        self.api(&format!("read `{path}` of `{repo}`"))?
            .read_text(repo, revision, path, max_bytes)
            .await
    }

    /// Downloads a model into the cache, resuming partial downloads.
    ///
    /// The snapshot is created only after all files are complete and verified. `cancel` stops the pull and keeps
    /// partial downloads.
    ///
    /// # Errors
    /// [`HubError::UnsupportedWeights`] if the repository has no safetensors weights and `request.files` is not
    /// explicit; [`HubError::DiskFull`] before the download starts if there is not enough space;
    /// [`HubError::Cancelled`]; network, server and I/O errors.
    pub async fn pull(
        &self,
        request: &PullRequest,
        progress: &dyn ProgressHandler,
        cancel: &CancellationToken,
    ) -> Result<PulledModel, HubError> {
        let api = self.api(&format!("pull `{}`", request.repo))?;
        pull(api, &self.config, request, progress, cancel).await
    }

    /// Lists the models in the cache and in the local models directory, sorted by name, including incomplete ones.
    ///
    /// # Errors
    /// [`HubError::Io`] if a directory cannot be read.
    pub fn local(&self) -> Result<Vec<LocalModel>, HubError> {
        scan(&self.config.cache_dir, &self.config.models_dir)
    }

    /// Finds a local model, complete or not, by its case-insensitive name, by the part after the `/`, or by a unique
    /// substring of its name.
    ///
    /// # Errors
    /// [`ResolveError::Ambiguous`] and [`ResolveError::NotFound`], with candidates or suggestions.
    pub fn find(&self, name: &str) -> Result<LocalModel, ResolveError> {
        find(&self.config, name)
    }

    /// Resolves a path, or a name as accepted by [`Hub::find`], to the directory to load.
    ///
    /// # Errors
    /// See [`Hub::find`]; [`ResolveError::Incomplete`] if files are missing;
    /// [`ResolveError::NoSuchPath`] and [`ResolveError::NotAModel`] for paths.
    pub fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        resolve(&self.config, name, None)
    }

    /// Like [`Hub::resolve`], at a branch, a tag or a commit.
    ///
    /// # Errors
    /// See [`Hub::resolve`]; [`ResolveError::NoSuchRevision`].
    pub fn resolve_revision(&self, name: &str, revision: &str) -> Result<Resolved, ResolveError> {
        resolve(&self.config, name, Some(revision))
    }

    /// Removes the model with exactly this [name](LocalModel::name), or one revision of it. Blobs that are shared with
    /// other revisions are kept.
    ///
    /// # Errors
    /// [`HubError::NoLocalModel`], [`HubError::RevisionNotFound`], [`HubError::Busy`] while another
    /// process downloads it, [`HubError::Io`].
    pub fn remove(&self, name: &str, revision: Option<&str>) -> Result<Removed, HubError> {
        remove(&self.config, name, revision)
    }

    /// Removes what pulls of a repository have downloaded and no snapshot contains: partial files, and complete ones of a pull
    /// that did not end. Returns the freed bytes.
    ///
    /// # Errors
    /// [`HubError::Busy`] while a pull of the repository is running, [`HubError::Io`].
    pub fn remove_partial(&self, repo: &RepoId) -> Result<u64, HubError> {
        remove_partial(&self.config, repo)
    }

    fn api(&self, action: &str) -> Result<&Api, HubError> {
        if self.config.offline {
            return Err(HubError::Offline {
                action: action.to_owned(),
            });
        }
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        let api = Api::new(&self.config)?;
        Ok(self.api.get_or_init(|| api))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::NoProgress;

    #[test]
    fn futures_are_send() {
        fn assert_send<T: Send>(_: &T) {}
        let hub = Hub::new(HubConfig::new("cache", "models")).unwrap();
        let request = PullRequest::new("org/name".parse().unwrap());
        let (cancel, query) = (CancellationToken::new(), SearchQuery::default());
        assert_send(&hub.pull(&request, &NoProgress, &cancel));
        assert_send(&hub.search(&query));
        assert_send(&hub.model_info(&request.repo, None));
    }

    #[test]
    fn new_rejects_invalid_endpoint() {
        let mut config = HubConfig::new("cache", "models");
        config.endpoint = Some("ftp://hub.example".to_owned());
        assert!(matches!(Hub::new(config), Err(HubError::InvalidConfig(_))));
    }
}
