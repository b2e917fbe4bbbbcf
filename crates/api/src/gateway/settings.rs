//! The gateway's settings: flag > environment > database > default.
//!
//! A value of the command line or the environment cannot be changed while the gateway runs; one of the database can, and
//! [`SettingsHandle::subscribe`] reports it.

mod logs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mlxm_store::settings::{self, ResolveError, Resolved, Setting, SettingValue, Settings, Source};
use mlxm_store::{Store, StoreError};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

pub(in crate::gateway) use logs::NO_LOG_FILE;
pub use logs::{LOG_FILE, LOG_LEVEL, LOG_RETENTION_DAYS};
pub use mlxm_store::settings::AUDIT_RETENTION_DAYS;

/// The IP address of the gateway.
pub const HOST: Setting<String> = Setting {
    key: "server.host",
    environment: "MLXM_SERVER_HOST",
    description: "IP address of the gateway",
    needs_restart: true,
    expects: "an IP address",
    default: || "127.0.0.1".to_owned(),
    accepts: |text| text.parse::<std::net::IpAddr>().is_ok(),
};

/// The port of the gateway; 0 selects a free one.
pub const PORT: Setting<u64> = Setting {
    key: "server.port",
    environment: "MLXM_SERVER_PORT",
    description: "Port of the gateway",
    needs_restart: true,
    expects: "a port from 0 to 65535",
    default: || 8080,
    accepts: |port| *port <= 65535,
};

/// Origins whose web pages may send requests.
pub const CORS_ORIGINS: Setting<Vec<String>> = Setting {
    key: "server.cors_origins",
    environment: "MLXM_CORS_ORIGINS",
    description: "Origins whose web pages may send inference requests",
    needs_restart: true,
    expects: "a list of origins, such as http://localhost:3000",
    default: Vec::new,
    accepts: |origins| {
        let mut origins = origins.iter();
        origins.all(|origin| origin.parse::<crate::cors::CorsOrigin>().is_ok())
    },
};

/// Further host names that requests may be sent to.
pub const ALLOWED_HOSTS: Setting<Vec<String>> = Setting {
    key: "server.allowed_hosts",
    environment: "MLXM_ALLOWED_HOSTS",
    description: "Further host names that requests may be sent to",
    needs_restart: true,
    expects: "a list of host names",
    default: Vec::new,
    accepts: |_| true,
};

/// Seconds that running requests have when the gateway exits.
pub const SHUTDOWN_TIMEOUT_SECONDS: Setting<u64> = Setting {
    key: "server.shutdown_timeout_seconds",
    environment: "MLXM_SHUTDOWN_TIMEOUT_SECONDS",
    description: "Seconds that running requests have when the gateway exits",
    needs_restart: false,
    expects: "a number of seconds from 0 to 86400",
    default: || 30,
    accepts: |seconds| *seconds <= 86400,
};

/// Memory for all models together, in bytes; 0 is 80% of the machine's or the control group's. A larger value is not used.
pub const MEMORY_BUDGET_BYTES: Setting<u64> = Setting {
    key: "pool.memory_budget_bytes",
    environment: "MLXM_MEMORY_BUDGET_BYTES",
    description: "Memory for all models together, in bytes; 0 is 80% of the memory of the machine or control group",
    needs_restart: false,
    expects: "a number of bytes, or 0 for 80% of the memory",
    default: || 0,
    accepts: |_| true,
};

/// Seconds without requests after which a model is stopped; 0 stops it when it is idle, -1 keeps it until its memory is needed.
pub const TTL_SECONDS: Setting<i64> = Setting {
    key: "pool.ttl_seconds",
    environment: "MLXM_TTL_SECONDS",
    description: "Seconds without requests after which a model is stopped",
    needs_restart: false,
    expects: "a number of seconds, 0 to stop a model when it is idle, or -1 to keep it",
    default: || 1800,
    accepts: |seconds| *seconds >= -1,
};

/// Seconds that a request waits for memory or a busy model.
pub const QUEUE_TIMEOUT_SECONDS: Setting<u64> = Setting {
    key: "pool.queue_timeout_seconds",
    environment: "MLXM_QUEUE_TIMEOUT_SECONDS",
    description: "Seconds that a request waits for memory or for a busy model",
    needs_restart: false,
    expects: "a number of seconds from 1 to 86400",
    default: || 300,
    accepts: |seconds| (1..=86400).contains(seconds),
};

/// Requests that wait; further ones are rejected.
pub const MAX_WAITING: Setting<u64> = Setting {
    key: "pool.max_waiting_requests",
    environment: "MLXM_MAX_WAITING_REQUESTS",
    description: "Requests that wait; further ones are rejected",
    needs_restart: true,
    expects: "a number of requests from 1 to 100000",
    default: || 1024,
    accepts: |requests| (1..=100_000).contains(requests),
};

