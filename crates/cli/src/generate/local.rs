//! Completions from a model in this process.

use std::time::Duration;

use mlxm_chat::{ChatChunk, ChatError, ChatPoll};
use mlxm_engine::{Engine, FinishReason, GenerationError, Request, RequestError};
use serde_json::Value;

use super::{
    Backend, BackendError, Collector, Completion, CompletionSink, Finish, Limits, TokenLogprob,
};
use crate::interrupt::InterruptGuard;
use crate::prompt::PromptRenderer;

/// How long to wait for the next token before checking for Ctrl-C again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A loaded model and its request parameters.
pub struct Local<'a> {
    /// Renders prompts and holds the model.
    pub renderer: &'a PromptRenderer,
    /// The request without its prompt.
    pub request: Request,
}

impl Local<'_> {
    fn engine(&self) -> &Engine {
        self.renderer.model().engine()
    }
}

impl Backend for Local<'_> {
    fn name(&self) -> String {
        self.engine().info().path.display().to_string()
    }

    fn limits(&self) -> Limits {
        Limits {
            context_length: Some(self.engine().memory_plan().context_length),
            max_tokens: self.request.max_tokens,
        }
    }

    fn generate(
        &self,
        messages: &[Value],
        sink: &mut dyn CompletionSink,
    ) -> Result<Completion, BackendError> {
        let rejected = |error| BackendError::Rejected(with_hint(self.engine(), error));
        let prompt = self.renderer.render(messages).map_err(rejected)?;
        let guard = InterruptGuard::start();
        let model = self.renderer.model();
        let stream = model.submit(&prompt, self.request.clone());
        let mut stream = stream.map_err(rejected)?;
        let mut collector = Collector::for_parts(sink);
        // Until their text is certain to be part of the completion.
        let mut logprobs = Vec::new();
        loop {
            if guard.requested() {
                drop(stream);
                return Ok(collector.into_completion(Finish::Engine(FinishReason::Cancelled), None));
            }
            match stream.next_timeout(POLL_INTERVAL) {
                ChatPoll::Pending => {}
                ChatPoll::Finished => {
                    return Err(BackendError::Fatal(GenerationError::Stopped.into()));
                }
                ChatPoll::Chunk(Ok(chunk)) => {
                    logprobs.extend(token_logprob(&chunk));
                    if let Some(finish) = &chunk.finish {
                        finish.drop_tokens_past_text(&mut logprobs);
                    }
                    if chunk.finish.is_some() || !chunk.text.is_empty() {
                        for token in logprobs.drain(..) {
                            collector.sink.on_logprob(&token)?;
                        }
                    }
                    collector.push_parts(chunk.parts)?;
                    if let Some(finish) = chunk.finish {
                        let metrics = Some(finish.metrics.into());
                        return Ok(
                            collector.into_completion(Finish::Engine(finish.reason), metrics)
                        );
                    }
                }
                ChatPoll::Chunk(Err(error)) => return Err(BackendError::Fatal(error.into())),
            }
        }
    }
}

fn token_logprob(chunk: &ChatChunk) -> Option<TokenLogprob> {
    let logprob = chunk.logprob.as_ref()?;
    let top = logprob.top.iter().map(|(id, logprob)| TokenLogprob {
        id: Some(u64::from(*id)),
        text: None,
        logprob: f64::from(*logprob),
        top: Vec::new(),
    });
    Some(TokenLogprob {
        id: Some(u64::from(logprob.token)),
        text: Some(chunk.text.clone()),
        logprob: f64::from(logprob.logprob),
        top: top.collect(),
    })
}

/// Adds a hint about the context length to a prompt that is too long.
fn with_hint(engine: &Engine, error: ChatError) -> anyhow::Error {
    let ChatError::Request(error) = error else {
        return error.into();
    };
    let RequestError::PromptTooLong { context_length, .. } = error else {
        return error.into();
    };
    let message = error.to_string();
    let limit = engine.info().max_position_embeddings;
    let hint = if limit.is_some_and(|limit| limit <= context_length) {
        "this is the model's maximum context length".to_owned()
    } else {
        "--context-length N increases it".to_owned()
    };
    anyhow::Error::new(error).context(format!("{message}: {hint}"))
}
