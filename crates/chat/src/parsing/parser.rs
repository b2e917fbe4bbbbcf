//! The parser: reasoning first, then content and tool calls.

use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::format::{Format, ToolFormat};
use crate::parsing::formats::{self, Harmony};
use crate::parsing::input::Match;
use crate::parsing::part::Part;
use crate::parsing::reasoning::Reasoning;
use crate::parsing::tool::Tool;

/// Parses one completion incrementally.
#[derive(Debug)]
pub struct Parser {
    context: Context,
    /// `None` without tools.
    tools: Option<ToolFormat>,
    state: State,
}

#[derive(Debug)]
enum State {
    Reasoning(Reasoning),
    /// At the start of the output, where undelimited calls may start.
    Start,
    Content,
    /// After a start delimiter.
    Calls(Box<dyn ToolCallParser>),
    /// After calls; white space is dropped.
    AfterCalls,
    Channels(Harmony),
}

impl Parser {
    /// A parser for the completion of `prompt`. If the prompt ends with an opening reasoning tag, the completion starts
    /// inside reasoning. Without `tools` no calls are parsed.
    pub fn new(format: Format, prompt: &str, tools: &[Tool]) -> Self {
        let state = if format.has_channels() {
            State::Channels(Harmony::default())
        } else {
            format.reasoning.map_or(State::Start, |reasoning| {
                State::Reasoning(Reasoning::new(reasoning, prompt))
            })
        };
        Self {
            context: Context::new(tools),
            tools: format.tools.filter(|_| !tools.is_empty()),
            state,
        }
    }

    /// Parses the next piece of text; returns the parts that can be classified.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.context.input.push(text);
        self.run()
    }

    /// Ends the output and returns the remaining parts.
    pub fn finish(&mut self) -> Vec<Part> {
        // All complete input was parsed, so a current call is truncated.
        if self.context.in_call() {
            if let State::Calls(parser) = &mut self.state {
                parser.flush_truncated(&mut self.context);
                self.state = State::Content;
            }
            self.context.input.advance_to_end();
            self.context.end_call();
        }
        self.context.input.end();
        self.run()
    }

    fn run(&mut self) -> Vec<Part> {
        while self.step() {}
        self.context.take_parts()
    }

    /// Advances; false if more input is needed.
    fn step(&mut self) -> bool {
        match &mut self.state {
            State::Reasoning(reasoning) => match reasoning.step(&mut self.context) {
                Step::Continue => true,
                Step::NeedMoreInput => false,
                Step::Done | Step::Invalid => {
                    self.state = State::Start;
                    true
                }
            },
            State::Start => self.start(),
            State::Content => self.content(),
            State::Calls(_) => self.calls(),
            State::AfterCalls => {
                let _ = self.context.input.peek();
                self.context.input.commit();
                let more = self.context.input.rest().is_empty();
                if !more {
                    self.state = State::Content;
                }
                !more
            }
            State::Channels(channels) => channels.step(&mut self.context) == Step::Continue,
        }
    }

    fn start(&mut self) -> bool {
        let start = self.tools.and_then(formats::undelimited_start);
        self.state = match (self.tools, start, self.context.input.peek()) {
            (Some(tools), Some(start), Match::Found(next)) if next == start => {
                State::Calls(formats::undelimited_parser(tools))
            }
            (_, Some(_), Match::Incomplete) => return false,
            _ => State::Content,
        };
        true
    }

    fn content(&mut self) -> bool {
        let Some(tools) = self.tools else {
            let rest = self.context.input.rest().len();
            self.context.emit_content(rest);
            return false;
        };
        let delimiters = formats::start_delimiters(tools);
        let rest = self.context.input.rest();
        match self.context.input.find(delimiters) {
            Found::At { start, which } => {
                // White space before the delimiter stays pending: it is content only if no call follows.
                let text = rest[..start].trim_end().len();
                if text > 0 {
                    self.context.emit_content(text);
                }
                let delimiter = delimiters[which];
                self.context.input.advance(start - text + delimiter.len());
                self.state = State::Calls(formats::parser(tools, delimiter));
                true
            }
            Found::Nowhere { safe } => {
                let ended = self.context.input.has_ended();
                let text = if ended {
                    safe
                } else {
                    rest[..safe].trim_end().len()
                };
                if text > 0 || ended {
                    self.context.emit_content(text);
                }
                self.context.input.advance(safe - text);
                false
            }
        }
    }

    fn calls(&mut self) -> bool {
        let State::Calls(parser) = &mut self.state else {
            return true;
        };
        match parser.step(&mut self.context) {
            Step::Continue => true,
            Step::NeedMoreInput if !self.context.input.has_ended() => false,
            Step::NeedMoreInput => {
                self.context.input.advance_to_end();
                self.context.flush_as_content();
                self.context.end_call();
                self.state = State::Content;
                false
            }
            Step::Done => {
                self.context.end_call();
                self.state = State::AfterCalls;
                true
            }
            Step::Invalid => {
                self.context.flush_as_content();
                self.context.end_call();
                self.state = State::Content;
                true
            }
        }
    }
}
