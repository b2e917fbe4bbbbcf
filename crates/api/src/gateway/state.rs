//! The state that all handlers of the gateway share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mlxm_gateway::Pool;
use mlxm_hub::{Hub, HubConfig};
use mlxm_store::{Store, Uuid};
use tokio::sync::watch;

use super::audit::DatabaseHealth;
use super::catalog_watch::{CatalogHandle, Snapshot};
use super::chats::{ChatStores, Runs, TokenCounters};
use super::clients::ClientTracker;
use super::downloads::Queue;
use super::events::Bus;
use super::events::logs::{LogFiles, log_directory};
use super::metrics::{MetricsClient, MetricsRings, RequestCounters};
use super::profile_ports::{PortFailure, ProfilePorts};
use super::proxy::{Catalog, LiveRequests};
use super::settings::SettingsHandle;
use super::workers::PoolWorkers;
use crate::access::AccessPolicy;

/// How the gateway is started. Everything else is a setting. It has no `Debug`, since it has keys.
#[derive(Clone)]
pub struct GatewayOptions {
    /// Directory of the database, the secret file, logs and local models: `$MLXM_HOME`.
    pub home: PathBuf,
    /// URL of a Postgres database in place of the SQLite file in `home`.
    pub database_url: Option<String>,
    /// The program that workers run: the gateway's own binary.
    pub program: PathBuf,
    /// Where models are downloaded from and to.
    pub hub: HubConfig,
    /// The API key that clients must send, if any.
    pub api_key: Option<String>,
    /// A key with all rights, for the programs of the user who starts the gateway: a new one for each start.
    pub owner_key: String,
    /// Settings of the command line, by their key.
    pub flags: BTreeMap<&'static str, String>,
    /// Environment variables that are settings, by name, and [`OTLP_ENDPOINT`](super::OTLP_ENDPOINT).
    pub environment: BTreeMap<String, String>,
    /// Whether workers keep running when the gateway exits, for the next one to adopt.
    pub keep_workers: bool,
}

impl GatewayOptions {
    /// Directory of the logs of workers.
    pub fn log_directory(&self) -> PathBuf {
        log_directory(&self.home)
    }
}

/// What shows how the gateway is doing.
#[derive(Clone)]
pub struct Monitor {
    /// Whether the database accepts rows.
    pub(super) database: Arc<DatabaseHealth>,
    /// Counts of requests.
    pub(super) counters: RequestCounters,
    /// What each client has done.
    pub(super) clients: ClientTracker,
    /// Whether requests are accepted.
    pub(super) workers: PoolWorkers,
    /// Fetches the metrics of workers.
    pub(super) metrics_client: MetricsClient,
    /// What the workers have used.
    pub(super) history: MetricsRings,
    /// The requests that have not ended.
    pub(super) requests: LiveRequests,
    /// The ports of profiles.
    pub(super) profile_ports: ProfilePorts,
}

impl Monitor {
    /// Ports of profiles on which the gateway does not listen, with the reason, by the ids of the profiles.
    pub fn port_failures(&self) -> BTreeMap<Uuid, PortFailure> {
        self.profile_ports.failures()
    }
}

/// What the gateway is made of; see [`GatewayState::new`].
pub struct Components {
    /// The options.
    pub options: GatewayOptions,
    /// This gateway's id in the database, the same after a restart.
    pub id: Uuid,
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may use it.
    pub access: AccessPolicy,
    /// The database.
    pub store: Store,
    /// The workers.
    pub pool: Pool,
    /// The model hub and its local files.
    pub hub: Arc<Hub>,
    /// Events for web pages and commands.
    pub bus: Bus,
    /// Names of models, profiles and aliases.
    pub catalog: CatalogHandle,
    /// Settings.
    pub settings: SettingsHandle,
    /// Downloads.
    pub downloads: Queue,
    /// Where chats are stored.
    pub chats: ChatStores,
    /// The tasks that write responses.
    pub runs: Runs,
    /// Tokenizers of models.
    pub token_counters: TokenCounters,
    /// What shows how it is doing.
    pub monitor: Monitor,
}

/// The state of the gateway; clones share it.
#[derive(Clone)]
pub struct GatewayState(Arc<Shared>);

struct Shared {
    components: Components,
    access: Arc<AccessPolicy>,
    log_files: LogFiles,
    started: Instant,
    started_at: SystemTime,
}

impl GatewayState {
    /// The state of a gateway that has just started.
    pub fn new(components: Components) -> Self {
        Self(Arc::new(Shared {
            access: Arc::new(components.access.clone()),
            log_files: LogFiles::of_settings(&components.options.home, &components.settings),
            components,
            started: Instant::now(),
            started_at: SystemTime::now(),
        }))
    }

    /// How the gateway was started.
    pub fn options(&self) -> &GatewayOptions {
        &self.0.components.options
    }

    /// This gateway's id in the database.
    pub fn id(&self) -> Uuid {
        self.0.components.id
    }

    /// Who may use the gateway.
    pub fn access(&self) -> &Arc<AccessPolicy> {
        &self.0.access
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.components.store
    }

    /// The workers.
    pub fn pool(&self) -> &Pool {
        &self.0.components.pool
    }

    /// The model hub, and its local files.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.0.components.hub
    }

    /// Events for web pages and commands.
    pub fn bus(&self) -> &Bus {
        &self.0.components.bus
    }

    /// The names that requests can use, as of now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.components.catalog.names()
    }

    /// The local models, profiles and aliases from which the names are made, as of now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.components.catalog.snapshot()
    }

    /// As [`Self::snapshot`], with notifications of changes.
    pub fn subscribe_snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.components.catalog.subscribe_snapshot()
    }

    /// Reads models, profiles and aliases again. When it returns, requests can use new names and cannot use removed ones.
    pub async fn refresh_catalog(&self) {
        self.0.components.catalog.refresh().await;
    }

    /// Settings and their sources.
    pub fn settings(&self) -> &SettingsHandle {
        &self.0.components.settings
    }

    /// The logs of the gateway and its servers.
    pub fn log_files(&self) -> &LogFiles {
        &self.0.log_files
    }

    /// Downloads.
    pub fn downloads(&self) -> &Queue {
        &self.0.components.downloads
    }

    /// Where chats are stored.
    pub fn chats(&self) -> &ChatStores {
        &self.0.components.chats
    }

    /// The tasks that write responses.
    pub fn runs(&self) -> &Runs {
        &self.0.components.runs
    }

    /// Tokenizers of models.
    pub fn token_counters(&self) -> &TokenCounters {
        &self.0.components.token_counters
    }

    /// When the gateway was started.
    pub fn started_at(&self) -> SystemTime {
        self.0.started_at
    }

    /// How long the gateway has been running.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Where the gateway listens.
    pub fn address(&self) -> SocketAddr {
        self.0.components.address
    }

    /// What shows how the gateway is doing.
    pub fn monitor(&self) -> &Monitor {
        &self.0.components.monitor
    }
}
