//! Completions from a model in this process.

use std::time::Duration;

use mlxm_chat::{ChatChunk, ChatError, ChatPoll};
use mlxm_engine::{Engine, FinishReason, GenerationError, Request, RequestError};
use serde_json::Value;

use super::{Answer, AnswerError, Collector, Finish, Limits, Responder, ScoredToken, Sink};
use crate::interrupt::Watch;
use crate::prompt::Prompter;

/// How long to wait for the next token before checking for Ctrl-C again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A loaded model and its request parameters.
pub struct Local<'a> {
    /// Makes prompts from messages, and has the model.
    pub prompter: &'a Prompter,
    /// The request without its prompt.
    pub request: Request,
}

impl Local<'_> {
    fn engine(&self) -> &Engine {
        self.prompter.model().engine()
    }
}

impl Responder for Local<'_> {
    fn name(&self) -> String {
        self.engine().info().path.display().to_string()
    }

    fn limits(&self) -> Limits {
        Limits {
            context_length: Some(self.engine().memory_plan().context_length),
            max_tokens: self.request.max_tokens,
        }
    }

    fn answer(&self, messages: &[Value], sink: &mut dyn Sink) -> Result<Answer, AnswerError> {
        let rejected = |error| AnswerError::Refused(with_advice(self.engine(), error));
        let prompt = self.prompter.chat(messages).map_err(rejected)?;
        let watch = Watch::start();
        let model = self.prompter.model();
        let stream = model.submit(&prompt, self.request.clone());
        let mut stream = stream.map_err(rejected)?;
        let mut collector = Collector::of_parts(sink);
        loop {
            if watch.requested() {
                drop(stream);
                return Ok(collector.answer(Finish::Engine(FinishReason::Cancelled), None));
            }
            match stream.next_timeout(POLL_INTERVAL) {
                ChatPoll::Pending => {}
                ChatPoll::Finished => {
                    return Err(AnswerError::Broken(GenerationError::Stopped.into()));
                }
                ChatPoll::Chunk(Ok(chunk)) => {
                    if let Some(scored) = scored(&chunk) {
                        collector.sink.scored(&scored)?;
                    }
                    collector.push_parts(chunk.parts)?;
                    if let Some(finish) = chunk.finish {
                        let metrics = Some(finish.metrics.into());
                        return Ok(collector.answer(Finish::Engine(finish.reason), metrics));
                    }
                }
                ChatPoll::Chunk(Err(error)) => return Err(AnswerError::Broken(error.into())),
            }
        }
    }
}

fn scored(chunk: &ChatChunk) -> Option<ScoredToken> {
    let logprob = chunk.logprob.as_ref()?;
    let top = logprob.top.iter().map(|(id, logprob)| ScoredToken {
        id: Some(u64::from(*id)),
        text: None,
        logprob: f64::from(*logprob),
        top: Vec::new(),
    });
    Some(ScoredToken {
        id: Some(u64::from(logprob.token)),
        text: Some(chunk.text.clone()),
        logprob: f64::from(logprob.logprob),
        top: top.collect(),
    })
}

/// A rejected request, with the option that helps if there is one.
fn with_advice(engine: &Engine, error: ChatError) -> anyhow::Error {
    let ChatError::Request(error) = error else {
        return error.into();
    };
    let RequestError::PromptTooLong { context_length, .. } = error else {
        return error.into();
    };
    let message = error.to_string();
    let limit = engine.info().max_position_embeddings;
    let advice = if limit.is_some_and(|limit| limit <= context_length) {
        "this is all the context the model was made for".to_owned()
    } else {
        "--context N makes more room".to_owned()
    };
    anyhow::Error::new(error).context(format!("{message}: {advice}"))
}
