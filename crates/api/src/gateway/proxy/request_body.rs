//! The body of a client's request: read completely, because `model` may be its last key, and then sent to a worker as it came.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use hyper::body::{Frame, SizeHint};

use super::scan::Scanner;
use crate::error::ApiError;

/// A body in the chunks in which it arrived.
#[derive(Debug, Default)]
pub struct BufferedBody {
    chunks: VecDeque<Bytes>,
    size_bytes: u64,
}

impl BufferedBody {
    /// Reads a body of at most `limit` bytes and lets `scanner` see it.
    ///
    /// # Errors
    /// Status 413 if it is larger, 400 if the connection ends early.
    pub async fn read(body: Body, limit: usize, scanner: &mut Scanner) -> Result<Self, ApiError> {
        let limit = limit as u64;
        let too_large = || {
            let message =
                format!("the request body is larger than {limit} bytes, the limit of this server");
            ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        let mut buffered = Self::default();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                let message = format!("the request body could not be read: {error}");
                ApiError::body(StatusCode::BAD_REQUEST, message)
            })?;
            buffered.size_bytes += chunk.len() as u64;
            if buffered.size_bytes > limit {
                return Err(too_large());
            }
            scanner.feed(&chunk);
            buffered.chunks.push_back(chunk);
        }
        Ok(buffered)
    }
}

impl hyper::body::Body for BufferedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.chunks.pop_front();
        self.size_bytes -= chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size_bytes)
    }
}
