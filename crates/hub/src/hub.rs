//! The one door to everything this crate does.

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
use crate::remove::{Removed, remove};
use crate::repo_id::RepoId;
use crate::resolve::{ResolveError, Resolved, find, resolve};

/// A hub and the models of it that are on this machine.
///
/// What needs no network is synchronous and makes no connection; what does is `async` and needs
/// a tokio runtime with time and I/O. [`blocking::Hub`](crate::blocking::Hub) brings its own.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    /// Setting up TLS takes longer than listing models, so it waits for the first request.
    api: OnceLock<Api>,
}

impl Hub {
    /// Takes a configuration; makes no connection.
    ///
    /// # Errors
    /// [`HubError::InvalidConfig`] when the endpoint is no address.
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

    /// Finds models on the hub.
    ///
    /// # Errors
    /// [`HubError::Offline`], or why the hub did not answer.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        self.api("search the hub")?.search(query).await
    }

    /// Describes a repository at a revision (default `main`), with all its files.
    ///
    /// # Errors
    /// [`HubError::RepoNotFound`], [`HubError::RevisionNotFound`], [`HubError::Gated`],
    /// [`HubError::Offline`], or why the hub did not answer.
    pub async fn model_info(
        &self,
        repo: &RepoId,
        revision: Option<&str>,
    ) -> Result<RepoInfo, HubError> {
        self.api(&format!("look up `{repo}`"))?
            .model_info(repo, revision)
            .await
    }

    /// Downloads a model into the cache, continuing where an earlier pull stopped.
    ///
    /// The snapshot appears only when all of it is here and verified. `cancel` stops the pull;
    /// what arrived is kept.
    ///
    /// # Errors
    /// [`HubError::UnsupportedWeights`] when the repository has no weights this program reads and
    /// `request.files` does not ask for others; [`HubError::DiskFull`] before anything is fetched
    /// when it cannot fit; [`HubError::Cancelled`]; and whatever the hub or the disk refuses.
    pub async fn pull(
        &self,
        request: &PullRequest,
        progress: &dyn ProgressHandler,
        cancel: &CancellationToken,
    ) -> Result<PulledModel, HubError> {
        let api = self.api(&format!("pull `{}`", request.repo))?;
        pull(api, &self.config, request, progress, cancel).await
    }

    /// The models on this machine, by name: those of the cache, whoever put them there, and those
    /// of the local models folder. Incomplete ones are listed as such.
    ///
    /// # Errors
    /// [`HubError::Io`] when a folder cannot be read.
    pub fn local(&self) -> Result<Vec<LocalModel>, HubError> {
        scan(&self.config.cache_dir, &self.config.models_dir)
    }

    /// The local model that `name` means, complete or not: its name in any case, the part after
    /// the `/`, or any part of the name that only it has.
    ///
    /// # Errors
    /// [`ResolveError::Ambiguous`] and [`ResolveError::NotFound`], with names to choose from.
    pub fn find(&self, name: &str) -> Result<LocalModel, ResolveError> {
        find(&self.config, name)
    }

    /// The folder to load for `name`: a path, or a name as [`Hub::find`] takes it.
    ///
    /// # Errors
    /// As [`Hub::find`]; [`ResolveError::Incomplete`] when files are missing;
    /// [`ResolveError::NoSuchPath`] and [`ResolveError::NotAModel`] for paths.
    pub fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        resolve(&self.config, name, None)
    }

    /// As [`Hub::resolve`], at a branch, a tag or a commit.
    ///
    /// # Errors
    /// As [`Hub::resolve`]; [`ResolveError::NoSuchRevision`].
    pub fn resolve_revision(&self, name: &str, revision: &str) -> Result<Resolved, ResolveError> {
        resolve(&self.config, name, Some(revision))
    }

    /// Removes the model of exactly this [name](LocalModel::name), or one revision of it.
    /// Content that other revisions share stays.
    ///
    /// # Errors
    /// [`HubError::NoLocalModel`], [`HubError::RevisionNotFound`], [`HubError::Busy`] while another
    /// process downloads it, [`HubError::Io`].
    pub fn remove(&self, name: &str, revision: Option<&str>) -> Result<Removed, HubError> {
        remove(&self.config, name, revision)
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
    fn its_futures_can_be_spawned() {
        fn assert_send<T: Send>(_: &T) {}
        let hub = Hub::new(HubConfig::new("cache", "models")).unwrap();
        let request = PullRequest::new("org/name".parse().unwrap());
        let (cancel, query) = (CancellationToken::new(), SearchQuery::default());
        assert_send(&hub.pull(&request, &NoProgress, &cancel));
        assert_send(&hub.search(&query));
        assert_send(&hub.model_info(&request.repo, None));
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused() {
        let mut config = HubConfig::new("cache", "models");
        config.endpoint = Some("ftp://hub.example".to_owned());
        assert!(matches!(Hub::new(config), Err(HubError::InvalidConfig(_))));
    }
}
