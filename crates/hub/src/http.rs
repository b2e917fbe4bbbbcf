//! HTTP requests to the hub: proxies, redirects, authorization and error mapping.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, ETAG, HeaderMap, IF_RANGE, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, NoProxy, Proxy, Response, Url, redirect};

use crate::config::{HubConfig, Proxies, Token};
use crate::error::HubError;
use crate::info::parse_retry_after;
use crate::repo_id::RepoId;

const MAX_REDIRECTS: usize = 10;
pub(crate) const USER_AGENT: &str = concat!("mlxm/", env!("CARGO_PKG_VERSION"));

/// A client with the configured proxies and timeouts.
pub(crate) fn client(config: &HubConfig, redirects: redirect::Policy) -> Result<Client, HubError> {
    let invalid = |what: &str, error: &dyn Error| {
        HubError::InvalidConfig(format!("{what}: {}", error_chain(error)))
    };
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirects)
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        // With HTTP/2, parallel downloads would share one connection.
        .http1_only();
    match &config.proxies {
        Proxies::System => {}
        Proxies::None => builder = builder.no_proxy(),
        Proxies::Explicit {
            http,
            https,
            all,
            no_proxy,
        } => {
            builder = builder.no_proxy();
            let exceptions = no_proxy.as_deref().and_then(NoProxy::from_string);
            let proxies = [
                http.as_ref().map(Proxy::http),
                https.as_ref().map(Proxy::https),
                all.as_ref().map(Proxy::all),
            ];
            for proxy in proxies.into_iter().flatten() {
                let proxy = proxy.map_err(|error| invalid("invalid proxy URL", &error))?;
                builder = builder.proxy(proxy.no_proxy(exceptions.clone()));
            }
        }
    }
    builder
        .build()
        .map_err(|error| invalid("cannot set up the HTTP client", &error))
}

/// The resource of a request, used in error messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTarget<'a> {
    pub repo: &'a str,
    pub revision: Option<&'a str>,
    pub file: Option<&'a str>,
}

/// An unsuccessful response of the hub.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub status: u16,
    pub url: String,
    pub error_code: Option<String>,
    pub message: Option<String>,
    pub retry_after: Option<Duration>,
}

/// A response and the headers that the hub sent along the redirect chain.
#[derive(Debug)]
pub(crate) struct HubResponse {
    pub response: Response,
    /// Headers of the hub's responses, including redirects. A storage host sends no commit, and its etags differ from
    /// those of the hub.
    pub hub_headers: HeaderMap,
    /// Whether `response` came from the hub rather than from a storage host.
    pub from_hub: bool,
}

/// Whether redirects to other hosts are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Follow all redirects. The token is not sent to other hosts.
    Follow,
    /// Return redirects to other hosts as the response.
    FollowWithinHub,
}

/// The requested part of a file, from `start` to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteRange<'a> {
    pub start: u64,
    /// Etag for `If-Range`.
    pub etag: &'a str,
}

/// HTTP client for one hub.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    endpoint: Url,
    token: Option<Token>,
}

impl Http {
    pub fn new(config: &HubConfig, endpoint: &str) -> Result<Self, HubError> {
        Ok(Self {
            client: client(config, redirect::Policy::none())?,
            endpoint: parse_endpoint(endpoint)?,
            token: config.token.clone(),
        })
    }

    /// The URL of `segments` below the endpoint. Each segment is percent-encoded.
    pub fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Download URL of a file at a commit.
    pub fn file_url(&self, repo: &RepoId, commit: &str, path: &str) -> Url {
        self.url(
            repo.as_str()
                .split('/')
                .chain(["resolve", commit])
                .chain(path.split('/')),
        )
    }

