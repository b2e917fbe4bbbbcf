//! Search and repository metadata. Types of the client library do not leave this module.

use backon::Retryable;
use futures_util::TryStreamExt;
use hf_hub::repository::ModelInfo;
use hf_hub::{HFClient, HFError};
use reqwest::Method;
use reqwest::redirect;

use crate::config::HubConfig;
use crate::error::HubError;
use crate::http::{
    ErrorResponse, Http, Redirects, RequestTarget, USER_AGENT, client, error_chain, is_transient,
};
use crate::info::{Digest, ModelSummary, RepoFile, RepoInfo, SearchQuery};
use crate::layout::is_safe_relative_path;
use crate::repo_id::RepoId;

/// Maximum attempts for a metadata request. Low, because these requests are interactive.
const METADATA_ATTEMPTS: u32 = 3;
const DEFAULT_REVISION: &str = "main";
/// Maximum pages of a file listing, which have up to 1000 files each. A page could link to itself.
const MAX_PAGES: usize = 1000;
const MLX_TAG: &str = "mlx";

/// Client for the metadata API, and the HTTP client for file downloads.
#[derive(Debug)]
pub(crate) struct Api {
    client: HFClient,
    pub http: Http,
    config: HubConfig,
}

impl Api {
    pub fn new(config: &HubConfig) -> Result<Self, HubError> {
        let invalid = |error: HFError| HubError::InvalidConfig(error.to_string());
        let mut builder = HFClient::builder()
            .client(client(config, redirect::Policy::default())?)
            .user_agent(USER_AGENT)
            .cache_dir(&config.cache_dir)
            // Requests are retried by `with_retries`, which respects `Retry-After`.
            .retry_max_attempts(0)
            // Without a token the client would look for one in the environment. A line break is not valid in a header,
            // so this placeholder is never sent.
            .token(config.token.as_ref().map_or("\n", |token| token.secret()));
        if let Some(endpoint) = &config.endpoint {
            builder = builder.endpoint(endpoint.trim());
        }
        let client = builder.build().map_err(invalid)?;
        let http = Http::new(config, client.endpoint())?;
        Ok(Self {
            client,
            http,
            config: config.clone(),
        })
    }

    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        let search = || async {
            let models = self
                .client
                .list_models()
                .maybe_search(query.text.clone())
                .maybe_author(query.author.clone())
                .maybe_filter(query.mlx_only.then_some(MLX_TAG))
                .sort(query.sort.field())
                .full(true)
                .limit(query.limit)
                .send()
                .map_err(|error| self.map_error(error, "", None))?;
            models
                .try_collect::<Vec<ModelInfo>>()
                .await
                .map_err(|error| self.map_error(error, "", None))
        };
        let models = self.with_retries(search).await?;
        Ok(models.into_iter().map(summary).collect())
    }

    pub async fn model_info(
        &self,
        repo: &RepoId,
        revision: Option<&str>,
    ) -> Result<RepoInfo, HubError> {
        let info = || async {
            let handle = self
                .client
                .model(repo.owner().unwrap_or_default(), repo.name());
            let request = handle.info().maybe_revision(revision);
            request
                .send()
                .await
                .map_err(|error| self.map_error(error, repo.as_str(), revision))
        };
        let info = self.with_retries(info).await?;
        let commit = info
            .sha
            .clone()
            .filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .ok_or_else(|| HubError::UnexpectedResponse {
                url: self.http.url(repo.as_str().split('/')).to_string(),
                reason: "the model metadata contains no commit".to_owned(),
            })?;
        let files = self.with_retries(|| self.tree(repo, &commit)).await?;
        let summary = summary(info);
        Ok(RepoInfo {
            repo: summary.repo.parse().unwrap_or_else(|_| repo.clone()),
            revision: revision.unwrap_or(DEFAULT_REVISION).to_owned(),
            commit,
            gated: summary.gated,
            private: summary.private,
            last_modified: summary.last_modified,
            pipeline_tag: summary.pipeline_tag,
            library: summary.library,
            tags: summary.tags,
            files,
        })
    }

    /// Lists all files of a commit. The listing of the client library omits the digests of large files.
    async fn tree(&self, repo: &RepoId, commit: &str) -> Result<Vec<RepoFile>, HubError> {
        #[derive(serde::Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            path: String,
            oid: String,
            #[serde(default)]
            size: u64,
            lfs: Option<Lfs>,
        }
        #[derive(serde::Deserialize)]
        struct Lfs {
            oid: String,
            size: u64,
        }

        let mut segments = vec!["api", "models"];
        segments.extend(repo.as_str().split('/'));
        segments.extend(["tree", commit]);
        let mut page = self.http.url(segments);
        page.set_query(Some("recursive=true"));
        let mut files = Vec::new();
        let mut pages = 0;
        loop {
            pages += 1;
            let response = self
                .http
                .send(Method::GET, page.clone(), None, Redirects::Follow)
                .await?
                .response;
            let unexpected = |reason: String| HubError::UnexpectedResponse {
                url: page.to_string(),
                reason,
            };
            if !response.status().is_success() {
                let target = RequestTarget {
                    repo: repo.as_str(),
                    revision: Some(commit),
                    file: None,
                };
                return Err(self.http.error_from_response(response, target).await);
            }
            let next = next_page(response.headers());
            let body = response
                .bytes()
                .await
                .map_err(|error| crate::http::network_error(&page, &error))?;
            let entries: Vec<Entry> =
                serde_json::from_slice(&body).map_err(|error| unexpected(error.to_string()))?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                if !is_safe_relative_path(&entry.path) {
                    return Err(unexpected(format!("invalid file name `{}`", entry.path)));
                }
                let (oid, size_bytes) = entry
                    .lfs
                    .map_or((entry.oid, entry.size), |lfs| (lfs.oid, lfs.size));
                let digest = Digest::from_etag(&oid).ok_or_else(|| {
                    unexpected(format!("invalid digest `{oid}` of `{}`", entry.path))
                })?;
                files.push(RepoFile {
                    path: entry.path,
                    size_bytes,
                    digest,
                });
            }
            match next {
                Some(_) if pages == MAX_PAGES => {
                    return Err(unexpected(format!(
                        "the list of files has more than {MAX_PAGES} pages"
                    )));
                }
                Some(next) => {
                    page = page.join(&next).map_err(|error| {
                        unexpected(format!("invalid link to the next page: {error}"))
                    })?;
                }
                None => return Ok(files),
            }
        }
    }

    /// Sends a metadata request, and retries transient failures.
    pub async fn with_retries<T, F>(&self, request: impl FnMut() -> F) -> Result<T, HubError>
    where
        F: Future<Output = Result<T, HubError>>,
    {
        let policy = &self.config.retry;
        request
            .retry(policy.backoff(policy.max_attempts.min(METADATA_ATTEMPTS)))
            .when(is_transient)
            .adjust(|error, delay| policy.delay(delay, error.retry_after()))
            .await
    }

    fn map_error(&self, error: HFError, repo: &str, revision: Option<&str>) -> HubError {
        let endpoint = || self.client.endpoint().to_owned();
        let mut retry_after_header = None;
        let context = match error {
            HFError::RateLimited {
                retry_after,
                context,
            } => {
                retry_after_header = retry_after;
                context
            }
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RepoNotFound {
                context: Some(context),
                ..
            }
            | HFError::RevisionNotFound {
                context: Some(context),
                ..
            }
            | HFError::EntryNotFound {
                context: Some(context),
                ..
            } => context,
            HFError::Request { source, url } if source.is_decode() => {
                return HubError::UnexpectedResponse {
                    url: url.unwrap_or_else(endpoint),
                    reason: error_chain(&source),
                };
            }
            HFError::Request { source, url } => {
                return HubError::Network {
                    url: url.unwrap_or_else(endpoint),
                    reason: error_chain(&source),
                };
            }
            other => {
                return HubError::UnexpectedResponse {
                    url: endpoint(),
                    reason: other.to_string(),
                };
            }
        };
        let response = ErrorResponse {
            status: context.status.as_u16(),
            url: context.url,
            error_code: context.error_code,
            message: context.server_message,
            retry_after: retry_after_header,
        };
        self.http.map_error(
            response,
            RequestTarget {
                repo,
                revision,
                file: None,
            },
        )
    }
}

fn summary(info: ModelInfo) -> ModelSummary {
    ModelSummary {
        repo: info.id,
        downloads: info.downloads,
        likes: info.likes,
        last_modified: info.last_modified,
        pipeline_tag: info.pipeline_tag,
        library: info.library_name,
        tags: info.tags.unwrap_or_default(),
        // `false`, or the approval mode (`auto` or `manual`).
        gated: info
            .gated
            .is_some_and(|gated| gated.as_str().is_some() || gated.as_bool() == Some(true)),
        private: info.private.unwrap_or_default(),
    }
}

/// The URL in a `Link: <url>; rel="next"` header.
fn next_page(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let links = headers.get(reqwest::header::LINK)?.to_str().ok()?;
    let link = links
        .split(',')
        .find(|link| link.contains("rel=\"next\""))?;
    Some(link.split_once('<')?.1.split_once('>')?.0.to_owned())
}