/// Profiles and models that are loaded when the gateway starts, in this order.
pub const PRELOAD: Setting<Vec<String>> = Setting {
    key: "pool.preload",
    environment: "MLXM_PRELOAD",
    description: "Profiles and models that are loaded when the gateway starts, in this order",
    needs_restart: true,
    expects: "a list of names of profiles and models",
    default: Vec::new,
    accepts: |_| true,
};

/// Directories with models, in addition to the hub's cache and `$MLXM_HOME/models`.
pub const MODEL_FOLDERS: Setting<Vec<String>> = Setting {
    key: "models.folders",
    environment: "MLXM_MODEL_FOLDERS",
    description: "Directories with models, in addition to the hub's cache and the directory of local models",
    needs_restart: false,
    expects: "a list of absolute paths of directories",
    default: Vec::new,
    accepts: |folders| {
        let mut folders = folders.iter();
        folders.all(|folder| std::path::Path::new(folder).is_absolute())
    },
};

/// The directory that models are downloaded to. Empty is that of `huggingface_hub`.
pub const CACHE_DIRECTORY: Setting<String> = Setting {
    key: "models.cache_directory",
    environment: "MLXM_CACHE_DIRECTORY",
    description: "The directory that models are downloaded to; empty is the cache shared with huggingface_hub",
    needs_restart: true,
    expects: "an absolute path of a directory, or empty",
    default: String::new,
    accepts: |path| path.is_empty() || std::path::Path::new(path).is_absolute(),
};

/// Seconds between two health checks of a running model.
pub const HEALTH_INTERVAL_SECONDS: Setting<u64> = Setting {
    key: "servers.health_interval_seconds",
    environment: "MLXM_HEALTH_INTERVAL_SECONDS",
    description: "Seconds between two health checks of a running model",
    needs_restart: true,
    expects: "a number of seconds from 1 to 300",
    default: || 5,
    accepts: |seconds| (1..=300).contains(seconds),
};

/// The first port that is proposed for a profile.
pub const FIRST_PROFILE_PORT: Setting<u64> = Setting {
    key: "profiles.first_port",
    environment: "MLXM_FIRST_PROFILE_PORT",
    description: "The first port that is proposed for a profile",
    needs_restart: false,
    expects: "a port from 1024 to 65535",
    default: || 10240,
    accepts: |port| (1024..=65535).contains(port),
};

/// Bytes per second of all downloads together; 0 is no limit.
pub const DOWNLOAD_BYTES_PER_SECOND: Setting<u64> = Setting {
    key: "downloads.bytes_per_second",
    environment: "MLXM_DOWNLOAD_BYTES_PER_SECOND",
    description: "Bytes per second of all downloads together; 0 is no limit",
    needs_restart: false,
    expects: "a number of bytes per second, or 0 for no limit",
    default: || 0,
    accepts: |_| true,
};

/// All settings, in the order in which they are shown.
pub const ALL: &[&dyn AnySetting] = &[
    &HOST,
    &PORT,
    &CORS_ORIGINS,
    &ALLOWED_HOSTS,
    &SHUTDOWN_TIMEOUT_SECONDS,
    &MEMORY_BUDGET_BYTES,
    &TTL_SECONDS,
    &QUEUE_TIMEOUT_SECONDS,
    &MAX_WAITING,
    &PRELOAD,
    &MODEL_FOLDERS,
    &CACHE_DIRECTORY,
    &HEALTH_INTERVAL_SECONDS,
    &DOWNLOAD_BYTES_PER_SECOND,
    &FIRST_PROFILE_PORT,
    &AUDIT_RETENTION_DAYS,
    &LOG_LEVEL,
    &LOG_FILE,
    &LOG_RETENTION_DAYS,
];

/// A setting of any type.
pub trait AnySetting: Sync {
    /// Its name in the database and in `mlxm config`.
    fn key(&self) -> &'static str;

    /// Its environment variable.
    fn environment(&self) -> &'static str;

    /// What it does.
    fn description(&self) -> &'static str;

    /// Whether a change takes effect only when the gateway is started again.
    fn needs_restart(&self) -> bool;

    /// What a value must be.
    fn expects(&self) -> &'static str;

    /// The value without flag, variable and row.
    fn default_value(&self) -> Value;

    /// Its value and where that comes from.
    ///
    /// # Errors
    /// If the value of the highest source is not acceptable.
    fn resolve(&self, settings: &Settings) -> Result<Resolved<Value>, ResolveError>;
}

impl<T: SettingValue + Serialize> AnySetting for Setting<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn environment(&self) -> &'static str {
        self.environment
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn needs_restart(&self) -> bool {
        self.needs_restart
    }

    fn expects(&self) -> &'static str {
        self.expects
    }

    fn default_value(&self) -> Value {
        serde_json::json!((self.default)())
    }

    fn resolve(&self, settings: &Settings) -> Result<Resolved<Value>, ResolveError> {
        let resolved = settings.get(self)?;
        Ok(Resolved {
            value: serde_json::json!(resolved.value),
            source: resolved.source,
        })
    }
}

