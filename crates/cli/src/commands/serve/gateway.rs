//! `mlxm serve` without a model: the gateway for all local models and profiles.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use mlxm_api::Shutdown;
use mlxm_api::gateway::settings::{
    ALLOWED_HOSTS, CORS_ORIGINS, HOST, LOG_LEVEL, MEMORY_BUDGET_BYTES, PORT,
    SHUTDOWN_TIMEOUT_SECONDS, SettingsHandle,
};
use mlxm_api::gateway::{self, Gateway, GatewayOptions, OTLP_ENDPOINT, StartError, random_key};
use mlxm_gateway::LogFile;
use mlxm_hub::HubConfig;
use mlxm_store::StoreError;

use super::startup::{Stage, Startup};
use super::stop::stop_on_request;
use super::{Serve, needs_key, unavailable};
use crate::browser::{self, OPENER};
use crate::context::{self, Context};
use crate::failure::Failure;
use crate::gateway::GatewayFile;
use crate::interrupt::InterruptGuard;
use crate::logging::{Level, OwnLog, SetLevel};
use crate::output::Output;

/// Only these variables are settings.
const VARIABLE_PREFIX: &str = "MLXM_";

impl Serve {
    /// Serves all local models until shutdown.
    pub(super) fn serve_gateway(&self, context: &Context, startup: &Startup) -> anyhow::Result<()> {
        self.reject_worker_options(context)?;
        let options = self.gateway_options(context)?;
        let opens_page = self.opens_page(&context.output);
        let log = Arc::new(OwnLog::default());
        let logging = self.install_logging(self.first_log_level(), Some(log.clone()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(runtime_threads())
            .enable_all()
            .build()
            .context("cannot start the server runtime")?;
        runtime.block_on(async {
            startup.enter(Stage::Gateway);
            let (home, token) = (options.home.clone(), options.owner_key.clone());
            let gateway = gateway::start(options)
                .await
                .map_err(|error| start_failure(error, &home, startup))?;
            let state = gateway.state();
            open_log(&log, state.log_files().own());
            tokio::spawn(follow_log_level(
                logging.set_level(),
                state.settings().clone(),
            ));
            let address = state.address();
            let url = local_url(address);
            let page = opens_page.then(|| format!("{url}/"));
            let file = GatewayFile::of_this_process(url, token)
                .context("the system does not tell when this process was started")?;
            file.write(&home)
                .with_context(|| format!("cannot write {}", GatewayFile::path(&home).display()))?;
            let served = serve(gateway, address, startup, page).await;
            if let Err(error) = file.remove(&home) {
                tracing::warn!(%error, "{} is not removed", GatewayFile::path(&home).display());
            }
            served
        })
    }

    /// Whether the page is opened in a browser: it is there, and someone has started this at a display.
    fn opens_page(&self, output: &Output) -> bool {
        let is_wanted = !self.no_open && output.is_interactive();
        is_wanted && gateway::has_page() && browser::has_display(std::env::var_os)
    }

    /// The log level until the settings are read.
    fn first_log_level(&self) -> Level {
        let of_variable = || Level::from_name(&std::env::var(LOG_LEVEL.environment).ok()?);
        let given = self.log_level.or_else(of_variable);
        given.unwrap_or(Level::Info)
    }

    fn gateway_options(&self, context: &Context) -> anyhow::Result<GatewayOptions> {
        let collector = self.otlp_endpoint().map(str::to_owned);
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(GatewayOptions {
            home: context::require_home()?,
            database_url: std::env::var("DATABASE_URL").ok(),
            program: std::env::current_exe().context("the path of this program is unknown")?,
            hub: HubConfig::from_env()?,
            api_key: self.key()?,
            owner_key: random_key(),
            flags: self.settings(context),
            environment: variables
                .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
                .chain(collector.map(|url| (OTLP_ENDPOINT.to_owned(), url)))
                .collect(),
            keep_workers: self.keep_workers,
        })
    }

    /// The settings that were given as options.
    fn settings(&self, context: &Context) -> BTreeMap<&'static str, String> {
        let cors: Vec<String> = self.cors.iter().map(ToString::to_string).collect();
        [
            (HOST.key, self.host.map(|host| host.to_string())),
            (PORT.key, self.port.map(|port| port.to_string())),
            (CORS_ORIGINS.key, joined(&cors)),
            (ALLOWED_HOSTS.key, joined(&self.allowed_host)),
            (
                SHUTDOWN_TIMEOUT_SECONDS.key,
                self.shutdown_timeout.map(|seconds| seconds.to_string()),
            ),
            (
                MEMORY_BUDGET_BYTES.key,
                context.memory_option().map(|bytes| bytes.to_string()),
            ),
            (LOG_LEVEL.key, self.log_level.map(Level::name)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// Returns a usage error if an option for a single model was given, with what to use in its place.
    fn reject_worker_options(&self, context: &Context) -> Result<(), Failure> {
        const PROFILE: &str = "set it in a profile (`mlxm profile new`)";
        const NO_OWNER: &str = "a gateway has no owner";
        const WORKER: &str = "only a server with --model has it";
        let own = [
            (!self.alias.is_empty(), "--alias", "run `mlxm alias`"),
            (self.strict, "--strict", WORKER),
            (self.keep_billing_header, "--keep-billing-header", WORKER),
            (self.context_length.is_some(), "--context-length", PROFILE),
            (self.max_sequences.is_some(), "--max-sequences", PROFILE),
            (self.kv_pool_tokens.is_some(), "--kv-pool-tokens", PROFILE),
            (
                self.max_queued_requests.is_some(),
                "--max-queued-requests",
                "run `mlxm config set pool.max_waiting_requests N`",
            ),
            (
                self.max_batch_tokens.is_some(),
                "--max-batch-tokens",
                WORKER,
            ),
            (
                self.tool_call_parser.is_some(),
                "--tool-call-parser",
                PROFILE,
            ),
            (
                self.reasoning_parser.is_some(),
                "--reasoning-parser",
                PROFILE,
            ),
            (self.request_timeout.is_some(), "--request-timeout", WORKER),
            (self.max_body.is_some(), "--max-body", WORKER),
            (self.owner.is_some(), "--owner", NO_OWNER),
            (self.exit_with_parent, "--exit-with-parent", NO_OWNER),
        ];
        let of_model = context.given_load_options().into_iter().map(|name| {
            let instead = if name == "--threads" { WORKER } else { PROFILE };
            (true, name, instead)
        });
        let mut given = own.into_iter().chain(of_model).filter(|(given, ..)| *given);
        match given.next() {
            None => Ok(()),
            Some((_, name, instead)) => Err(Failure::Usage(format!(
                "{name} cannot be used without --model: {instead}"
            ))),
        }
    }
}

/// Few threads can forward the tokens of all workers, and each that wakes another one takes time from their computation.
fn runtime_threads() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (cpus / 4).clamp(1, 4)
}

/// The value of a list setting; `None` if it is empty.
fn joined(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(","))
}

/// Opens the log file. Without it the gateway still serves, and logs to stderr.
fn open_log(log: &OwnLog, file: Option<&LogFile>) {
    if let Err(error) = log.open(file.cloned()) {
        let path = file.map(|file| file.path().display().to_string());
        tracing::warn!(
            path,
            %error,
            "the log file cannot be opened: correct the setting logs.file and restart the gateway"
        );
    }
}

/// Applies the setting of the log level now and after each change.
async fn follow_log_level(set_level: SetLevel, settings: SettingsHandle) {
    let mut changes = settings.subscribe();
    loop {
        if let Some(level) = Level::from_name(&settings.get(&LOG_LEVEL)) {
            set_level(level);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Serves until shutdown. `page` is a URL to open in a browser.
async fn serve(
    gateway: Gateway,
    address: SocketAddr,
    startup: &Startup,
    page: Option<String>,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::default();
    let stopping = shutdown.clone();
    let stop = move || stopping.start();
    let guard = InterruptGuard::start();
    tokio::spawn(stop_on_request(guard, std::future::pending(), stop));
    let models = gateway.state().catalog().models.len();
    startup.gateway_ready(address, models)?;
    if let Some(page) = page {
        open_page(page);
    }
    let complete = gateway.serve(shutdown).await;
    if !complete {
        tracing::warn!("shutdown timeout reached: running requests were cut off");
    }
    Ok(())
}

/// Opens the page in a browser, in a thread for which a shutdown does not wait: it may run until the browser is closed.
fn open_page(url: String) {
    std::thread::spawn(move || {
        if !browser::open(&url) {
            tracing::info!(
                "`{OPENER}` cannot open a browser: open {url} yourself, or start the gateway with --no-open"
            );
        }
    });
}

/// The URL for programs on this machine.
fn local_url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}

/// The error of a gateway that did not start, with what to do next.
fn start_failure(error: StartError, home: &Path, startup: &Startup) -> anyhow::Error {
    match error {
        StartError::Exposed(host) => {
            startup.enter(Stage::Options);
            needs_key(host).into()
        }
        StartError::Listen {
            address,
            error,
            holder,
        } => {
            startup.enter(Stage::Address);
            let Some(holder) = holder else {
                return unavailable(address, &error).into();
            };
            let message = format!("cannot listen on {address}: {error}");
            let hint = format!(
                "{} (process {}) has the port: stop it, or choose another --port, or 0 for a free port",
                holder.program, holder.pid
            );
            Failure::with_hint(message, hint).into()
        }
        StartError::Settings(_) => {
            startup.enter(Stage::Options);
            error.into()
        }
        StartError::Store(StoreError::Locked { .. }) => {
            // A gateway that is starting has no file yet.
            let running = GatewayFile::read(home).ok().flatten();
            match running {
                Some(file) => {
                    let hint = format!("use it at {}", file.url);
                    Failure::with_hint(error.to_string(), hint).into()
                }
                None => error.into(),
            }
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_for_this_machine_is_a_loopback_address() {
        for (address, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://127.0.0.1:80"),
            ("[::1]:80", "http://[::1]:80"),
            ("192.168.1.5:80", "http://192.168.1.5:80"),
        ] {
            assert_eq!(local_url(address.parse().unwrap()), url);
        }
    }
}
