//! Where the hub is, where files go, and how patient to be: everything this crate would
//! otherwise have to ask the environment for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;

use crate::disk::{Disk, SystemDisk};
use crate::error::HubError;

/// Everything a [`Hub`](crate::Hub) needs to know.
///
/// Nothing in this crate reads the process environment except [`HubConfig::from_env`].
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Base address of the hub. `None` is the default of the client library: the public hub,
    /// unless the process has `HF_ENDPOINT` set.
    pub endpoint: Option<String>,
    /// The cache shared with `huggingface_hub` (the folder that holds `models--org--name`).
    pub cache_dir: PathBuf,
    /// Folder of models made on this machine: `name` or `org/name` with a `config.json`.
    pub models_dir: PathBuf,
    /// Access token, and where it came from.
    pub token: Option<Token>,
    /// Refuse every request; only what is on disk is used.
    pub offline: bool,
    /// Proxies for every request.
    pub proxies: Proxies,
    /// Timeout for establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout for receiving the next bytes of a response.
    pub read_timeout: Duration,
    /// When failed requests are retried.
    pub retry: RetryPolicy,
    /// The file system's answers about space; tests simulate a full disk here.
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
            disk: Arc::new(SystemDisk),
        }
    }

    /// Reads the process environment; see [`HubConfig::from_vars`] for the variables.
    ///
    /// # Errors
    /// As [`HubConfig::from_vars`].
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// Builds the configuration from variables that `lookup` answers, with the meaning
    /// `huggingface_hub` gives them:
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | the cache folder; else `$HF_HOME/hub` |
    /// | `HF_HOME` | default `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface` |
    /// | `HF_ENDPOINT` | base address of the hub |
    /// | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | the token; else the file `HF_TOKEN_PATH` or `$HF_HOME/token` |
    /// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | send no token that was not given explicitly |
    /// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`, `on`, `yes`, `true` in any case: no network |
    /// | `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxies, also in lower case |
    /// | `MLXM_HOME` | local models are in `$MLXM_HOME/models`; default `~/.mlxm` |
    ///
    /// # Errors
    /// [`HubError::InvalidConfig`] when a folder cannot be told because `HOME` is not set.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let var = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let home = var("HOME").map(PathBuf::from);
        let below_home = |relative: &str, variable: &str| {
            home.as_ref().map(|home| home.join(relative)).ok_or_else(|| {
                HubError::InvalidConfig(format!(
                    "neither HOME nor {variable} is set, so there is no place for models; set {variable}"
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
    /// Maximum number of consecutive attempts without progress. An attempt that received new bytes resets the count, so an
    /// unreliable connection still completes a download.
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

/// Which proxies requests go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxies {
    /// None.
    None,
    /// What the operating system is set to.
    System,
    /// These addresses, except for the hosts in `no_proxy` (comma-separated, `NO_PROXY` rules).
    Explicit {
        /// For `http` addresses.
        http: Option<String>,
        /// For `https` addresses.
        https: Option<String>,
        /// For whatever the other two leave.
        all: Option<String>,
        /// Hosts that are reached directly.
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

/// An access token. Its text never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    source: TokenSource,
}

impl Token {
    /// A token given by the program itself; `None` when `secret` is blank.
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

    /// Where the token came from.
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

/// Where a token came from; part of the advice when the hub refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// Given by the program.
    Explicit,
    /// This environment variable.
    Variable(&'static str),
    /// This file.
    File(PathBuf),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit => formatter.write_str("the token given by the program"),
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
