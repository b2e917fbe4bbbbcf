//! The HTTP client for workers, with a pool of connections for each.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::request_body::BufferedBody;
use super::workers::{AcquireError, Lease};
use crate::error::ApiError;
use crate::worker::{RequestUsage, RunningRequest, RunningRequests};

/// Workers are on this machine, where connecting takes microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after which an idle connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// A worker waits up to 2 s until the usage of a cancelled request is known.
const USAGE_TIMEOUT: Duration = Duration::from_secs(4);
/// A list of requests that is late is left out.
const RUNNING_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest response of the worker's own routes.
const MAX_INTERNAL_BYTES: usize = 4096;
/// Longest list of running requests: more than a worker can have.
const MAX_RUNNING_BYTES: usize = 1 << 20;

/// The header of the gateway's own id of a request, under which the worker keeps its usage.
pub const OWN_ID: HeaderName = HeaderName::from_static("x-mlxm-request-id");

/// Sends requests to workers; clones share the connections.
#[derive(Debug, Clone)]
pub struct WorkerClient(Client<HttpConnector, BufferedBody>);

/// A request for a worker.
#[derive(Debug, Clone)]
pub struct WorkerRequest {
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
    pub body: BufferedBody,
}

/// The response to registered settings.
#[derive(Deserialize)]
struct Registered {
    id: String,
}

impl Default for WorkerClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self(client)
    }
}

impl WorkerClient {
    /// Sends a request with the worker's key, and waits for the head of the response.
    ///
    /// # Errors
    /// If the worker cannot be reached, exits, or does not accept the key.
    pub async fn send(
        &self,
        lease: &Lease,
        request: WorkerRequest,
    ) -> Result<Response<Incoming>, WorkerError> {
        let request = request.build(lease.address, &lease.key)?;
        let response = self.0.request(request).await.map_err(|error| {
            tracing::warn!(worker = &*lease.worker, %error, "a worker failed");
            if error.is_connect() {
                WorkerError::NotReached
            } else {
                WorkerError::Exited
            }
        })?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(WorkerError::KeyRejected);
        }
        Ok(response)
    }

    /// Registers request settings that are too large for a header, and returns their id.
    ///
    /// # Errors
    /// If the worker cannot be reached or rejects them.
    pub async fn register_defaults(
        &self,
        lease: &Lease,
        json: Bytes,
    ) -> Result<HeaderValue, WorkerError> {
        let mut headers = HeaderMap::new();
        let json_type = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json_type);
        let request = WorkerRequest {
            method: Method::POST,
            path: PathAndQuery::from_static("/internal/defaults"),
            headers,
            body: json.into(),
        };
        let response = self.send(lease, request).await?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), MAX_INTERNAL_BYTES).await;
        let body: Option<Registered> = body
            .ok()
            .filter(|_| status == StatusCode::OK)
            .and_then(|body| serde_json::from_slice(&body).ok());
        let id = body.and_then(|body| HeaderValue::try_from(body.id).ok());
        id.ok_or(WorkerError::DefaultsRejected(status))
    }

    /// The usage of a request that was cancelled; `None` if the worker does not report it in time.
    pub async fn usage(&self, lease: &Lease, id: &str) -> Option<RequestUsage> {
        let path = format!("/internal/usage/{id}").parse().ok()?;
        let request = WorkerRequest::get(path).build(lease.address, &lease.key);
        let receive = self.receive(request.ok()?, MAX_INTERNAL_BYTES);
        tokio::time::timeout(USAGE_TIMEOUT, receive).await.ok()?
    }

    /// The requests that the worker at `address` is processing; none if it does not list them in time.
    pub async fn running(&self, address: SocketAddr, key: &str) -> Vec<RunningRequest> {
        let path = PathAndQuery::from_static("/internal/requests");
        let Ok(request) = WorkerRequest::get(path).build(address, key) else {
            return Vec::new();
        };
        let receive = self.receive::<RunningRequests>(request, MAX_RUNNING_BYTES);
        let received = tokio::time::timeout(RUNNING_TIMEOUT, receive).await;
        received
            .ok()
            .flatten()
            .map_or_else(Vec::new, |running| running.requests)
    }

    /// The JSON of a successful response.
    async fn receive<T: DeserializeOwned>(
        &self,
        request: Request<BufferedBody>,
        max_bytes: usize,
    ) -> Option<T> {
        let response = self.0.request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = to_bytes(Body::new(response.into_body()), max_bytes).await;
        serde_json::from_slice(&body.ok()?).ok()
    }
}

impl WorkerRequest {
    fn get(path: PathAndQuery) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: HeaderMap::new(),
            body: BufferedBody::default(),
        }
    }

    fn build(self, address: SocketAddr, key: &str) -> Result<Request<BufferedBody>, WorkerError> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(address.to_string())
            .path_and_query(self.path)
            .build();
        let key = HeaderValue::try_from(format!("Bearer {key}"));
        let (Ok(uri), Ok(mut key)) = (uri, key) else {
            return Err(WorkerError::InvalidLease);
        };
        key.set_sensitive(true);
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        request.headers_mut().insert(header::AUTHORIZATION, key);
        Ok(request)
    }
}

/// Why a worker does not respond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// It had exited before it got the request, which can be sent to another one.
    #[error("the model's worker has just exited: retry, or run `mlxm logs` to see why")]
    NotReached,
    /// It exited while it had the request.
    #[error("the model's worker exited during this request: retry, or run `mlxm logs` to see why")]
    Exited,
    /// It does not accept the gateway's key.
    #[error("the model's worker does not accept the gateway's key: restart it with `mlxm restart`")]
    KeyRejected,
    /// It does not accept the profile's request settings.
    #[error(
        "the model's worker rejected the request settings of the profile with status {0}: correct them with `mlxm profile edit`"
    )]
    DefaultsRejected(StatusCode),
    /// A user cancelled the request.
    #[error("a user of the gateway cancelled this request")]
    Cancelled,
    /// The pool has an address or a key that cannot be sent.
    #[error("the worker's address or key is invalid")]
    InvalidLease,
}

impl From<WorkerError> for ApiError {
    fn from(error: WorkerError) -> Self {
        let (status, code) = match error {
            WorkerError::NotReached => (StatusCode::SERVICE_UNAVAILABLE, "worker_unavailable"),
            WorkerError::Exited | WorkerError::DefaultsRejected(_) => {
                (StatusCode::BAD_GATEWAY, "worker_failed")
            }
            // The client's own key was accepted, so it must not see status 401.
            WorkerError::KeyRejected => (StatusCode::BAD_GATEWAY, "worker_key"),
            WorkerError::Cancelled => return AcquireError::cancelled().into(),
            WorkerError::InvalidLease => return Self::internal(error.to_string()),
        };
        let retry_after = (error == WorkerError::NotReached).then_some(1);
        Self::with_code(status, code, error.to_string()).retry_after(retry_after)
    }
}