/// Why a setting cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no such setting.
    #[error("there is no setting `{key}`{}: run `mlxm config list`", suggestion(.nearest))]
    Unknown {
        /// The requested key.
        key: String,
        /// Similar keys, most similar first.
        nearest: Vec<String>,
    },
    /// The value is not acceptable.
    #[error("{key} must be {expects}, not `{value}`")]
    Invalid {
        /// The setting.
        key: &'static str,
        /// What it must be.
        expects: &'static str,
        /// The value.
        value: Value,
    },
    /// A flag or a variable decides.
    #[error(
        "{key} is set by {}, which a stored value does not replace: {} and restart the gateway",
        place(.origin.to_owned(), .environment),
        remedy(.origin.to_owned(), .environment)
    )]
    Locked {
        /// The setting.
        key: &'static str,
        /// Its environment variable.
        environment: &'static str,
        /// Where its value comes from.
        origin: Source,
    },
    /// A stored value that is not acceptable.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", mlxm_hub::names::list(nearest))
}

fn place(origin: Source, environment: &str) -> String {
    match origin {
        Source::Environment => format!("the environment variable {environment}"),
        _ => "an option of the command line".to_owned(),
    }
}

fn remedy(origin: Source, environment: &str) -> String {
    match origin {
        Source::Environment => format!("unset {environment}"),
        _ => "omit the option".to_owned(),
    }
}

/// The settings of a running gateway; clones share them.
#[derive(Debug, Clone)]
pub struct SettingsHandle {
    current: Arc<watch::Sender<Arc<Settings>>>,
    at_start: Arc<Settings>,
}

impl SettingsHandle {
    /// Reads the stored values, and checks all of them.
    ///
    /// # Errors
    /// If the database cannot be read, or a value is not acceptable, with its source.
    pub async fn load(
        store: &Store,
        flags: BTreeMap<&'static str, String>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let settings = Settings {
            flags,
            environment,
            database: settings::list(store).await?,
        };
        check(&settings)?;
        let at_start = Arc::new(settings);
        Ok(Self {
            current: Arc::new(watch::Sender::new(at_start.clone())),
            at_start,
        })
    }

    /// The value of a setting.
    pub fn get<T: SettingValue>(&self, setting: &Setting<T>) -> T {
        let resolved = self.current.borrow().get(setting);
        // All values were checked.
        resolved.map_or_else(|_| (setting.default)(), |resolved| resolved.value)
    }

    /// The value of a setting in seconds.
    pub fn duration(&self, setting: &Setting<u64>) -> Duration {
        Duration::from_secs(self.get(setting))
    }

    /// All sources, as of now. The receiver is notified of each change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Settings>> {
        self.current.subscribe()
    }

    /// The value that a setting had when the gateway was started.
    pub fn at_start(&self, setting: &dyn AnySetting) -> Option<Value> {
        let resolved = setting.resolve(&self.at_start).ok()?;
        Some(resolved.value)
    }

    /// Each setting with its value and source.
    pub fn list(&self) -> Vec<(&'static dyn AnySetting, Resolved<Value>)> {
        let settings = self.current.borrow().clone();
        let resolve = |setting: &&'static dyn AnySetting| {
            let resolved = setting.resolve(&settings).ok()?;
            Some((*setting, resolved))
        };
        ALL.iter().filter_map(resolve).collect()
    }

    /// Stores values, all or none: `null` removes a stored value, so that the default applies.
    ///
    /// # Errors
    /// If a setting does not exist, a value is not acceptable, or a flag or variable decides.
    pub async fn change(
        &self,
        store: &Store,
        changes: &BTreeMap<String, Value>,
    ) -> Result<(), SettingsError> {
        let mut changed = Settings::clone(&self.current.borrow());
        for (key, value) in changes {
            let setting = find(key)?;
            let origin = setting.resolve(&changed)?.source;
            if origin.locks() {
                return Err(SettingsError::Locked {
                    key: setting.key(),
                    environment: setting.environment(),
                    origin,
                });
            }
            if value.is_null() {
                changed.database.remove(key);
                continue;
            }
            changed.database.insert(key.clone(), value.clone());
            setting
                .resolve(&changed)
                .map_err(|_| SettingsError::Invalid {
                    key: setting.key(),
                    expects: setting.expects(),
                    value: value.clone(),
                })?;
        }
        for (key, value) in changes {
            if value.is_null() {
                settings::unset(store, key).await?;
            } else {
                settings::set(store, key, value).await?;
            }
        }
        self.current.send_replace(Arc::new(changed));
        Ok(())
    }
}

fn find(key: &str) -> Result<&'static dyn AnySetting, SettingsError> {
    let found = ALL.iter().find(|setting| setting.key() == key);
    found.copied().ok_or_else(|| {
        let keys: Vec<&str> = ALL.iter().map(|setting| setting.key()).collect();
        SettingsError::Unknown {
            key: key.to_owned(),
            nearest: mlxm_hub::names::nearest(&keys, key),
        }
    })
}

fn check(settings: &Settings) -> Result<(), ResolveError> {
    for setting in ALL {
        setting.resolve(settings)?;
    }
    Ok(())
}
