//! Starting and restarting servers.

use std::time::Duration;

use mlxm_gateway::{AcquireError, AcquireRequest, Pool, ServerEvent, ServerStatus, Target};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::pool::plan_of;
use super::convert;
use super::target::{Resolved, of_server};
use crate::gateway::GatewayState;
use crate::gateway::problem::ApiProblem;
use crate::wire::events::{Event, LogLevel, Notice};
use crate::wire::servers::StartResponse;

/// How long a response waits for the process of the server, which takes far less if there is memory.
const START_WAIT: Duration = Duration::from_secs(2);

/// How long a restart waits for the end of the process. The pool kills it after 35 s.
const EXIT_WAIT: Duration = Duration::from_mins(1);

/// Starts a server as a request would, and waits until its process exists, if that takes no memory of others.
///
/// # Errors
/// If the model is not valid, does not fit, or cannot be started.
pub async fn start(
    state: &GatewayState,
    resolved: &Resolved,
    pinned: bool,
) -> Result<StartResponse, ApiProblem> {
    let target = &resolved.target;
    // A user starts it: earlier failures no longer count.
    state.pool().reset(target)?;
    let plan = plan_of(state, target, resolved.request(state)).await?;
    let events = state.pool().events();
    let mut start = spawn_start(state, resolved.request(state), pinned);
    let server: Result<Option<ServerStatus>, AcquireError> = tokio::select! {
        // A start that fails at once is an error of this request.
        result = &mut start => match result {
            Ok(Err(error)) => Err(error),
            _ => server_of(state.pool(), target).await,
        },
        server = wait_for_server(state.pool(), target, events) => server,
        () = tokio::time::sleep(START_WAIT) => Ok(None),
    };
    let server = server?.map(|server| convert::servers(&state.snapshot(), &[server]));
    Ok(StartResponse {
        plan,
        server: server.and_then(|mut servers| servers.pop()),
    })
}

/// Waits until there is a server with the settings of the target; `None` if the pool has exited.
async fn wait_for_server(
    pool: &Pool,
    target: &Target,
    mut events: Receiver<ServerEvent>,
) -> Result<Option<ServerStatus>, AcquireError> {
    loop {
        if let Some(server) = server_of(pool, target).await? {
            return Ok(Some(server));
        }
        if !changed(&mut events).await {
            return Ok(None);
        }
    }
}

/// Acquires the server and releases it: it is idle then. Failures are a notice, in case that the response was sent before.
fn spawn_start(
    state: &GatewayState,
    request: AcquireRequest,
    pinned: bool,
) -> JoinHandle<Result<(), AcquireError>> {
    let state = state.clone();
    tokio::spawn(async move {
        let target = request.target.clone();
        let result = async {
            if pinned {
                state.pool().retain(target.clone(), true).await?;
            }
            state.pool().acquire(request).await.map(drop)
        };
        let result = result.await;
        if let Err(error) = &result {
            if pinned {
                // Otherwise it would be started whenever there is memory. Fails only if the pool has exited.
                let _ = state.pool().forget(&target);
            }
            tracing::warn!(model = %target.name, %error, "a model was not started");
            state.bus().publish(Event::Notices(Notice {
                level: LogLevel::Error,
                code: "start_failed".to_owned(),
                message: format!("{} was not started: {error}", target.name),
            }));
        }
        result
    })
}

/// Stops a server, and starts it again when its process has exited.
///
/// # Errors
/// If the pool has exited.
pub async fn restart(state: &GatewayState, server: &ServerStatus) -> Result<(), ApiProblem> {
    let resolved = Resolved {
        target: of_server(&server.record),
        is_pinned: server.pinned,
    };
    let id = server.record.id;
    let events = state.pool().events();
    state.pool().stop(id).await?;
    let state = state.clone();
    tokio::spawn(async move {
        let gone = wait_until_gone(state.pool(), id, events);
        if !matches!(tokio::time::timeout(EXIT_WAIT, gone).await, Ok(Ok(()))) {
            tracing::warn!(server = %id, "a model was not started again: its process did not exit");
            return;
        }
        // Fails only if the pool has exited; failures of the start are notices.
        let _ = state.pool().reset(&resolved.target);
        let request = resolved.request(&state);
        let _ = spawn_start(&state, request, resolved.is_pinned).await;
    });
    Ok(())
}

async fn wait_until_gone(
    pool: &Pool,
    id: Uuid,
    mut events: Receiver<ServerEvent>,
) -> Result<(), AcquireError> {
    loop {
        let servers = pool.servers().await?.servers;
        if !servers.iter().any(|server| server.record.id == id) {
            return Ok(());
        }
        if !changed(&mut events).await {
            return Err(AcquireError::Closed);
        }
    }
}

/// The server with the settings of the target, if there is one.
async fn server_of(pool: &Pool, target: &Target) -> Result<Option<ServerStatus>, AcquireError> {
    let servers = pool.servers().await?.servers;
    let mut servers = servers.into_iter();
    Ok(servers.find(|server| server.record.settings == *target.settings))
}

/// Waits for a change of any server; `false` if the pool has exited.
async fn changed(events: &mut Receiver<ServerEvent>) -> bool {
    // After lost events, the state is read again all the same.
    !matches!(events.recv().await, Err(RecvError::Closed))
}
