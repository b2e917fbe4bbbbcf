//! Running completions with a deadline and metrics.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use mlxm_chat::{ChatChunk, ChatCompletion, ChatStream, Finish};
use mlxm_engine::{FinishReason, LengthCause, PrefillProgress, Started};

use crate::error::ApiError;
use crate::metrics::RequestTimer;
use crate::state::InFlightGuard;
use crate::worker::CompletionUsage;

/// A running completion: a stream of chunks whose last one has a finish reason. Dropping it cancels the generation.
pub struct Completion {
    stream: ChatStream,
    deadline: Pin<Box<tokio::time::Sleep>>,
    timeout_seconds: u64,
    timer: RequestTimer,
    /// Present if the owner of the server sent the request.
    usage: Option<CompletionUsage>,
    ended: bool,
    /// Whether the output is left out.
    without_output: bool,
    /// Whether chunks with the progress of the prompt are passed on.
    passes_prefill: bool,
    /// Graceful shutdown waits for this.
    _in_flight: InFlightGuard,
}

impl Completion {
    /// Fails with a timeout after `deadline`, `timeout_seconds` after the request was received.
    pub fn new(
        stream: ChatStream,
        deadline: Instant,
        timeout_seconds: u64,
        timer: RequestTimer,
        usage: Option<CompletionUsage>,
        in_flight: InFlightGuard,
    ) -> Self {
        Self {
            stream,
            deadline: Box::pin(tokio::time::sleep_until(deadline.into())),
            timeout_seconds,
            timer,
            usage,
            ended: false,
            without_output: false,
            passes_prefill: true,
            _in_flight: in_flight,
        }
    }

    /// Leaves out the output: no tokens are generated as far as clients can see, and only the prompt is scored.
    pub fn without_output(self) -> Self {
        Self {
            without_output: true,
            ..self
        }
    }

    /// Passes the progress of the prompt on, or only records it.
    pub fn with_prefill(self, passes_prefill: bool) -> Self {
        Self {
            passes_prefill,
            ..self
        }
    }

    /// Counts and times of the prompt, known from the first token on.
    pub fn started(&self) -> Option<Started> {
        self.stream.started()
    }

    /// Records how far the prompt is computed. Returns whether the client is to know it, too.
    fn record_prefill(&mut self, progress: PrefillProgress) -> bool {
        if let Some(usage) = &mut self.usage {
            usage.prefill(progress);
        }
        self.passes_prefill
    }

    fn record_token(&mut self) {
        self.timer.token();
        let started = self.stream.started().unwrap_or_default();
        if let Some(usage) = &mut self.usage {
            usage.token(started);
        }
    }

    fn record_end(&mut self, finish: &Finish) {
        self.ended = true;
        self.timer.finished(&finish.metrics, finish.reason.as_str());
        if let Some(usage) = &mut self.usage {
            usage.finished(finish);
        }
    }

    fn fail(&mut self) {
        self.ended = true;
        if let Some(usage) = &mut self.usage {
            usage.failed();
        }
    }

    /// Waits for the end.
    pub async fn collected(mut self) -> Result<ChatCompletion, ApiError> {
        let mut completion = ChatCompletion::default();
        while let Some(chunk) = self.next().await {
            completion.push(chunk?);
        }
        Ok(completion)
    }
}

impl Stream for Completion {
    type Item = Result<ChatChunk, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            self.fail();
            return Poll::Ready(Some(Err(ApiError::timed_out(self.timeout_seconds))));
        }
        let mut chunk = loop {
            let Some(chunk) = ready!(self.stream.poll_next_unpin(context)) else {
                return Poll::Ready(None);
            };
            let progress = chunk.as_ref().ok().and_then(|chunk| chunk.prefill);
            if progress.is_none_or(|progress| self.record_prefill(progress)) {
                break chunk;
            }
        };
        if let Ok(chunk) = &mut chunk
            && self.without_output
        {
            remove_output(chunk);
        }
        match &chunk {
            Ok(chunk) => {
                if chunk.token.is_some() {
                    self.record_token();
                }
                if let Some(finish) = &chunk.finish {
                    self.record_end(finish);
                }
            }
            Err(_) => self.fail(),
        }
        Poll::Ready(Some(chunk.map_err(ApiError::from)))
    }
}

/// Removes what was generated; the completion ends as if the limit of tokens were 0.
fn remove_output(chunk: &mut ChatChunk) {
    let finish = chunk.finish.take().map(|mut finish| {
        finish.reason = FinishReason::Length(LengthCause::MaxTokens);
        finish.metrics.generated_tokens = 0;
        finish.tokens_past_text = 0;
        finish
    });
    *chunk = ChatChunk {
        prefill: chunk.prefill.take(),
        finish,
        ..ChatChunk::default()
    };
}

/// The chunks of several completions as they arrive, each with the index of its completion.
pub fn merge(
    completions: Vec<Completion>,
) -> impl Stream<Item = (usize, Result<ChatChunk, ApiError>)> + Send + Unpin {
    let indexed = completions.into_iter().enumerate();
    select_all(
        indexed.map(|(index, completion)| completion.map(move |chunk| (index, chunk)).boxed()),
    )
}

/// Waits for all completions; the first failure cancels the others.
pub async fn collect_all(completions: Vec<Completion>) -> Result<Vec<ChatCompletion>, ApiError> {
    futures_util::future::try_join_all(completions.into_iter().map(Completion::collected)).await
}
