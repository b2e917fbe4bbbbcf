//! The body of a client's request: read completely, because `model` may be its last key, and then sent to a worker as it came.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::ProxyOptions;
use super::scan::Scanner;
use crate::error::ApiError;

/// Smaller chunks are put together: those of one byte would take many times their size.
const MIN_CHUNK_BYTES: usize = 16 << 10;
/// A body may take so many times as long as one pause within it.
const PAUSES: u32 = 10;

/// A body in chunks, which clones share.
#[derive(Debug, Clone, Default)]
pub struct BufferedBody {
    chunks: Arc<[Bytes]>,
    /// The index of the first chunk that is still to be sent.
    next: usize,
    /// Size of the chunks that are still to be sent.
    size_bytes: u64,
}

/// A body that is being read.
#[derive(Debug, Default)]
struct Chunks {
    complete: Vec<Bytes>,
    /// The beginning of the next chunk.
    partial: Vec<u8>,
    size_bytes: u64,
}

impl BufferedBody {
    /// Reads a body within the limits of the options, and lets `scanner` see it.
    ///
    /// # Errors
    /// Status 413 if it is larger, 408 if it arrives too slowly, 400 if the connection ends early.
    pub async fn read(
        body: Body,
        options: &ProxyOptions,
        scanner: &mut Scanner,
    ) -> Result<Self, ApiError> {
        let limit = options.body_bytes as u64;
        let too_large = || {
            let message =
                format!("the request body is larger than {limit} bytes, the limit of this server");
            ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        let mut read = Chunks::default();
        let mut chunks = body.into_data_stream();
        let end = Instant::now() + options.body_pause * PAUSES;
        loop {
            let next = end.min(Instant::now() + options.body_pause);
            let Ok(chunk) = timeout_at(next, chunks.next()).await else {
                return Err(too_slow(options.body_pause));
            };
            let Some(chunk) = chunk else {
                return Ok(read.into());
            };
            let chunk = chunk.map_err(|error| {
                let message = format!("the request body could not be read: {error}");
                ApiError::body(StatusCode::BAD_REQUEST, message)
            })?;
            read.size_bytes += chunk.len() as u64;
            if read.size_bytes > limit {
                return Err(too_large());
            }
            scanner.feed(&chunk);
            read.push(chunk);
        }
    }
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if chunk.len() >= MIN_CHUNK_BYTES {
            self.end_chunk();
            self.complete.push(chunk);
            return;
        }
        self.partial.extend_from_slice(&chunk);
        if self.partial.len() >= MIN_CHUNK_BYTES {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        if !self.partial.is_empty() {
            let chunk = std::mem::take(&mut self.partial);
            self.complete.push(chunk.into());
        }
    }
}

fn too_slow(pause: Duration) -> ApiError {
    let message = format!(
        "the request body did not arrive in time: it may pause for {} s and take {} s",
        pause.as_secs(),
        (pause * PAUSES).as_secs()
    );
    ApiError::body(StatusCode::REQUEST_TIMEOUT, message)
}

impl From<Chunks> for BufferedBody {
    fn from(mut chunks: Chunks) -> Self {
        chunks.end_chunk();
        Self {
            chunks: chunks.complete.into(),
            next: 0,
            size_bytes: chunks.size_bytes,
        }
    }
}

impl From<Bytes> for BufferedBody {
    fn from(bytes: Bytes) -> Self {
        Self {
            size_bytes: bytes.len() as u64,
            chunks: Arc::new([bytes]),
            next: 0,
        }
    }
}

impl hyper::body::Body for BufferedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(chunk) = self.chunks.get(self.next).cloned() else {
            return Poll::Ready(None);
        };
        self.next += 1;
        self.size_bytes -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.chunks.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn chunks_of_one_byte_take_no_more_memory_than_large_ones() {
        let small = std::iter::repeat_n(Bytes::from_static(b"x"), 100_000);
        let large = Bytes::from(vec![b'y'; MIN_CHUNK_BYTES]);
        let chunks = stream::iter(small.chain([large]).map(Ok::<_, Infallible>));
        let (options, mut scanner) = (ProxyOptions::default(), Scanner::default());
        let body = BufferedBody::read(Body::from_stream(chunks), &options, &mut scanner).await;
        let body = body.unwrap();
        assert_eq!(
            body.chunks.len(),
            100_000_usize.div_ceil(MIN_CHUNK_BYTES) + 1
        );
        let whole = body.chunks.concat();
        assert_eq!(body.size_bytes, whole.len() as u64);
        let start = whole.iter().take_while(|byte| **byte == b'x').count();
        assert_eq!((start, whole.len()), (100_000, 100_000 + MIN_CHUNK_BYTES));
    }

    #[tokio::test]
    async fn clone_can_be_sent_after_the_original_without_a_copy() {
        let body = BufferedBody::from(Bytes::from(vec![b'x'; 1000]));
        let clone = body.clone();
        let first = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let second = to_bytes(Body::new(clone), usize::MAX).await.unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!((first.len(), second.len()), (1000, 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn body_may_neither_pause_for_long_nor_drip_forever() {
        let options = ProxyOptions::default();
        for pause in [options.body_pause * 2, options.body_pause / 2] {
            let started = Instant::now();
            let chunks = stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, Infallible>("x"), ()))
            });
            let body = Body::from_stream(chunks);
            let error = BufferedBody::read(body, &options, &mut Scanner::default()).await;
            let error = error.unwrap_err();
            assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT, "{error}");
            assert!(started.elapsed() < options.body_pause * (PAUSES + 1));
        }
    }
}
