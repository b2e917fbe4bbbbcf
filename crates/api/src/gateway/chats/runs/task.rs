//! The task of a run: waits for the model, sends the request, and passes the completion on as events.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use mlxm_gateway::{ServerEvent, ServerRecord};
use mlxm_store::Uuid;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::cell::RunCell;
use super::decode::{Decoded, Decoder, EventParser, Failure};
use super::request::{self, RunRequest};
use super::{receipt, waiting};
use crate::error::ApiError;
use crate::gateway::GatewayState;
use crate::gateway::proxy::{Class, RequestDefaults, Target};
use crate::layers::REQUEST_ID;
use crate::wire::Problem;
use crate::wire::runs::FinishReason;

/// What the list of requests and the logs show as the client.
const USER_AGENT: HeaderValue = HeaderValue::from_static("mlxm-chat");

/// Longest error of a server.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How long the exit of a server whose connection was lost may go unnoticed.
const EXIT_NOTICE: Duration = Duration::from_secs(5);

/// The code of a server that exited during a request.
const WORKER_FAILED: &str = "worker_failed";

/// Computes the response of a run, whose events go to `cell`.
///
/// # Errors
/// Why there is no complete response.
pub async fn respond(
    state: &GatewayState,
    cell: &RunCell,
    request: &RunRequest,
) -> Result<FinishReason, Problem> {
    let named = |problem: Problem| Problem {
        request_id: Some(cell.request_id.clone()),
        ..problem
    };
    let target = waiting::model(state, cell, &request.model)
        .await
        .map_err(|problem| problem.to_wire(Some(cell.request_id.clone())))?;
    // Before the request is sent, so that the exit of its server is not missed.
    let events = state.pool().events();
    let response = tokio::select! {
        response = send(state, request, &cell.request_id) => response.map_err(named)?,
        never = waiting::report_server(state, cell, &target) => match never {},
    };
    cell.sent();
    let server = server_of(state, &cell.request_id).await;
    cell.set_receipt(receipt::receipt(
        state,
        request,
        &target,
        server.as_ref(),
        cell.text_length(),
    ));
    let received = receive(cell, request, response).await;
    match received {
        Err(failure) if failure.code.as_deref() == Some(WORKER_FAILED) => {
            let tokens = cell.usage().map(|usage| usage.completion_tokens);
            let exit = exit_of(events, server.as_ref(), &target, tokens).await;
            Err(named(exit.unwrap_or_else(|| problem_of(&failure))))
        }
        Err(failure) => Err(named(problem_of(&failure))),
        Ok(reason) => Ok(reason),
    }
}

/// Sends a request the way that those of clients take. Returns when a server has it.
async fn send(
    state: &GatewayState,
    request: &RunRequest,
    request_id: &str,
) -> Result<Response, Problem> {
    let settings = RequestDefaults::new(&request::defaults(&request.settings));
    let settings = settings.map_err(|error| failure("settings_too_large", error.to_string()))?;
    let mut sent = Request::new(Body::from(request.body().to_string()));
    *sent.method_mut() = Method::POST;
    *sent.uri_mut() = request.path().parse().unwrap_or_default();
    let headers = sent.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::USER_AGENT, USER_AGENT);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let extensions = sent.extensions_mut();
    extensions.insert(settings);
    extensions.insert(Class::Interactive);
    let response = state.runs().send(sent).await;
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    Err(rejected(response).await)
}

/// The problem of a response that is no stream.
async fn rejected(response: Response) -> Problem {
    let status = response.status();
    if let Some(error) = response.extensions().get::<ApiError>() {
        return Problem {
            status: status.as_u16(),
            ..failure(error.code().unwrap_or("invalid_request"), error.to_string())
        };
    }
    let body = to_bytes(response.into_body(), MAX_ERROR_BYTES).await;
    let body: Value = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or_default();
    let failure = Failure::read(&body).unwrap_or_else(|| Failure {
        code: None,
        message: format!("the server returned the status {status}"),
    });
    Problem {
        status: status.as_u16(),
        ..problem_of(&failure)
    }
}

/// Passes a stream on as events.
async fn receive(
    cell: &RunCell,
    request: &RunRequest,
    response: Response,
) -> Result<FinishReason, Failure> {
    let lost = || Failure {
        code: Some(WORKER_FAILED.to_owned()),
        message: "the connection to the model's server was lost".to_owned(),
    };
    let mut parser = EventParser::default();
    let mut decoder = Decoder::new(request.protocol);
    let mut finish = None;
    let mut chunks = response.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| lost())?;
        for data in parser.push(&chunk) {
            for decoded in decoder.decode(&data) {
                match decoded {
                    Decoded::Event(event) => cell.emit(event),
                    Decoded::Counts(counts) => cell.count(counts),
                    Decoded::Finish(reason) => finish = Some(reason),
                    Decoded::Failed(failure) => return Err(failure),
                }
            }
        }
    }
    finish.ok_or_else(lost)
}

/// The server that has a request.
async fn server_of(state: &GatewayState, request_id: &str) -> Option<ServerRecord> {
    let requests = &state.monitor().requests;
    let request = requests
        .all()
        .into_iter()
        .find(|request| request.request_id == request_id)?;
    let id: Uuid = request.worker?.parse().ok()?;
    let servers = state.pool().servers().await.ok()?.all();
    let server = servers.into_iter().find(|server| server.record.id == id)?;
    Some(server.record)
}

/// Why the server of a run has exited, once that is known.
async fn exit_of(
    mut events: Receiver<ServerEvent>,
    server: Option<&ServerRecord>,
    target: &Target,
    tokens: Option<u64>,
) -> Option<Problem> {
    let id = server?.id;
    let deadline = Instant::now() + EXIT_NOTICE;
    loop {
        match timeout_at(deadline, events.recv()).await.ok()? {
            Ok(ServerEvent::Exited {
                id: exited, cause, ..
            }) if exited == id => {
                let after =
                    tokens.map_or_else(String::new, |tokens| format!(" after {tokens} tokens"));
                return Some(Problem {
                    advice: Some(cause.advice(&target.model)),
                    ..failure(
                        WORKER_FAILED,
                        format!("{}: {}{after}", target.model, cause.describe()),
                    )
                });
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn problem_of(error: &Failure) -> Problem {
    let code = error.code.as_deref().unwrap_or("generation_failed");
    failure(code, error.message.clone())
}

fn failure(code: &str, detail: String) -> Problem {
    Problem {
        kind: format!("urn:mlxm:error:{code}"),
        title: "The response could not be computed".to_owned(),
        status: StatusCode::BAD_GATEWAY.as_u16(),
        detail,
        code: code.to_owned(),
        ..Problem::default()
    }
}
