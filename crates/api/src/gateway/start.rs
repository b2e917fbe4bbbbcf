//! Starts a gateway: database, settings, workers, names and listeners, in this order. Nothing listens before everything works.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mlxm_gateway::{LaunchConfig, Pool, PoolOptions, Timings, WorkerKeys, host_name};
use mlxm_hub::{Hub, HubConfig, HubError};
use mlxm_machine::CpuLimits;
use mlxm_store::gateways::{self, NewGateway};
use mlxm_store::secrets::Secret;
use mlxm_store::{Location, OpenOptions, Store, StoreError, Uuid, settings as stored_settings};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::audit::{AuditWriter, DatabaseHealth};
use super::background::{Background, memory_budget_bytes};
use super::catalog_watch::CatalogHandle;
use super::chats::{ChatStores, Runs, TokenCounters, delete_what_is_old};
use super::clients::ClientTracker;
use super::connections::Connections;
use super::downloads::{Queue, QueueOptions, RetryTimes};
use super::events::logs::{LogFiles, publish_logs};
use super::events::{Bus, publish_models, publish_requests, publish_samples, publish_servers};
use super::home::{Home, HomeError};
use super::metrics::{MetricsClient, MetricsRings, RequestCounters};
use super::profile_ports::{PortOptions, ProfilePorts};
use super::proxy::{Catalog, LiveRequests, Proxy, ProxyOptions};
use super::records::StoredServers;
use super::server::Gateway;
use super::settings::{
    ALLOWED_HOSTS, CACHE_DIRECTORY, CORS_ORIGINS, HEALTH_INTERVAL_SECONDS, HOST, MAX_WAITING, PORT,
    SettingsError, SettingsHandle,
};
use super::state::{Components, GatewayOptions, GatewayState, Monitor};
use super::workers::PoolWorkers;
use crate::access::AccessPolicy;

/// The variable with the collector of traces.
pub const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How long workers keep serving without a gateway.
const ORPHAN_GRACE: Duration = Duration::from_mins(1);

/// How long a request lacks memory before the workers that hold it get no later requests.
const DRAIN_AFTER: Duration = Duration::from_secs(30);

/// Requests wait as long as the settings and profiles say; this is only the upper limit.
const MAX_QUEUE_TIMEOUT: Duration = Duration::from_hours(24);

/// Why a gateway cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its home directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting is not acceptable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The model hub is not configured correctly.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The workers of the last start cannot be read.
    #[error("cannot read the running models from the database: {0}")]
    Pool(mlxm_gateway::StoreError),
    /// The address can be reached from other machines, and there is no API key.
    #[error("an API key is required to listen on {0}, which is reachable from other machines")]
    Exposed(IpAddr),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: std::io::Error,
        /// The program that has the port, if it is known.
        holder: Option<mlxm_machine::PortHolder>,
    },
}

