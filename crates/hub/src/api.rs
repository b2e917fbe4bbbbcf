//! Repository metadata. Types of the client library do not leave this module and `search`.

use backon::Retryable;
use hf_hub::{HFClient, HFError};
use reqwest::{Method, Url, redirect};
use serde::de::DeserializeOwned;

use crate::config::HubConfig;
use crate::error::HubError;
use crate::http::{
    ErrorResponse, Http, Redirects, RequestTarget, USER_AGENT, client, error_chain, is_transient,
    network_error,
};
use crate::info::{Digest, RepoFile, RepoInfo};
use crate::layout::is_safe_relative_path;
use crate::repo_id::RepoId;
use crate::search::summary;

/// Maximum attempts for a metadata request. Low, because these requests are interactive.
const METADATA_ATTEMPTS: u32 = 3;
const DEFAULT_REVISION: &str = "main";
/// Maximum pages of a file listing, which have up to 1000 files each. A page could link to itself.
const MAX_PAGES: usize = 1000;

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

        let target = RequestTarget {
            repo: repo.as_str(),
            revision: Some(commit),
            file: None,
        };
        let mut segments = vec!["api", "models"];
        segments.extend(repo.as_str().split('/'));
        segments.extend(["tree", commit]);
        let mut url = self.http.url(segments);
        url.set_query(Some("recursive=true"));
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let unexpected = |reason: String| HubError::UnexpectedResponse {
                url: url.to_string(),
                reason,
            };
            let (entries, next) = self.page::<Entry>(&url, target).await?;
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
                Some(next) => url = next,
                None => return Ok(files),
            }
        }
        Err(HubError::UnexpectedResponse {
            url: url.to_string(),
            reason: format!("the list of files has more than {MAX_PAGES} pages"),
        })
    }

    /// Requests one page of a list. Returns its entries and the URL of the next page.
    pub async fn page<T: DeserializeOwned>(
        &self,
        url: &Url,
        target: RequestTarget<'_>,
    ) -> Result<(Vec<T>, Option<Url>), HubError> {
        let unexpected = |reason: String| HubError::UnexpectedResponse {
            url: url.to_string(),
            reason,
        };
        let response = self
            .http
            .send(Method::GET, url.clone(), None, Redirects::Follow)
            .await?
            .response;
        if !response.status().is_success() {
            return Err(self.http.error_from_response(response, target).await);
        }
        let next = next_page(response.headers());
        let body = response
            .bytes()
            .await
            .map_err(|error| network_error(url, &error))?;
        let entries =
            serde_json::from_slice(&body).map_err(|error| unexpected(error.to_string()))?;
        let next = next
            .map(|next| url.join(&next))
            .transpose()
            .map_err(|error| unexpected(format!("invalid link to the next page: {error}")))?;
        Ok((entries, next))
    }

    /// The content of a text file, cut after `max_bytes`.
    pub async fn read_text(
        &self,
        repo: &RepoId,
        revision: &str,
        path: &str,
        max_bytes: usize,
    ) -> Result<String, HubError> {
        let target = RequestTarget {
            repo: repo.as_str(),
            revision: Some(revision),
            file: Some(path),
        };
        let url = self.http.file_url(repo, revision, path);
        let mut response = self
            .http
            .send(Method::GET, url.clone(), None, Redirects::Follow)
            .await?
            .response;
        if !response.status().is_success() {
            return Err(self.http.error_from_response(response, target).await);
        }
        let mut content = Vec::new();
        while content.len() < max_bytes
            && let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| network_error(&url, &error))?
        {
            content.extend_from_slice(&chunk);
        }
        content.truncate(max_bytes);
        Ok(String::from_utf8_lossy(&content).into_owned())
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

/// The URL in a `Link: <url>; rel="next"` header.
fn next_page(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let links = headers.get(reqwest::header::LINK)?.to_str().ok()?;
    let link = links
        .split(',')
        .find(|link| link.contains("rel=\"next\""))?;
    Some(link.split_once('<')?.1.split_once('>')?.0.to_owned())
}
