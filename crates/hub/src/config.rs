//! Configuration: endpoint, directories, token, proxies, timeouts and retries.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;

use crate::bandwidth::Bandwidth;
use crate::disk::{Disk, SystemDisk};
use crate::error::HubError;

/// Configuration of a [`Hub`](crate::Hub).
///
/// Only [`HubConfig::from_env`] reads environment variables.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Base URL of the hub. `None` uses the default of the client library: `HF_ENDPOINT` if set, otherwise the public
    /// hub.
    pub endpoint: Option<String>,
    /// The cache shared with `huggingface_hub` (the directory that contains `models--org--name`).
    pub cache_dir: PathBuf,
    /// Directory of local models: `name` or `org/name` with a `config.json`.
    pub models_dir: PathBuf,
    /// Access token and its source.
    pub token: Option<Token>,
    /// Reject every network request and use only local files.
    pub offline: bool,
    /// Proxies for every request.
    pub proxies: Proxies,
    /// Timeout for establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout for receiving the next bytes of a response.
    pub read_timeout: Duration,
    /// When failed requests are retried.
    pub retry: RetryPolicy,
    /// The limit of all downloads together; none by default.
    pub bandwidth: Bandwidth,
    /// Disk space queries. Tests simulate a full disk here.
    pub disk: Arc<dyn Disk>,
}

impl HubConfig {
    /// A configuration with no token, no proxies and the default hub.
    #[must_use]
    pub fn new(cache_dir: impl Into<PathBuf>, models_dir: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: None,
            cache_dir: cache_dir.into(),
            models_dir: models_dir.into(),
            token: None,
            offline: false,
            proxies: Proxies::None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            bandwidth: Bandwidth::default(),
            disk: Arc::new(SystemDisk),
        }
    }

    /// Reads the process environment; see [`HubConfig::from_vars`] for the variables.
    ///
    /// # Errors
    /// See [`HubConfig::from_vars`].
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// Builds the configuration from the variables returned by `lookup`, as `huggingface_hub` interprets them:
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | the cache directory; default `$HF_HOME/hub` |
    /// | `HF_HOME` | default `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface` |
    /// | `HF_ENDPOINT` | base URL of the hub |
    /// | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | the token; default: the file `HF_TOKEN_PATH` or `$HF_HOME/token` |
    /// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | do not send a token from these variables or files |
    /// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`, `on`, `yes`, `true` (case-insensitive): no network access |
    /// | `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxies; lower-case names are also accepted |
    /// | `MLXM_HOME` | local models are in `$MLXM_HOME/models`; default `~/.mlxm` |
    ///
    /// # Errors
    /// [`HubError::InvalidConfig`] if a directory cannot be determined because `HOME` is not set.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let var = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let home = var("HOME").map(PathBuf::from);
        let below_home = |relative: &str, variable: &str| {
            home.as_ref().map(|home| home.join(relative)).ok_or_else(|| {
                HubError::InvalidConfig(format!(
                    "cannot determine the model directory: neither HOME nor {variable} is set; set {variable}"
                ))
            })
        };
        let path_var = |name: &str| var(name).map(|value| expand_home(&value, home.as_deref()));

        let hf_home = match (path_var("HF_HOME"), path_var("XDG_CACHE_HOME")) {
            (Some(path), _) => Ok(path),
            (None, Some(xdg)) => Ok(xdg.join("huggingface")),
            (None, None) => below_home(".cache/huggingface", "HF_HOME"),
        };
        let cache_dir = match path_var("HF_HUB_CACHE").or_else(|| path_var("HUGGINGFACE_HUB_CACHE"))
        {
            Some(path) => path,
            None => hf_home.as_ref().map_err(Clone::clone)?.join("hub"),
        };
        let models_dir = match path_var("MLXM_HOME") {
            Some(path) => path.join("models"),
            None => below_home(".mlxm/models", "MLXM_HOME")?,
        };

        let mut config = Self::new(cache_dir, models_dir);
        config.endpoint = var("HF_ENDPOINT");
        config.offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .iter()
            .find_map(|name| var(name))
            .is_some_and(|value| is_true(&value));
        if !var("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value)) {
            let token_file =
                path_var("HF_TOKEN_PATH").or_else(|| hf_home.ok().map(|home| home.join("token")));
            config.token = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
                .into_iter()
                .find_map(|name| Token::parse(&var(name)?, TokenSource::Variable(name)))
                .or_else(|| {
                    let path = token_file?;
                    let text = std::fs::read_to_string(&path).ok()?;
                    Token::parse(&text, TokenSource::File(path))
                });
        }
        config.proxies = Proxies::from_vars(var);
        Ok(config)
    }
}

