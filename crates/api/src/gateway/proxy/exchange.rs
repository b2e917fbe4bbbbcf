//! One request and its response.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, header, response};
use axum::response::Response;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use tower_http::request_id::RequestId;
use tracing::Span;

use super::Proxy;
use super::client::{OWN_ID, WorkerClient, WorkerError, WorkerRequest};
use super::defaults::{Form, RegisteredDefaults, RequestDefaults};
use super::forwarded::ForwardedBody;
use super::headers;
use super::ids::ResponseWorkers;
use super::in_flight::InFlight;
use super::live::{CANCELLED, Cancellation, LiveRequest};
use super::request_body::BufferedBody;
use super::stream_format::StreamFormat;
use super::target::Target;
use super::usage::Recorder;
use super::workers::{AcquireError, Class, Lease};
use crate::error::ApiError;
use crate::trace;

/// How long a worker whose process has exited may be leased.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);
const NOTICE_INTERVAL: Duration = Duration::from_millis(50);

/// The head and the body of a response.
pub type Reply = (response::Parts, ForwardedBody);

/// Why a request has no response, with its record unless that has been sent.
type SendError = (WorkerError, Option<Box<Recorder>>);

/// A request that no worker has yet. Dropping it means that the client has disconnected.
pub struct Exchange {
    sender: Sender,
    recorder: Recorder,
    class: Class,
    request: WorkerRequest,
}

/// What a request needs on its way to a worker and back.
struct Sender {
    client: WorkerClient,
    responses: Arc<ResponseWorkers>,
    registered: Arc<RegisteredDefaults>,
    format: Option<StreamFormat>,
    /// Request settings that are too large for a header.
    large_defaults: Option<Bytes>,
    /// The span of the request, which that of the worker continues.
    span: Span,
}

impl Exchange {
    /// Starts with a request whose body is not read yet; returns the body, too.
    pub fn new(proxy: &Proxy, request: Request) -> (Self, Body) {
        let route = trace::route(&request).to_owned();
        let (parts, body) = request.into_parts();
        let class = parts.extensions.get::<Class>().copied().unwrap_or_default();
        let format = StreamFormat::of(parts.uri.path());
        let request_id = request_id(&parts);
        let live = proxy
            .requests()
            .begin(LiveRequest::new(&parts, &route, &request_id));
        let recorder = Recorder::new(request_id, route, class, proxy.audit(), live);
        let path = parts.uri.path_and_query().cloned();
        let exchange = Self {
            sender: Sender {
                client: proxy.client().clone(),
                responses: proxy.responses().clone(),
                registered: proxy.registered().clone(),
                format,
                large_defaults: None,
                span: Span::current(),
            },
            recorder,
            class,
            request: WorkerRequest {
                method: parts.method,
                path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
                headers: headers::for_worker(parts.headers),
                body: BufferedBody::default(),
            },
        };
        (exchange, body)
    }

    /// How urgent the request is.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The format of the route's streams, if it has any.
    pub fn format(&self) -> Option<StreamFormat> {
        self.sender.format
    }

    /// Waits until a user cancels the request.
    pub fn cancellation(&self) -> Cancellation {
        self.recorder.cancellation()
    }

    /// Sets the name of the model that the client has sent.
    pub fn set_requested(&self, name: Option<String>) {
        self.recorder.set_requested(name);
    }

    /// Sets the body.
    pub fn set_body(&mut self, body: BufferedBody) {
        self.request.body = body;
    }

    /// Records the name of a model that stands for none. Clients choose it, and it is shown in terminals.
    pub fn set_unresolved_model(&mut self, name: Option<&str>) {
        let printable = name.map(|name| name.replace(char::is_control, "\u{fffd}"));
        self.recorder.set_unresolved_model(printable);
    }

    /// Sets the target, with its request settings and the priority of the request.
    pub fn set_target(&mut self, target: &Target) {
        self.recorder.set_target(target);
        let headers = &mut self.request.headers;
        match target.defaults.as_ref().map(RequestDefaults::form) {
            Some(Form::Header(settings)) => {
                headers.insert("x-mlxm-defaults", settings.clone());
            }
            Some(Form::Registered(json)) => {
                self.sender.large_defaults = Some(json.clone());
            }
            None => {}
        }
        let class = HeaderValue::from_static(self.class.as_str());
        headers.insert("x-mlxm-priority", class);
    }

    /// Records that the request has failed before a worker had it.
    pub fn fail(self, error: ApiError) -> ApiError {
        fail(Some(self.recorder), error)
    }

