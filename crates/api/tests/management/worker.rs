//! The HTTP server of all servers. Its completions have one event, and end when their client disconnects; a test can play others.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::player::play;

/// The only event of each completion.
pub const EVENT: &str = "data: {\"choices\":[]}\n\n";

/// Tokens of each prompt, and those that are generated of each completion.
pub const PROMPT_TOKENS: u64 = 20;
pub const COMPLETION_TOKENS: u64 = 7;

const METRICS: &str = "mlxm_generation_tokens_total 12\nmlxm_num_requests_waiting 3\n\
    mlxm_kv_cache_blocks{group=\"full\",state=\"used\"} 2\n\
    mlxm_kv_cache_blocks{group=\"full\",state=\"free\"} 6\n# EOF\n";

/// The ids of the completions.
type Running = Arc<Mutex<BTreeSet<String>>>;

/// Ends a completion when it is dropped.
struct Completion(Running, String);

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

/// Starts the server, and returns its port.
pub async fn start_worker(health_checks: Arc<AtomicUsize>) -> u16 {
    let health =
        json!({"status": "ready", "running": 0, "steps": 1, "longest_step_ms": 0}).to_string();
    let health = move || {
        health_checks.fetch_add(1, Ordering::SeqCst);
        async move { health }
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(async || METRICS))
        .route("/v1/chat/completions", post(complete))
        .route("/v1/messages", post(complete))
        .route("/internal/requests", get(list))
        .route("/internal/usage/{id}", get(usage))
        .with_state(Running::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn complete(State(running): State<Running>, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers["x-mlxm-request-id"].to_str().unwrap().to_owned();
    running.lock().unwrap().insert(id.clone());
    let completion = Completion(running, id);
    let completion = match play(&body, completion) {
        Ok(played) => return played,
        Err(completion) => completion,
    };
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(EVENT.as_bytes()))]);
    let rest = stream::pending().map(move |event| {
        let _ = &completion;
        event
    });
    let body = Body::from_stream(first.chain(rest));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn list(State(running): State<Running>) -> Json<Value> {
    let running = running.lock().unwrap();
    let requests: Vec<Value> = running
        .iter()
        .map(|id| {
            json!({
                "id": id,
                "phase": "decode",
                "prompt_tokens": PROMPT_TOKENS,
                "cached_tokens": 16,
                "computed_tokens": PROMPT_TOKENS,
                "completion_tokens": COMPLETION_TOKENS,
            })
        })
        .collect();
    Json(json!({"requests": requests}))
}

async fn usage() -> Json<Value> {
    Json(json!({
        "prompt_tokens": PROMPT_TOKENS,
        "cached_tokens": 16,
        "completion_tokens": COMPLETION_TOKENS,
        "finish": "cancelled",
    }))
}