/// Starts a gateway. It serves requests once [`Gateway::serve`] is called.
///
/// # Errors
/// If the home directory or the database is in use or cannot be read, a setting is not acceptable, or the port is in use.
pub async fn start(options: GatewayOptions) -> Result<Gateway, StartError> {
    let (store, mut home) = open(&options).await?;
    let settings =
        SettingsHandle::load(&store, options.flags.clone(), options.environment.clone()).await?;
    let listener = listen(&options, &settings).await?;
    let address = listener.local_addr().map_err(|error| StartError::Listen {
        address: configured_address(&settings),
        error,
        holder: None,
    })?;
    let gateway = registration(&mut home, address);
    let id = register(&store, &mut home, gateway.clone()).await?;
    Runs::recover(&store, id).await?;
    let access = access_policy(&options, &settings, address);
    let pool = start_pool(&options, &settings, &store, id).await?;
    let hub = Arc::new(Hub::new(hub_config(&options, &settings))?);
    let catalog =
        CatalogHandle::start(store.clone(), hub.clone(), settings.clone(), pool.clone()).await?;
    let bus = Bus::new();
    let downloads = Queue::start(QueueOptions {
        store: store.clone(),
        gateway_id: id,
        hub: hub.clone(),
        bus: bus.clone(),
        settings: settings.clone(),
        retry: RetryTimes::default(),
    })
    .await?;
    let workers = PoolWorkers::new(pool.clone(), catalog.clone(), settings.clone());
    let database = Arc::<DatabaseHealth>::default();
    let counters = RequestCounters::default();
    let clients = ClientTracker::default();
    let (audit, records) = AuditWriter::start(
        store.clone(),
        id,
        bus.clone(),
        database.clone(),
        counters.clone(),
        clients.clone(),
    );
    let requests = LiveRequests::default();
    let proxy = {
        let (access, workers) = (access.clone(), Arc::new(workers.clone()));
        let requests = requests.clone();
        move |names: watch::Receiver<Arc<Catalog>>| {
            let options = ProxyOptions {
                access: access.clone(),
                queue_timeout: MAX_QUEUE_TIMEOUT,
                ..ProxyOptions::default()
            };
            Proxy::new(
                options,
                names,
                workers.clone(),
                records.clone(),
                requests.clone(),
            )
        }
    };
    let main_proxy = proxy(catalog.subscribe());
    let connections = Connections::default();
    let ports = PortOptions {
        host: address.ip(),
        has_key: access.api_key.is_some(),
        proxy: Arc::new(proxy),
        connections: connections.clone(),
    };
    let (profile_ports, listening) = ProfilePorts::new(catalog.clone(), ports);
    let background = Background {
        store: store.clone(),
        gateway: id,
        settings: settings.clone(),
        pool: pool.clone(),
        bus: bus.clone(),
        log_directory: options.log_directory(),
        catalog: catalog.clone(),
        downloads: downloads.completed(),
        health: database.clone(),
    };
    let mut tasks = background.start();
    tasks.spawn(listening);
    let log_files = LogFiles::of_settings(&options.home, &settings);
    tasks.spawn(publish_logs(bus.clone(), log_files));
    let registered = NewGateway {
        id: Some(id),
        ..gateway
    };
    let state = GatewayState::new(Components {
        options,
        id,
        address,
        access,
        chats: ChatStores::new(store.clone(), registered),
        runs: Runs::new(main_proxy.clone()),
        token_counters: TokenCounters::default(),
        store,
        pool,
        hub,
        bus,
        catalog,
        settings,
        downloads,
        monitor: Monitor {
            database,
            counters,
            clients,
            workers,
            metrics_client: MetricsClient::default(),
            history: MetricsRings::default(),
            requests,
            profile_ports,
        },
    });
    tasks.spawn(delete_what_is_old(state.clone()));
    tasks.spawn(publish_servers(state.clone()));
    tasks.spawn(publish_models(state.clone()));
    tasks.spawn(publish_samples(state.clone()));
    tasks.spawn(publish_requests(state.clone()));
    Ok(Gateway::new(
        state,
        listener,
        connections,
        main_proxy,
        audit,
        tasks,
        home,
    ))
}

/// Takes the home directory and opens the database.
async fn open(options: &GatewayOptions) -> Result<(Store, Home), StartError> {
    let location = Location::new(options.database_url.as_deref(), &options.home)?;
    // First, since its error names the other gateway.
    let store = Store::open(&OpenOptions::new(location, &options.home)).await?;
    let home = Home::acquire(&options.home)?;
    Ok((store, home))
}

fn configured_address(settings: &SettingsHandle) -> SocketAddr {
    // Both were checked.
    let host = settings.get(&HOST).parse::<IpAddr>();
    let host = host.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    SocketAddr::new(host, u16::try_from(settings.get(&PORT)).unwrap_or_default())
}

async fn listen(
    options: &GatewayOptions,
    settings: &SettingsHandle,
) -> Result<TcpListener, StartError> {
    let address = configured_address(settings);
    if !address.ip().is_loopback() && options.api_key.is_none() {
        return Err(StartError::Exposed(address.ip()));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen {
            address,
            holder: mlxm_machine::port_holder(address.port())
                .filter(|_| error.kind() == std::io::ErrorKind::AddrInUse),
            error,
        })
}

