//! One request and its response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, header, response};
use axum::response::Response;
use tower_http::request_id::RequestId;
use uuid::Uuid;

use super::Proxy;
use super::client::{OWN_ID, WorkerClient, WorkerRequest};
use super::forwarded::ForwardedBody;
use super::headers;
use super::ids::ResponseWorkers;
use super::in_flight::InFlight;
use super::request_body::BufferedBody;
use super::stream_format::StreamFormat;
use super::target::Target;
use super::usage::Recorder;
use super::workers::{Class, Lease};
use crate::error::ApiError;
use crate::trace;

/// A request that no worker has yet. Dropping it means that the client has disconnected.
pub struct Exchange {
    client: WorkerClient,
    responses: Arc<ResponseWorkers>,
    recorder: Recorder,
    format: Option<StreamFormat>,
    class: Class,
    request: WorkerRequest,
}

impl Exchange {
    /// Starts with a request whose body is not read yet; returns the body, too.
    pub fn new(proxy: &Proxy, request: Request) -> (Self, Body) {
        let route = trace::route(&request).to_owned();
        let (parts, body) = request.into_parts();
        let class = parts.extensions.get::<Class>().copied().unwrap_or_default();
        let format = StreamFormat::of(parts.uri.path());
        let recorder = Recorder::new(request_id(&parts), route, class, proxy.audit());
        let path = parts.uri.path_and_query().cloned();
        let exchange = Self {
            client: proxy.client().clone(),
            responses: proxy.responses().clone(),
            recorder,
            format,
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
        self.format
    }

    /// Sets the body.
    pub fn set_body(&mut self, body: BufferedBody) {
        self.request.body = body;
    }

    /// Sets the target, with its request settings and the priority of the request.
    pub fn set_target(&mut self, target: &Target) {
        self.recorder.update(|record| {
            record.model = Some(target.model.clone());
            record.profile.clone_from(&target.profile);
        });
        let headers = &mut self.request.headers;
        if let Some(defaults) = &target.defaults {
            headers.insert("x-mlxm-defaults", defaults.header().clone());
        }
        let class = HeaderValue::from_static(self.class.as_str());
        headers.insert("x-mlxm-priority", class);
    }

    /// Records that the request has failed before a worker had it.
    pub fn fail(self, error: ApiError) -> ApiError {
        self.recorder
            .finish(error.status().as_u16(), error.code(), None);
        error
    }

    /// Sends the request to the worker of the lease, and waits for the head of its response.
    ///
    /// # Errors
    /// If the worker cannot be reached or exits.
    pub async fn send(
        mut self,
        lease: Lease,
    ) -> Result<(response::Parts, ForwardedBody), ApiError> {
        let own_id = Uuid::new_v4().simple().to_string();
        let headers = &mut self.request.headers;
        if let Ok(id) = HeaderValue::try_from(own_id.as_str()) {
            headers.insert(OWN_ID, id);
        }
        // Lets the worker send the usage after a stream.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let mut in_flight = InFlight::new(lease, self.recorder, own_id, self.client.clone());
        let sent = match in_flight.lease() {
            Some(lease) => self.client.send(lease, self.request).await,
            None => Err(ApiError::internal("the request has already ended")),
        };
        match sent {
            Ok(response) => {
                let (mut parts, body) =
                    ForwardedBody::new(response, in_flight, self.format, &self.responses);
                parts.headers = headers::for_client(parts.headers);
                Ok((parts, body))
            }
            Err(error) => {
                in_flight.finish(error.status().as_u16(), error.code(), None);
                Err(error)
            }
        }
    }
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
