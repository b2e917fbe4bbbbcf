//! A running gateway, and its graceful shutdown.

use std::time::Duration;

use mlxm_gateway::ShutdownMode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::audit::AuditWriter;
use super::connections::Connections;
use super::home::Home;
use super::proxy::Proxy;
use super::routes::router;
use super::settings::SHUTDOWN_TIMEOUT_SECONDS;
use super::state::GatewayState;
use crate::serve::Shutdown;

/// Longest wait for the workers after their requests have ended or were cut off. They end by themselves after that: their
/// connections to the gateway are closed when it exits.
const WORKER_EXIT: Duration = Duration::from_secs(10);

/// A gateway that has been started.
pub struct Gateway {
    state: GatewayState,
    listener: TcpListener,
    connections: Connections,
    proxy: Proxy,
    audit: AuditWriter,
    tasks: JoinSet<()>,
    home: Home,
}

impl Gateway {
    /// A gateway that listens and does not serve yet.
    pub(super) fn new(
        state: GatewayState,
        listener: TcpListener,
        connections: Connections,
        proxy: Proxy,
        audit: AuditWriter,
        tasks: JoinSet<()>,
        home: Home,
    ) -> Self {
        Self {
            state,
            listener,
            connections,
            proxy,
            audit,
            tasks,
            home,
        }
    }

    /// Its state.
    pub fn state(&self) -> &GatewayState {
        &self.state
    }

    /// Serves until `shutdown` has started and all requests are complete, at most for the time of the setting
    /// `server.shutdown_timeout_seconds` after its start; requests that are still running then are cut off, and responses of
    /// chats are interrupted. During the shutdown new requests get status 503. Then the workers are stopped, or kept for the
    /// next gateway, and everything is stored. Returns whether all requests were completed.
    pub async fn serve(self, shutdown: Shutdown) -> bool {
        let Self {
            state,
            listener,
            connections,
            proxy,
            audit,
            mut tasks,
            home,
        } = self;
        let router = router(&state, proxy);
        tasks.spawn(async move {
            connections.serve(listener, router).await;
        });
        let complete = drain(&state, &shutdown).await;
        state.runs().shutdown().await;
        // Nothing new begins: no request is accepted, and no setting or profile is followed.
        tasks.shutdown().await;
        state.downloads().shutdown().await;
        let mode = if state.options().keep_workers {
            ShutdownMode::KeepWorkers
        } else {
            ShutdownMode::StopWorkers
        };
        let stopped = tokio::time::timeout(WORKER_EXIT, state.pool().shutdown(mode)).await;
        if stopped.is_err() {
            tracing::warn!("models are still running: they stop when the gateway has exited");
        }
        audit.close().await;
        state.store().clone().close().await;
        drop(home);
        complete
    }
}

/// Waits for the shutdown, and then for the requests. Returns whether all of them were completed.
async fn drain(state: &GatewayState, shutdown: &Shutdown) -> bool {
    shutdown.started().await;
    let workers = &state.monitor().workers;
    workers.start_draining();
    state.bus().close();
    let timeout = state.settings().duration(&SHUTDOWN_TIMEOUT_SECONDS);
    let idle = tokio::time::timeout(timeout, workers.wait_until_idle());
    idle.await.is_ok()
}