    /// Sends a request and follows redirects. The token is sent only to the hub itself.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        range: Option<ByteRange<'_>>,
        redirects: Redirects,
    ) -> Result<HubResponse, HubError> {
        let start = url.to_string();
        let mut url = url;
        let mut hub_headers = HeaderMap::new();
        for _ in 0..=MAX_REDIRECTS {
            let at_hub = self.is_hub(&url);
            // Content length and range must refer to the uncompressed file.
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| at_hub) {
                request = request.bearer_auth(token.secret());
            }
            if let Some(range) = range {
                request = request.header(RANGE, format!("bytes={}-", range.start));
                // The etags of storage hosts differ from those of the hub.
                if at_hub {
                    request = request.header(IF_RANGE, format!("\"{}\"", range.etag));
                }
            }
            let response = request
                .send()
                .await
                .map_err(|error| network_error(&url, &error))?;
            if at_hub {
                for (name, value) in response.headers() {
                    hub_headers.insert(name.clone(), value.clone());
                }
            }
            let location = response
                .headers()
                .get(LOCATION)
                .filter(|_| response.status().is_redirection());
            let Some(location) = location else {
                return Ok(HubResponse {
                    response,
                    hub_headers,
                    from_hub: at_hub,
                });
            };
            let next = location
                .to_str()
                .ok()
                .and_then(|location| url.join(location).ok())
                .ok_or_else(|| HubError::UnexpectedResponse {
                    url: url.to_string(),
                    reason: "redirect to an invalid URL".to_owned(),
                })?;
            if redirects == Redirects::FollowWithinHub && !self.is_hub(&next) {
                return Ok(HubResponse {
                    response,
                    hub_headers,
                    from_hub: at_hub,
                });
            }
            url = next;
        }
        Err(HubError::UnexpectedResponse {
            url: start,
            reason: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }

    fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// Converts an unsuccessful response to an error.
    pub async fn error_from_response(
        &self,
        response: Response,
        target: RequestTarget<'_>,
    ) -> HubError {
        let header = |name: &str| header_text(response.headers(), name);
        let mut error = ErrorResponse {
            status: response.status().as_u16(),
            url: response.url().to_string(),
            error_code: header("x-error-code"),
            message: header("x-error-message"),
            retry_after: response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|v| parse_retry_after(v.to_str().ok()?)),
        };
        if error.message.is_none() {
            let body = response.text().await.unwrap_or_default();
            error.message = serde_json::from_str::<serde_json::Value>(&body)
                .ok()
                .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
        }
        self.map_error(error, target)
    }

    /// Maps an error response to a [`HubError`].
    pub fn map_error(&self, response: ErrorResponse, target: RequestTarget<'_>) -> HubError {
        let repo = target.repo.to_owned();
        let token = self.token.clone();
        let code = response.error_code.as_deref().unwrap_or_default();
        match (response.status, code) {
            (401 | 403, "GatedRepo") => HubError::Gated {
                page: self.url(repo.split('/')).to_string(),
                repo,
                token,
            },
            (_, "RepoNotFound") => HubError::RepoNotFound { repo, token },
            (404, "RevisionNotFound") => self.revision_not_found(target),
            (404, "EntryNotFound") => file_not_found(target),
            (404, _) => match (target.file, target.revision) {
                (Some(_), _) => file_not_found(target),
                (None, Some(_)) => self.revision_not_found(target),
                (None, None) => HubError::RepoNotFound { repo, token },
            },
            // Without a token the hub returns 401 for both missing and private repositories.
            (401, _) if token.is_none() => HubError::RepoNotFound { repo, token },
            (status @ (401 | 403), _) => HubError::Unauthorized {
                repo,
                status,
                token,
            },
            (status, _) => HubError::Server {
                status,
                url: response.url,
                message: response.message,
                retry_after: response.retry_after,
            },
        }
    }

    fn revision_not_found(&self, target: RequestTarget<'_>) -> HubError {
        match target.revision {
            Some(revision) => HubError::RevisionNotFound {
                repo: target.repo.to_owned(),
                revision: revision.to_owned(),
            },
            None => HubError::RepoNotFound {
                repo: target.repo.to_owned(),
                token: self.token.clone(),
            },
        }
    }
}

fn file_not_found(target: RequestTarget<'_>) -> HubError {
    HubError::FileNotFound {
        repo: target.repo.to_owned(),
        file: target.file.unwrap_or_default().to_owned(),
        revision: target.revision.unwrap_or("main").to_owned(),
    }
}

/// Parses the endpoint URL.
pub(crate) fn parse_endpoint(endpoint: &str) -> Result<Url, HubError> {
    let invalid =
        |reason: String| HubError::InvalidConfig(format!("invalid hub URL `{endpoint}`: {reason}"));
    let url = Url::parse(endpoint.trim()).map_err(|error| invalid(error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") && url.host().is_some() {
        Ok(url)
    } else {
        Err(invalid("it must start with http:// or https://".to_owned()))
    }
}

/// The etag of a file according to the hub: for large files, the etag of the linked object.
pub(crate) fn hub_etag(headers: &HeaderMap) -> Option<String> {
    header_text(headers, "x-linked-etag").or_else(|| header_text(headers, ETAG.as_str()))
}

pub(crate) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(crate) fn network_error(url: &Url, error: &reqwest::Error) -> HubError {
    HubError::Network {
        url: without_query(url),
        reason: error_chain(error),
    }
}

/// Removes the query, which contains credentials in signed URLs.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// Formats an error with its sources. `Display` of reqwest errors omits them.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if messages.last().is_none_or(|last| !last.contains(&text)) {
            messages.push(text);
        }
        cause = error.source();
    }
    messages.join(": ")
}

/// Whether a retry may succeed.
pub(crate) fn is_transient(error: &HubError) -> bool {
    matches!(
        error,
        HubError::Network { .. }
            | HubError::Server {
                status: 408 | 429 | 500..=599,
                ..
            }
    )
}
