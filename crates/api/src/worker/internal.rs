//! Routes under `/internal`, which exist only on a server with an owner and a key.

use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Profile, RequestUsage, RunningRequests, Worker};
use crate::error::ApiError;
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::FieldPolicy;
use crate::state::AppState;

/// How long a request for a usage waits for the end of the request.
const USAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Largest body with the settings of a profile.
const MAX_SETTINGS_BYTES: usize = 1 << 20;

/// Most compute threads, as for the option `--threads`.
const MAX_THREADS: usize = 1024;

/// The routes. All require the key.
pub fn routes() -> Vec<(&'static str, MethodRouter<AppState>)> {
    vec![
        ("/internal/owner", post(set_owner)),
        ("/internal/usage/{id}", get(usage)),
        ("/internal/requests", get(running)),
        (
            "/internal/defaults",
            post(register_defaults).layer(DefaultBodyLimit::max(MAX_SETTINGS_BYTES)),
        ),
        ("/internal/threads", post(set_threads)),
    ]
}

/// The state of a server with an owner; the routes exist on no other.
fn worker(server: &AppState) -> Result<&Worker, ApiError> {
    server
        .worker()
        .ok_or_else(|| ApiError::not_found("this server has no owner"))
}

#[derive(Deserialize)]
struct OwnerFields {
    pid: u32,
}

impl RequestBody for OwnerFields {
    const POLICY: FieldPolicy = FieldPolicy::NONE;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.take()
    }
}

/// Makes another process the owner.
async fn set_owner(
    State(server): State<AppState>,
    Body { request, warnings }: Body<OwnerFields>,
) -> Result<Response, ApiError> {
    let OwnerFields { pid } = request;
    if !worker(&server)?.owner.replace(pid) {
        let problem = format!("is {pid}, but there is no such process");
        return Err(ApiError::at("pid", &problem));
    }
    tracing::info!(pid, "this server has a new owner");
    Ok(warnings.attach(Json(json!({"pid": pid})).into_response()))
}

/// The usage of a request when it has ended, or so far.
async fn usage(
    State(server): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<RequestUsage>, ApiError> {
    let usage = worker(&server)?.usage.get(&id, USAGE_TIMEOUT).await;
    usage.map(Json).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no usage of a request `{id}`: it started no completion, or it is not kept any more"
        ))
    })
}

/// The requests of the owner that are running or queued.
async fn running(State(server): State<AppState>) -> Result<Json<RunningRequests>, ApiError> {
    let requests = worker(&server)?.usage.running();
    Ok(Json(RunningRequests { requests }))
}

/// Registers the settings of a profile that are too large for a header.
async fn register_defaults(
    State(server): State<AppState>,
    body: Body<Profile>,
) -> Result<Json<Value>, ApiError> {
    let id = worker(&server)?.profiles.insert(body);
    Ok(Json(json!({"id": id})))
}

#[derive(Deserialize)]
struct ThreadsFields {
    threads: usize,
}

impl RequestBody for ThreadsFields {
    const POLICY: FieldPolicy = FieldPolicy::NONE;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.take()
    }
}

/// Changes the number of compute threads from the next step on.
async fn set_threads(
    State(server): State<AppState>,
    Body { request, warnings }: Body<ThreadsFields>,
) -> Result<Response, ApiError> {
    let ThreadsFields { threads } = request;
    if !(1..=MAX_THREADS).contains(&threads) {
        let problem = format!("is {threads}; it must be between 1 and {MAX_THREADS}");
        return Err(ApiError::at("threads", &problem));
    }
    // Also during shutdown: running requests continue.
    let model = server
        .loaded()
        .ok_or_else(|| ApiError::unavailable("the model is still loading"))?;
    model.engine.set_threads(threads)?;
    Ok(warnings.attach(Json(json!({"threads": threads})).into_response()))
}
