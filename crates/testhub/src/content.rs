//! File content responses: ranges, throttling and faults.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::{Stream, StreamExt, stream};

use crate::{Fault, State};

type Chunk = Result<Bytes, std::io::Error>;

/// Responds with `content`, or with the range requested in `headers`.
pub(crate) fn serve(
    state: &Arc<State>,
    headers: &HeaderMap,
    etag: &str,
    mut content: Vec<u8>,
    is_head: bool,
    fault: Option<Fault>,
) -> Response<Body> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let etag = format!("\"{etag}\"");
    let size = content.len();
    let is_current = text(header::IF_RANGE).is_none_or(|wanted| wanted == etag);
    let from = text(header::RANGE)
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        })
        .filter(|_| {
            is_current && !matches!(fault, Some(Fault::IgnoreRange)) && !state.lock().ignore_ranges
        });
    if let Some(Fault::Corrupt) = fault {
        for byte in &mut content {
            *byte = !*byte;
        }
    }
    if from.is_some_and(|from| from >= size) {
        return response(
            StatusCode::RANGE_NOT_SATISFIABLE,
            &[(header::CONTENT_RANGE, format!("bytes */{size}"))],
            Body::empty(),
        );
    }
    let body = content.split_off(from.unwrap_or(0));
    let mut headers = vec![
        (header::ETAG, etag),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, body.len().to_string()),
    ];
    let status = match from {
        Some(from) => {
            headers.push((
                header::CONTENT_RANGE,
                format!("bytes {from}-{}/{size}", size - 1),
            ));
            StatusCode::PARTIAL_CONTENT
        }
        None => StatusCode::OK,
    };
    let body = if is_head {
        Body::empty()
    } else {
        Body::from_stream(body_chunks(state, body, fault))
    };
    response(status, &headers, body)
}

pub(crate) fn response(
    status: StatusCode,
    fields: &[(header::HeaderName, String)],
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Counts responses in progress.
struct ActiveResponse(Arc<State>);

impl Drop for ActiveResponse {
    fn drop(&mut self) {
        self.0.lock().active_responses -= 1;
    }
}

fn body_chunks(
    state: &Arc<State>,
    body: Vec<u8>,
    fault: Option<Fault>,
) -> impl Stream<Item = Chunk> + Send + 'static {
    let (size, pause) = state.lock().throttle.unwrap_or((64 << 10, Duration::ZERO));
    state.lock().active_responses += 1;
    let active_response = ActiveResponse(Arc::clone(state));
    let body = Bytes::from(body);
    let end = match fault {
        Some(Fault::DropAfter(bytes) | Fault::StallAfter(bytes)) => bytes.min(body.len()),
        _ => body.len(),
    };
    let end_of_stream: Pin<Box<dyn Stream<Item = Chunk> + Send>> = match fault {
        Some(Fault::DropAfter(_)) => {
            // Let the client receive the bytes that were sent before the connection reset.
            Box::pin(stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("dropped by fault injection"))
            }))
        }
        Some(Fault::StallAfter(_)) => Box::pin(stream::pending()),
        _ => Box::pin(stream::empty()),
    };
    let starts: Vec<usize> = (0..end).step_by(size.max(1)).collect();
    stream::iter(starts)
        .then(move |start| {
            let chunk = body.slice(start..(start + size).min(end));
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok(chunk)
            }
        })
        .chain(end_of_stream)
        .map(move |chunk| {
            let _ = &active_response;
            chunk
        })
}
