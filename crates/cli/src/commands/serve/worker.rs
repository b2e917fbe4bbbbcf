//! `mlxm serve --model`: a server with one model.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use mlxm_api::{AccessPolicy, AppState, FormatOverride, Limits, Owner, ServerOptions, Shutdown};
use mlxm_engine::{CancelToken, Engine, LoadError};
use tokio::net::TcpListener;

use super::startup::{Ready, Stage, Startup};
use super::stop::stop_on_request;
use super::{DEFAULT_HOST, DEFAULT_PORT, Serve, needs_key, unavailable};
use crate::context::Context;
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::logging::Level;

/// 32 MB.
const DEFAULT_MAX_BODY: u64 = 32_000_000;

impl Serve {
    /// Serves one model until shutdown.
    pub(super) fn serve_model(
        &self,
        model: &str,
        context: &Context,
        startup: &Startup,
    ) -> anyhow::Result<()> {
        // Read first: the process may exit while the model loads.
        let parent = self
            .exit_with_parent
            .then(std::os::unix::process::parent_id);
        let owner = self.owner.or(parent).map(Owner::new);
        let key = self.key()?;
        let host = self.host.unwrap_or(DEFAULT_HOST);
        if !host.is_loopback() && key.is_none() {
            return Err(needs_key(host).into());
        }
        startup.enter(Stage::Model);
        let resolved = locate::hub()?.resolve(model)?;
        startup.enter(Stage::Options);
        // A path says nothing to clients, and they must not learn it.
        let name = resolved
            .directory_name()
            .unwrap_or_else(|| model.to_owned());
        let path = resolved.path;
        let _logging = self.install_logging(self.log_level.unwrap_or(Level::Info), None)?;
        let server = AppState::starting(ServerOptions {
            model: name.clone(),
            aliases: self.alias.clone(),
            hidden_aliases: vec![model.to_owned()],
            strict: self.strict,
            access: AccessPolicy {
                api_key: key,
                loopback: host.is_loopback(),
                allowed_hosts: self.allowed_host.clone(),
                cors_origins: self.cors.clone(),
                ..AccessPolicy::default()
            },
            keep_billing_header: self.keep_billing_header,
            format: FormatOverride {
                tools: self.tool_call_parser.map(|choice| choice.0),
                reasoning: self.reasoning_parser.map(|choice| choice.0),
            },
            limits: Limits {
                body_bytes: usize::try_from(self.max_body.unwrap_or(DEFAULT_MAX_BODY))
                    .unwrap_or(usize::MAX),
                request_timeout: seconds(self.request_timeout, 3600),
                ..Limits::default()
            },
            // The parent is watched only.
            owner: owner.clone().filter(|_| self.owner.is_some()),
        });
        let mut options = context.load_options();
        options.context_length = self.context_length.map(|length| length as usize);
        options.max_sequences = self.max_sequences.unwrap_or(16).into();
        options.max_queued_requests = self.max_queued_requests.unwrap_or(256) as usize;
        options.max_batch_tokens = self.max_batch_tokens.unwrap_or(512) as usize;
        options.kv_pool_tokens = self
            .kv_pool_tokens
            .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the server runtime")?;
        runtime.block_on(async {
            startup.enter(Stage::Address);
            let address = SocketAddr::new(host, self.port.unwrap_or(DEFAULT_PORT));
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| unavailable(address, &error))?;
            let port = listener
                .local_addr()
                .context("the listener has no address")?
                .port();
            let shutdown = Shutdown::default();
            let deadline = seconds(self.shutdown_timeout, 30);
            let guard = InterruptGuard::start();
            let cancel = CancelToken::default();
            let grace = Duration::from_secs(self.orphan_grace.into());
            let orphaned = async move {
                match owner {
                    Some(owner) => owner.orphaned(grace).await,
                    None => std::future::pending().await,
                }
            };
            let (stopping, load) = (shutdown.clone(), cancel.clone());
            let stop = move || {
                stopping.start();
                load.cancel();
            };
            tokio::spawn(stop_on_request(guard, orphaned, stop));
            let serving = tokio::spawn(mlxm_api::serve(
                listener,
                server.clone(),
                shutdown,
                deadline,
            ));
            startup.enter(Stage::Load);
            let load = || {
                let progress = |progress| startup.loading(progress);
                context.load_with_progress(&path, &options, &cancel, &progress)
            };
            match tokio::task::block_in_place(load) {
                // The shutdown has started.
                Err(LoadError::Cancelled) => {}
                Err(error) => return Err(error.into()),
                Ok(engine) => {
                    server.ready(engine.clone());
                    let announced = startup.ready(&Ready {
                        url: &format!("http://{}", SocketAddr::new(host, port)),
                        port,
                        model: &name,
                        capabilities: server.capabilities(),
                        plan: engine.memory_plan(),
                    });
                    // An owner that is gone does not read it; another one may take over.
                    if self.owner.is_none() {
                        announced?;
                    }
                    promote_huge_pages(engine);
                }
            }
            let complete = serving
                .await
                .context("the server failed")?
                .context("the server failed")?;
            if !complete {
                tracing::warn!("shutdown timeout reached: running requests were cancelled");
            }
            Ok(())
        })
    }
}

fn seconds(given: Option<u32>, default: u32) -> Duration {
    Duration::from_secs(given.unwrap_or(default).into())
}

/// Promotes huge pages in the background before the first requests.
fn promote_huge_pages(engine: Engine) {
    tokio::task::spawn_blocking(move || {
        // Fails only if the engine has stopped.
        let _ = engine.promote_huge_pages();
    });
}
