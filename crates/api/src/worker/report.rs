//! Reports the usage of requests that the gateway sends: in the trailer of a stream, and in the header of a complete body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Frame;

use super::usage::UsageRecorder;
use crate::layers::{REQUEST_ID, RequestContext};
use crate::state::AppState;

/// The usage of a request.
const USAGE: &str = "x-mlxm-usage";

/// The id of a request in the gateway. A client may send the same `X-Request-ID` more than once.
const GATEWAY_REQUEST_ID: &str = "x-mlxm-request-id";

/// Records the usage of a request if it comes from the owner of this server, and adds it to the response.
pub async fn report_usage(
    State(server): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    if server.worker().is_none()
        || server
            .options()
            .access
            .check_key(request.headers())
            .is_err()
    {
        return next.run(request).await;
    }
    let headers = request.headers();
    let (id, trailer) = (request_id(headers), accepts_trailers(headers));
    let Some(context) = request.extensions_mut().get_mut::<RequestContext>() else {
        return next.run(request).await;
    };
    let recorder = Arc::new(UsageRecorder::new(id, context.received_at));
    context.usage = Some(recorder.clone());
    let response = next.run(request).await;
    if !recorder.has_started() {
        return response;
    }
    if !is_event_stream(&response) {
        return with_header(response, &recorder);
    }
    if trailer {
        with_trailer(response, recorder)
    } else {
        response
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let id = headers.get(GATEWAY_REQUEST_ID);
    let id = id.or_else(|| headers.get(REQUEST_ID));
    let id = id.and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// Whether the client has sent `TE: trailers`.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// All completions have ended when the headers of a complete body are sent.
fn with_header(mut response: Response, recorder: &UsageRecorder) -> Response {
    if let Some(usage) = recorder.header() {
        response.headers_mut().insert(USAGE, usage);
    }
    response
}

fn with_trailer(response: Response, recorder: Arc<UsageRecorder>) -> Response {
    let (mut parts, body) = response.into_parts();
    // Names the trailer; without this header hyper does not send it.
    let name = HeaderValue::from_static(USAGE);
    parts.headers.insert(header::TRAILER, name);
    let body = WithTrailer {
        body,
        recorder: Some(recorder),
    };
    Response::from_parts(parts, Body::new(body))
}

/// A body that ends with the usage of its request. Its length is unknown, so that it is sent in chunks.
struct WithTrailer {
    body: Body,
    /// `None` after the trailer.
    recorder: Option<Arc<UsageRecorder>>,
}

impl HttpBody for WithTrailer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.recorder.is_none() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_some() {
            return Poll::Ready(frame);
        }
        let usage = self.recorder.take().and_then(|recorder| recorder.header());
        Poll::Ready(usage.map(|usage| {
            let mut trailers = HeaderMap::new();
            trailers.insert(USAGE, usage);
            Ok(Frame::trailers(trailers))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_accepted_in_any_list_of_codings() {
        let accepts = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values.iter().copied() {
                headers.append(header::TE, HeaderValue::from_static(value));
            }
            accepts_trailers(&headers)
        };
        assert!(accepts(&["trailers"]));
        assert!(accepts(&["gzip, Trailers"]));
        assert!(accepts(&["gzip", "trailers"]));
        assert!(!accepts(&["gzip"]));
        assert!(!accepts(&[]));
    }
}
