//! Answers from a model in this process.

use std::time::Duration;

use mlxm_chat::ChatModel;
use mlxm_chat::parsing::{Format, Parser};
use mlxm_engine::text::Tokenizer;
use mlxm_engine::{
    Engine, Event, FinishReason, Finished, GenerationError, Poll, Request, RequestError, Token,
};
use serde_json::Value;

use super::{Answer, AnswerError, Collector, Finish, Limits, Responder, ScoredToken, Sink};
use crate::interrupt::Watch;
use crate::prompt::Prompter;

/// How long a wait for the next token lasts before Ctrl-C is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A loaded model and how it is asked.
pub struct Local<'a> {
    /// The model.
    pub model: &'a ChatModel,
    /// Makes prompts from messages.
    pub prompter: &'a Prompter<'a>,
    /// Everything of a request but the prompt.
    pub request: Request,
}

impl Responder for Local<'_> {
    fn name(&self) -> String {
        self.model.engine().info().path.display().to_string()
    }

    fn limits(&self) -> Limits {
        Limits {
            context_length: Some(self.model.engine().memory_plan().context_length),
            max_tokens: self.request.max_tokens,
        }
    }

    fn answer(&self, messages: &[Value], sink: &mut dyn Sink) -> Result<Answer, AnswerError> {
        let prompt = self.prompter.chat(messages).map_err(AnswerError::Refused)?;
        let format = format(self.model);
        let parser = Parser::new(format, &prompt.text, &[]);
        let markers = format.delimiters();
        let request = Request {
            prompt: prompt.tokens,
            ..self.request.clone()
        };
        let watch = Watch::start();
        let mut generation = self
            .model
            .engine()
            .submit(request)
            .map_err(|error| AnswerError::Refused(refusal(self.model.engine(), error)))?;
        let tokenizer = self.model.engine().tokenizer();
        let mut collector = Collector::new(parser, sink);
        loop {
            if watch.requested() {
                drop(generation);
                collector.end()?;
                return Ok(collector.answer(Finish::Engine(FinishReason::Cancelled), None));
            }
            match generation.next_timeout(POLL_INTERVAL) {
                Poll::Pending => {}
                Poll::Ended => {
                    return Err(AnswerError::Broken(GenerationError::Stopped.into()));
                }
                Poll::Event(Ok(Event::Token(token))) => {
                    take(&mut collector, tokenizer, &markers, &token)?;
                }
                Poll::Event(Ok(Event::Finished(Finished {
                    reason,
                    text,
                    metrics: statistics,
                    ..
                }))) => {
                    collector.push(&text)?;
                    collector.end()?;
                    return Ok(collector.answer(Finish::Engine(reason), Some(statistics.into())));
                }
                Poll::Event(Err(error)) => {
                    collector.end()?;
                    return Err(AnswerError::Broken(error.into()));
                }
            }
        }
    }
}

/// How the model marks what it says to itself. It has nothing to call.
fn format(model: &ChatModel) -> Format {
    let template = model.template().ok();
    let source = template.and_then(|template| template.source("default"));
    Format {
        tools: None,
        ..Format::detect(source, &model.engine().info().model_type)
    }
}

fn take(
    collector: &mut Collector<'_>,
    tokenizer: &Tokenizer,
    markers: &[&str],
    token: &Token,
) -> std::io::Result<()> {
    if let Some(scored) = scored(token) {
        collector.sink.scored(&scored)?;
    }
    if tokenizer.is_special(token.id)
        && let Some(marker) = tokenizer
            .id_to_token(token.id)
            .filter(|token| markers.contains(&token.as_str()))
    {
        collector.push(&marker)?;
    }
    collector.push(&token.text)
}

fn scored(token: &Token) -> Option<ScoredToken> {
    let logprob = token.logprob.as_ref()?;
    let top = logprob.top.iter().map(|(id, logprob)| ScoredToken {
        id: Some(u64::from(*id)),
        text: None,
        logprob: f64::from(*logprob),
        top: Vec::new(),
    });
    Some(ScoredToken {
        id: Some(u64::from(token.id)),
        text: Some(token.text.clone()),
        logprob: f64::from(logprob.logprob),
        top: top.collect(),
    })
}

/// A refused request, with the option that helps where there is one.
fn refusal(engine: &Engine, error: RequestError) -> anyhow::Error {
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