/// When failed requests are retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of consecutive attempts without progress. An attempt that received new bytes resets the count, so
    /// an unreliable connection still completes a download.
    pub max_attempts: u32,
    /// Delay after the first failed attempt. It doubles with each further failure.
    pub initial_backoff: Duration,
    /// Maximum delay between attempts. A longer `Retry-After` is not waited for: the request fails instead.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// The delays between at most `max_attempts` attempts.
    pub(crate) fn backoff(&self, max_attempts: u32) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.initial_backoff.min(self.max_backoff))
            .with_max_delay(self.max_backoff)
            .with_max_times(max_attempts.saturating_sub(1) as usize)
    }

    /// Extends a delay to the server's `Retry-After`. `None` means to give up, because no attempts are left or because
    /// `retry_after` exceeds [`RetryPolicy::max_backoff`].
    pub(crate) fn delay(
        &self,
        backoff: Option<Duration>,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let delay = backoff?.max(retry_after.unwrap_or_default());
        (delay <= self.max_backoff).then_some(delay)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_mins(1),
        }
    }
}

/// Proxy configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxies {
    /// None.
    None,
    /// The proxies configured in the operating system.
    System,
    /// These proxy URLs, except for the hosts in `no_proxy` (comma-separated, `NO_PROXY` rules).
    Explicit {
        /// Proxy for `http` URLs.
        http: Option<String>,
        /// Proxy for `https` URLs.
        https: Option<String>,
        /// Proxy for all other URLs.
        all: Option<String>,
        /// Hosts that bypass the proxy.
        no_proxy: Option<String>,
    },
}

impl Proxies {
    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| var(&name.to_lowercase()).or_else(|| var(name));
        let (http, https, all) = (
            either("HTTP_PROXY"),
            either("HTTPS_PROXY"),
            either("ALL_PROXY"),
        );
        if http.is_none() && https.is_none() && all.is_none() {
            return Self::System;
        }
        Self::Explicit {
            http,
            https,
            all,
            no_proxy: either("NO_PROXY"),
        }
    }
}

/// An access token. `Debug` output does not contain the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    source: TokenSource,
}

impl Token {
    /// A token passed by the program; `None` if `secret` is blank.
    pub fn new(secret: &str) -> Option<Self> {
        Self::parse(secret, TokenSource::Explicit)
    }

    fn parse(text: &str, source: TokenSource) -> Option<Self> {
        let secret = text.trim();
        (!secret.is_empty()).then(|| Self {
            secret: secret.to_owned(),
            source,
        })
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The source of the token.
    pub fn source(&self) -> &TokenSource {
        &self.source
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The source of a token, shown in error messages when the hub rejects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// Passed by the program.
    Explicit,
    /// An environment variable.
    Variable(&'static str),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit => formatter.write_str("the token passed by the program"),
            Self::Variable(name) => write!(formatter, "the token in {name}"),
            Self::File(path) => write!(formatter, "the token in {}", path.display()),
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(
        value.trim().to_uppercase().as_str(),
        "1" | "ON" | "YES" | "TRUE"
    )
}

fn expand_home(value: &str, home: Option<&Path>) -> PathBuf {
    match (value.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(value),
    }
}
