//! One answer: from a request to text on the terminal, until it is complete or stopped.

use std::io;
use std::time::Duration;

use mlxm_engine::{
    Engine, Event, FinishReason, Finished, GenerationError, Poll, Request, RequestError,
    Statistics, Token,
};
use mlxm_parsers::{Format, Parser, Part};

use crate::interrupt::Watch;
use crate::output::Output;
use crate::units;

/// How long a wait for the next token lasts before Ctrl-C is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The engine ended it.
    Finished(FinishReason),
    /// Ctrl-C.
    Interrupted,
}

impl Ending {
    /// The word for the JSON output.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished(FinishReason::ContextFull) => "context_full",
            Self::Finished(reason) => reason.as_str(),
            Self::Interrupted => "interrupted",
        }
    }

    /// What a person should know about this ending, if it is not the usual one.
    pub fn note(&self, context_length: usize, max_tokens: usize) -> Option<String> {
        match self {
            Self::Finished(FinishReason::ContextFull) => Some(format!(
                "context full: {context_length} tokens hold the conversation and the answer; --context N makes more room"
            )),
            Self::Finished(FinishReason::MaxTokens) => Some(format!(
                "stopped after {max_tokens} tokens; --max-tokens N allows more"
            )),
            _ => None,
        }
    }
}

/// A complete or stopped answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the model said to itself.
    pub thinking: String,
    /// What it said to the person.
    pub text: String,
    /// Why it ended.
    pub ending: Ending,
    /// Counts and times; absent when it was stopped.
    pub statistics: Option<Statistics>,
}

/// Receives an answer while it comes.
pub trait Sink {
    /// A token was generated.
    fn token(&mut self, token: &Token) -> io::Result<()>;
    /// A piece of text became certain.
    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()>;
}

/// What a piece of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the model says to itself.
    Thinking,
    /// What it says to the person.
    Answer,
}

/// How the model marks what it says to itself. It has nothing to call.
fn format(engine: &Engine) -> Format {
    let template = engine.chat_template().ok();
    let source = template.and_then(|template| template.source("default"));
    Format {
        tools: None,
        ..Format::detect(source, &engine.info().model_type)
    }
}

/// Runs a request to its end or to Ctrl-C. `prompt` is the text of its tokens.
pub fn generate(
    engine: &Engine,
    request: Request,
    prompt: &str,
    sink: &mut dyn Sink,
) -> anyhow::Result<Answer> {
    let watch = Watch::start();
    let mut generation = engine
        .submit(request)
        .map_err(|error| refusal(engine, error))?;
    let format = format(engine);
    let markers = format.markers();
    let mut collector = Collector {
        parser: Parser::new(format, prompt, &[]),
        sink,
        thinking: String::new(),
        text: String::new(),
    };
    loop {
        if watch.requested() {
            drop(generation);
            collector.end()?;
            return Ok(collector.answer(Ending::Interrupted, None));
        }
        match generation.next_timeout(POLL_INTERVAL) {
            Poll::Pending => {}
            Poll::Ended => return Err(GenerationError::Stopped.into()),
            Poll::Event(Ok(Event::Token(token))) => {
                collector.sink.token(&token)?;
                if engine.tokenizer().is_special(token.id)
                    && let Some(marker) = engine
                        .tokenizer()
                        .id_to_token(token.id)
                        .filter(|token| markers.contains(&token.as_str()))
                {
                    collector.push(&marker)?;
                }
                collector.push(&token.text)?;
            }
            Poll::Event(Ok(Event::Finished(Finished {
                reason,
                text,
                statistics,
            }))) => {
                collector.push(&text)?;
                collector.end()?;
                return Ok(collector.answer(Ending::Finished(reason), Some(statistics)));
            }
            Poll::Event(Err(error)) => {
                collector.end()?;
                return Err(error.into());
            }
        }
    }
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

struct Collector<'a> {
    parser: Parser,
    sink: &'a mut dyn Sink,
    thinking: String,
    text: String,
}

impl Collector<'_> {
    fn push(&mut self, text: &str) -> io::Result<()> {
        let parts = self.parser.push(text);
        self.take(parts)
    }

    fn end(&mut self) -> io::Result<()> {
        let parts = self.parser.finish();
        self.take(parts)
    }

    fn take(&mut self, parts: Vec<Part>) -> io::Result<()> {
        for part in parts {
            let (kind, text) = match part {
                Part::Reasoning(text) => (Kind::Thinking, text),
                Part::Content(text) => (Kind::Answer, text),
                // There are no tools.
                Part::ToolCall { .. } | Part::Arguments { .. } => continue,
            };
            match kind {
                Kind::Thinking => self.thinking.push_str(&text),
                Kind::Answer => self.text.push_str(&text),
            }
            self.sink.piece(kind, &text)?;
        }
        Ok(())
    }

    fn answer(self, ending: Ending, statistics: Option<Statistics>) -> Answer {
        Answer {
            thinking: self.thinking,
            text: self.text,
            ending,
            statistics,
        }
    }
}

/// Prints an answer as it comes: thinking dimmed or not at all, then the answer.
#[derive(Debug)]
pub struct Printer<'a> {
    output: &'a Output,
    shows_thinking: bool,
    last: Option<Kind>,
    at_line_start: bool,
}

impl<'a> Printer<'a> {
    /// A printer on standard output.
    pub fn new(output: &'a Output, shows_thinking: bool) -> Self {
        Self {
            output,
            shows_thinking,
            last: None,
            at_line_start: true,
        }
    }

    /// Ends the last line, if it is open.
    pub fn end_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.output.line("")?;
            self.at_line_start = true;
        }
        Ok(())
    }
}

impl Sink for Printer<'_> {
    fn token(&mut self, _token: &Token) -> io::Result<()> {
        Ok(())
    }

    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()> {
        if kind == Kind::Thinking && !self.shows_thinking {
            return Ok(());
        }
        if kind == Kind::Answer && self.last == Some(Kind::Thinking) {
            self.output.piece("\n\n", false)?;
        }
        self.output.piece(text, kind == Kind::Thinking)?;
        self.last = Some(kind);
        self.at_line_start = text.ends_with('\n');
        Ok(())
    }
}

/// Counts and times on one line.
pub fn describe(statistics: &Statistics) -> String {
    let cached = if statistics.cached_tokens > 0 {
        format!(" ({} cached)", statistics.cached_tokens)
    } else {
        String::new()
    };
    format!(
        "prompt {} tokens{cached}, {:.1} tok/s · first token {} · answer {} tokens, {:.1} tok/s · peak memory {}",
        statistics.prompt_tokens,
        statistics.prompt_tokens_per_second(),
        units::duration(statistics.time_to_first_token),
        statistics.generated_tokens,
        statistics.generation_tokens_per_second(),
        units::bytes(statistics.peak_memory_bytes)
    )
}