    /// Sends the request to the worker of the lease, and waits for the head of its response.
    ///
    /// # Errors
    /// If the worker cannot be reached or exits, or a user cancels the request.
    pub async fn send(self, lease: Lease) -> Result<Reply, ApiError> {
        let sent = self.sender.send(lease, self.recorder, self.request).await;
        sent.map_err(|(error, recorder)| fail(recorder.map(|recorder| *recorder), error.into()))
    }

    /// Sends the request to a worker that `acquire` returns. A worker that has exited is still leased until its exit is noticed,
    /// so a request that did not reach one waits for the next.
    ///
    /// # Errors
    /// If there is no worker, or it exits after it got the request.
    pub async fn send_to<A>(
        self,
        first: Result<Lease, AcquireError>,
        acquire: impl Fn() -> A,
    ) -> Result<Reply, ApiError>
    where
        A: Future<Output = Result<Lease, AcquireError>>,
    {
        let Self {
            sender,
            mut recorder,
            request,
            ..
        } = self;
        let give_up_at = Instant::now() + NOTICE_TIMEOUT;
        let mut acquired = first;
        loop {
            let lease = match acquired {
                Ok(lease) => lease,
                Err(error) => return Err(fail(Some(recorder), error.into())),
            };
            // The client library drops a request that it cannot send. The body is shared, and the copy is kept no longer than
            // until the head of the response.
            match sender.send(lease, recorder, request.clone()).await {
                Ok(reply) => return Ok(reply),
                Err((WorkerError::NotReached, Some(returned))) if Instant::now() < give_up_at => {
                    recorder = *returned;
                }
                Err((error, record)) => {
                    return Err(fail(record.map(|recorder| *recorder), error.into()));
                }
            }
            sleep(NOTICE_INTERVAL).await;
            acquired = acquire().await;
        }
    }
}

impl Sender {
    /// Sends a request to the worker of the lease, and waits for the head of its response.
    async fn send(
        &self,
        lease: Lease,
        recorder: Recorder,
        mut request: WorkerRequest,
    ) -> Result<Reply, SendError> {
        let cancellation = recorder.cancellation();
        if let Ok(id) = HeaderValue::try_from(recorder.own_id()) {
            request.headers.insert(OWN_ID, id);
        }
        // Lets the worker send the usage after a stream.
        request
            .headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
        trace::inject(&self.span, &mut request.headers);
        let mut in_flight = InFlight::new(lease, recorder, self.client.clone());
        let sent = match in_flight.lease() {
            Some(lease) => tokio::select! {
                sent = self.send_with_defaults(lease, request) => sent,
                () = cancellation.clone().cancelled() => Err(WorkerError::Cancelled),
            },
            None => Err(WorkerError::Exited),
        };
        match sent {
            Ok(response) => {
                let (mut parts, body) = ForwardedBody::new(
                    response,
                    in_flight,
                    self.format,
                    &self.responses,
                    cancellation,
                );
                parts.headers = headers::for_client(parts.headers);
                Ok((parts, body))
            }
            Err(error @ WorkerError::Cancelled) => {
                in_flight.cancel(Some(CANCELLED));
                Err((error, None))
            }
            Err(error) => Err((error, in_flight.take_back().map(Box::new))),
        }
    }

    /// Sends a request, with the id of the settings that are too large for a header.
    async fn send_with_defaults(
        &self,
        lease: &Lease,
        mut request: WorkerRequest,
    ) -> Result<hyper::Response<Incoming>, WorkerError> {
        if let Some(json) = &self.large_defaults {
            let id = self.registered.id(&self.client, lease, json).await?;
            request.headers.insert("x-mlxm-defaults-id", id);
        }
        self.client.send(lease, request).await
    }
}

/// Records that a request has failed, unless its record has been sent.
fn fail(recorder: Option<Recorder>, error: ApiError) -> ApiError {
    if let Some(recorder) = recorder {
        recorder.finish(error.status().as_u16(), error.code(), None);
    }
    error
}

/// The client's response.
pub fn response(parts: response::Parts, body: ForwardedBody) -> Response {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    served_locally(response)
}

/// Says that no other machine had the request.
pub fn served_locally(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert("x-served-by", HeaderValue::from_static("local"));
    response
}

fn request_id(parts: &Parts) -> String {
    let id = parts.extensions.get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    id.unwrap_or_default().to_owned()
}