/// The hub's configuration with the cache of the setting, if there is one.
fn hub_config(options: &GatewayOptions, settings: &SettingsHandle) -> HubConfig {
    let cache = settings.get(&CACHE_DIRECTORY);
    let mut config = options.hub.clone();
    if !cache.is_empty() {
        config.cache_dir = cache.into();
    }
    config
}

/// This gateway, with the id of its previous start.
fn registration(home: &mut Home, address: SocketAddr) -> NewGateway {
    NewGateway {
        id: home.id(),
        host: host_name(),
        address: format!("http://{address}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    }
}

/// Stores that this gateway runs; returns its id.
async fn register(store: &Store, home: &mut Home, gateway: NewGateway) -> Result<Uuid, StartError> {
    let id = gateways::register(store, gateway).await?.id;
    home.set_id(id)?;
    Ok(id)
}

fn access_policy(
    options: &GatewayOptions,
    settings: &SettingsHandle,
    address: SocketAddr,
) -> AccessPolicy {
    let host = host_name();
    let mut allowed_hosts = settings.get(&ALLOWED_HOSTS);
    if !address.ip().is_loopback() {
        allowed_hosts.extend([format!("{host}.local"), host]);
    }
    let origins = settings.get(&CORS_ORIGINS);
    AccessPolicy {
        api_key: options.api_key.clone(),
        owner_key: Some(options.owner_key.clone()),
        loopback: address.ip().is_loopback(),
        allowed_hosts,
        // All of them were checked.
        cors_origins: origins
            .iter()
            .filter_map(|origin| origin.parse().ok())
            .collect(),
    }
}

async fn start_pool(
    options: &GatewayOptions,
    settings: &SettingsHandle,
    store: &Store,
    id: Uuid,
) -> Result<Pool, StartError> {
    let secret = worker_secret(store, id).await?;
    let keys = WorkerKeys::new(secret.expose())
        .ok_or_else(|| StartError::Pool("the secret of the workers is damaged".into()))?;
    let pool = PoolOptions {
        budget_bytes: memory_budget_bytes(settings),
        max_waiting: usize::try_from(settings.get(&MAX_WAITING)).unwrap_or(usize::MAX),
        drain_after: DRAIN_AFTER,
        compute_threads: CpuLimits::read().threads(),
        launch: LaunchConfig {
            program: options.program.clone(),
            environment: worker_environment(&options.environment),
            log_directory: options.log_directory(),
            keys,
            orphan_grace: ORPHAN_GRACE,
            timings: Timings {
                health_interval: settings.duration(&HEALTH_INTERVAL_SECONDS),
                ..Timings::default()
            },
        },
    };
    let servers = StoredServers::new(store.clone(), id);
    Pool::start(pool, servers).await.map_err(StartError::Pool)
}

/// Workers send their traces to the collector of the gateway.
fn worker_environment(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let collector = environment.get_key_value(OTLP_ENDPOINT);
    let collector = collector.map(|(name, value)| (name.clone(), value.clone()));
    collector.into_iter().collect()
}

/// The secret from which the keys of workers are derived. It is stored encrypted, so that the next start can adopt them; if the
/// key of the encryption was lost, there is a new one and running workers are stopped.
async fn worker_secret(store: &Store, gateway: Uuid) -> Result<Secret, StoreError> {
    let key = format!("gateways.{gateway}.worker_secret");
    match stored_settings::secret(store, &key).await {
        Ok(Some(secret)) => return Ok(secret),
        Ok(None) => {}
        Err(StoreError::Secret(error)) => {
            tracing::warn!(%error, "running models cannot be adopted");
        }
        Err(error) => return Err(error),
    }
    let secret = Secret::from(random_key().as_str());
    stored_settings::set_secret(store, &key, &secret).await?;
    Ok(secret)
}

/// A key of 244 random bits.
pub fn random_key() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
