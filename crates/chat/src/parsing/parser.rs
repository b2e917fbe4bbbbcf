//! The parser: reasoning first, then content and tool calls.

use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::format::{Format, ToolFormat};
use crate::parsing::formats::{self, Harmony};
use crate::parsing::input::Match;
use crate::parsing::part::Part;
use crate::parsing::reasoning::{Reasoning, ReasoningStep};
use crate::parsing::tool::Tool;

/// Parses one completion incrementally.
#[derive(Debug)]
pub struct Parser {
    context: Context,
    /// `None` without tools.
    tools: Option<ToolFormat>,
    state: State,
    /// The reasoning in which a call started, until the call is whole.
    suspended: Option<Suspended>,
    /// Closing tag of reasoning that a call ended.
    unclosed: Option<&'static str>,
    /// Whether only white space was emitted since a delimiter was dropped.
    after_dropped: bool,
}

#[derive(Debug)]
struct Suspended {
    reasoning: Reasoning,
    /// Bytes of pending input up to the end of the start delimiter.
    resume_at: usize,
}

#[derive(Debug)]
enum State {
    Reasoning(Reasoning),
    /// At the start of the output, where undelimited calls may start.
    Start,
    Content,
    /// After a start delimiter, which may be repeated.
    Delimiter(&'static str),
    Calls(Box<dyn ToolCallParser>),
    /// In a call with invalid arguments.
    Repair,
    /// After calls; white space and repeated delimiters are dropped.
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
            suspended: None,
            unclosed: None,
            after_dropped: false,
        }
    }

    /// Parses the next piece of text; returns the parts that can be classified.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.context.input.push(text);
        self.run()
    }

    /// Whether the output so far has reasoning that is not closed, and nothing else.
    pub fn is_reasoning(&self) -> bool {
        match &self.state {
            State::Reasoning(reasoning) => reasoning.is_open(),
            State::Channels(channels) => channels.has_only_open_reasoning(),
            _ => self
                .suspended
                .as_ref()
                .is_some_and(|suspended| suspended.reasoning.is_open()),
        }
    }

    /// Bytes of the text that is not yet parsed.
    pub(crate) fn pending_bytes(&self) -> usize {
        let input = &self.context.input;
        input.pending().len() + input.rest().len()
    }

    /// Ends the output that the model completed, and returns the remaining parts.
    pub fn finish(&mut self) -> Vec<Part> {
        self.context.input.end();
        self.run()
    }

    /// Ends the output that a limit truncated, and returns the remaining parts. A call that may lack arguments is content.
    pub fn finish_truncated(&mut self) -> Vec<Part> {
        self.context.truncate();
        self.finish()
    }

    fn run(&mut self) -> Vec<Part> {
        while self.step() {}
        self.context.take_parts()
    }

    /// Advances; false if more input is needed.
    fn step(&mut self) -> bool {
        match &mut self.state {
            State::Reasoning(_) => self.reasoning(),
            State::Start => self.start(),
            State::Content => self.content(),
            State::Delimiter(delimiter) => {
                let delimiter = *delimiter;
                self.delimiter(delimiter)
            }
            State::Calls(_) => self.calls(),
            State::Repair => self.repair(),
            State::AfterCalls => self.after_calls(),
            State::Channels(channels) => channels.step(&mut self.context) == Step::Continue,
        }
    }

    fn reasoning(&mut self) -> bool {
        let starts = self.tools.map(formats::start_tags).unwrap_or_default();
        let State::Reasoning(reasoning) = &mut self.state else {
            return true;
        };
        match reasoning.step(&mut self.context, &starts) {
            ReasoningStep::Continue => {}
            ReasoningStep::NeedMoreInput => return false,
            ReasoningStep::Done => self.state = State::Start,
            ReasoningStep::CallStart(delimiter) => {
                let resume_at = self.context.input.pending().len();
                let state = std::mem::replace(&mut self.state, State::Delimiter(delimiter));
                if let State::Reasoning(reasoning) = state {
                    self.suspended = Some(Suspended {
                        reasoning,
                        resume_at,
                    });
                }
            }
        }
        true
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
        let starts = formats::start_delimiters(tools);
        let mut delimiters = starts.to_vec();
        delimiters.extend(formats::closers(tools).first());
        delimiters.extend(self.unclosed);
        let rest = self.context.input.rest();
        match self.context.input.find(&delimiters) {
            Found::At { start, which } if which >= starts.len() => {
                self.stray_delimiter(start, delimiters[which])
            }
            Found::At { start, which } => {
                // White space before the delimiter stays pending: it is content only if no call follows.
                let text = rest[..start].trim_end().len();
                self.emit_text(text);
                let delimiter = delimiters[which];
                self.context.input.advance(start - text + delimiter.len());
                self.state = State::Delimiter(delimiter);
                true
            }
            Found::Nowhere { safe } => {
                let text = rest[..safe].trim_end().len();
                self.emit_text(text);
                self.context.input.advance(safe - text);
                if self.context.input.has_ended() {
                    if self.after_dropped {
                        self.context.input.commit();
                    }
                    self.context.flush_as_content();
                }
                false
            }
        }
    }

    /// Emits `bytes` of the rest, unless there is nothing to emit.
    fn emit_text(&mut self, bytes: usize) {
        if bytes > 0 {
            self.context.emit_content(bytes);
            self.after_dropped = false;
        }
    }

    /// A delimiter at `start` of the rest that ends nothing is dropped at the end of a line and kept as content within one.
    fn stray_delimiter(&mut self, start: usize, delimiter: &str) -> bool {
        let rest = self.context.input.rest();
        let text = rest[..start].trim_end().len();
        let after = rest[start + delimiter.len()..].trim_start_matches([' ', '\t']);
        let is_at_end = after.is_empty();
        let is_dropped = is_at_end || after.starts_with('\n');
        if is_at_end && !self.context.input.has_ended() {
            self.emit_text(text);
            return false;
        }
        if is_dropped {
            self.emit_text(text);
            self.context.input.remove(start - text, delimiter.len());
            self.after_dropped = true;
        } else {
            self.emit_text(start + delimiter.len());
        }
        true
    }

    fn delimiter(&mut self, delimiter: &'static str) -> bool {
        match (self.context.input.take(delimiter), self.tools) {
            (Match::Found(()), _) => true,
            (Match::Incomplete, _) => false,
            (Match::Absent, Some(tools)) => {
                self.state = State::Calls(formats::parser(tools, delimiter));
                true
            }
            (Match::Absent, None) => {
                self.reject();
                true
            }
        }
    }

    fn calls(&mut self) -> bool {
        let State::Calls(parser) = &mut self.state else {
            return true;
        };
        let step = parser.step(&mut self.context);
        self.end_reasoning();
        match step {
            Step::Continue => {}
            Step::NeedMoreInput if !self.context.input.has_ended() => return false,
            Step::Done => {
                self.context.end_call();
                self.end_reasoning();
                self.state = State::AfterCalls;
            }
            Step::NeedMoreInput | Step::Invalid => {
                let can_repair = self.tools.is_some_and(formats::has_json_arguments);
                if can_repair && self.context.in_call() {
                    self.state = State::Repair;
                } else {
                    self.reject();
                }
            }
        }
        true
    }

    fn repair(&mut self) -> bool {
        let closers = self.tools.map(formats::closers).unwrap_or_default();
        match self.context.repair_call(closers) {
            Match::Incomplete => return false,
            Match::Found(()) => {
                self.end_reasoning();
                self.state = State::AfterCalls;
            }
            Match::Absent => self.reject(),
        }
        true
    }

    /// A whole call ends the reasoning in which it started.
    fn end_reasoning(&mut self) {
        if self.context.has_calls()
            && let Some(suspended) = self.suspended.take()
        {
            self.unclosed = suspended.reasoning.close();
        }
    }

    /// There is no call after all: the pending input is content, or reasoning goes on after the start delimiter.
    fn reject(&mut self) {
        self.context.cancel_call();
        self.state = if let Some(suspended) = self.suspended.take() {
            self.context.input.rewind(suspended.resume_at);
            self.context.emit_reasoning(0);
            State::Reasoning(suspended.reasoning)
        } else {
            self.flush_rejected();
            State::Content
        };
    }

    /// Emits the pending input as content; without its start delimiters if the end of the output truncates it.
    fn flush_rejected(&mut self) {
        let ended = self.context.input.has_ended();
        let text = self.context.input.take_pending();
        let call = text.trim_start();
        let (space, _) = text.split_at(text.len() - call.len());
        let tags = self.tools.map(formats::start_tags).unwrap_or_default();
        let opener = tags.first();
        let mut body = call;
        while let Some(opener) = opener
            && let Some(rest) = body.strip_prefix(*opener)
        {
            body = rest.trim_start();
        }
        let is_truncated = ended && !(body.is_empty() && self.context.input.rest().is_empty());
        if is_truncated {
            self.context.push_content(&[space, body].concat());
        } else {
            self.context.push_content(&text);
        }
        self.after_dropped = false;
    }

    fn after_calls(&mut self) -> bool {
        let input = &mut self.context.input;
        let _ = input.peek();
        input.commit();
        let rest = input.rest();
        if rest.is_empty() {
            return false;
        }
        let mut closers = self
            .tools
            .map(formats::closers)
            .unwrap_or_default()
            .to_vec();
        closers.extend(self.unclosed);
        let found = closers.iter().find(|closer| rest.starts_with(**closer));
        let is_partial = closers.iter().any(|closer| closer.starts_with(rest));
        let dropped = match found {
            Some(closer) => closer.len(),
            // A brace or bracket too many.
            None if rest.starts_with(['}', ']']) => 1,
            None if is_partial && !input.has_ended() => return false,
            // A truncated tag.
            None if is_partial && rest.len() > 1 => rest.len(),
            None => {
                self.state = State::Content;
                return true;
            }
        };
        input.advance(dropped);
        input.commit();
        true
    }
}
