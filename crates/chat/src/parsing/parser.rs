//! The parser: reasoning first, then content and tool calls.

use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::format::{Format, ReasoningFormat, ToolFormat};
use crate::parsing::formats::{self, Harmony};
use crate::parsing::input::Match;
use crate::parsing::part::Part;
use crate::parsing::reasoning::{Reasoning, ReasoningStep, Tags};
use crate::parsing::rejected::{is_fragment, without_fragment, without_list_end, without_prefixes};
use crate::parsing::tool::Tool;

/// Parses one completion incrementally.
#[derive(Debug)]
pub struct Parser {
    context: Context,
    /// `None` without tools.
    tools: Option<ToolFormat>,
    reasoning: Option<ReasoningFormat>,
    state: State,
    /// The reasoning in which a call started, until the call is whole.
    suspended: Option<Suspended>,
    /// Closing tag of reasoning that a call interrupted. It is dropped wherever it follows.
    unclosed: Option<&'static str>,
    /// The same tag, until it follows or the reasoning continues.
    interrupted: Option<&'static str>,
    /// Number of calls before the current start delimiter.
    calls_before: usize,
    /// Opening tags in the content whose closing tags are content, too.
    open_tags: usize,
    /// Whether only white space was emitted since a delimiter was dropped.
    after_dropped: bool,
}

#[derive(Debug)]
struct Suspended {
    reasoning: Reasoning,
    /// Bytes of pending input up to the end of the start delimiter.
    resume_at: usize,
}

/// What the parser searches content for.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// The start delimiter of calls.
    Call(&'static str),
    Reasoning(&'static Tags),
    /// A delimiter that ends nothing.
    Stray(&'static str),
}

impl Mark {
    fn text(self) -> &'static str {
        match self {
            Self::Call(text) | Self::Stray(text) => text,
            Self::Reasoning(tags) => tags.open,
        }
    }
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
            reasoning: format.reasoning,
            state,
            suspended: None,
            unclosed: None,
            interrupted: None,
            calls_before: 0,
            open_tags: 0,
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
        let is_open = match &self.state {
            State::Reasoning(reasoning) => reasoning.is_open(),
            State::Channels(channels) => channels.has_only_open_reasoning(),
            _ => self
                .suspended
                .as_ref()
                .is_some_and(|suspended| suspended.reasoning.is_open()),
        };
        is_open && !self.context.has_message()
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
                self.calls_before = self.context.calls();
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
                self.calls_before = self.context.calls();
                State::Calls(formats::undelimited_parser(tools))
            }
            (_, Some(_), Match::Incomplete) => return false,
            _ => State::Content,
        };
        true
    }

    fn content(&mut self) -> bool {
        let marks = self.marks();
        let texts: Vec<&str> = marks.iter().map(|mark| mark.text()).collect();
        let rest = self.context.input.rest();
        match self.context.input.find(&texts) {
            Found::At { start, which } => match marks[which] {
                Mark::Stray(delimiter) => self.stray_delimiter(start, delimiter),
                Mark::Reasoning(tags) => self.later_reasoning(start, tags),
                Mark::Call(delimiter) => {
                    // White space before the delimiter stays pending: it is content only if no call follows.
                    let text = rest[..start].trim_end().len();
                    self.emit_text(text);
                    self.context.input.advance(start - text + delimiter.len());
                    self.calls_before = self.context.calls();
                    self.state = State::Delimiter(delimiter);
                    true
                }
            },
            Found::Nowhere { safe } => {
                let text = self.text_length(safe);
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

    fn marks(&self) -> Vec<Mark> {
        let starts = self.tools.map(formats::start_delimiters);
        let closers = self.tools.map(formats::closers).unwrap_or_default();
        let tags = self.reasoning.map(ReasoningFormat::tags);
        let calls = starts.unwrap_or_default().iter().copied().map(Mark::Call);
        calls
            .chain(tags.unwrap_or_default().iter().map(Mark::Reasoning))
            .chain(closers.first().copied().map(Mark::Stray))
            .chain(self.unclosed.map(Mark::Stray))
            .collect()
    }

    /// Bytes of text in the first `bytes` of the rest, without white space that a call may follow.
    fn text_length(&self, bytes: usize) -> usize {
        let text = &self.context.input.rest()[..bytes];
        match self.tools {
            Some(_) => text.trim_end().len(),
            None => text.len(),
        }
    }

    /// An opening tag at `start` of the rest starts reasoning at the start of a line only.
    fn later_reasoning(&mut self, start: usize, tags: &'static Tags) -> bool {
        let Some(format) = self
            .reasoning
            .filter(|_| self.context.starts_line_after(start))
        else {
            self.emit_text(start + tags.open.len());
            return true;
        };
        let text = self.text_length(start);
        self.emit_text(text);
        self.context.input.advance(start - text);
        self.context.discard();
        self.context.input.advance(tags.open.len());
        self.context.input.commit();
        self.state = State::Reasoning(Reasoning::inside_of(format, tags.close));
        true
    }

    /// Emits `bytes` of the rest, unless there is nothing to emit.
    fn emit_text(&mut self, bytes: usize) {
        if bytes > 0 {
            self.context.emit_content(bytes);
            self.after_dropped = false;
        }
    }

    /// A delimiter at `start` of the rest that ends nothing is dropped at the end of a line and kept as content within one. The
    /// end of a call that is content is content, too.
    fn stray_delimiter(&mut self, start: usize, delimiter: &str) -> bool {
        if self.open_tags > 0 && self.unclosed != Some(delimiter) {
            self.open_tags -= 1;
            self.emit_text(start + delimiter.len());
            return true;
        }
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
                // Without a call, a tag around the content ended the reasoning.
                self.suspended = None;
                self.open_tags = 0;
                self.state = State::AfterCalls;
            }
            Step::NeedMoreInput | Step::Invalid => {
                let can_repair = self.tools.is_some_and(formats::has_json_arguments);
                if can_repair && self.context.in_call() {
                    self.state = State::Repair;
                } else if self.has_new_calls() && !self.context.in_call() {
                    // The calls end here.
                    self.context.input.rewind(0);
                    self.state = State::AfterCalls;
                } else {
                    self.reject();
                }
            }
        }
        true
    }

    /// Whether calls followed the current start delimiter.
    fn has_new_calls(&self) -> bool {
        self.context.calls() > self.calls_before
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

    /// A whole call interrupts the reasoning in which it started.
    fn end_reasoning(&mut self) {
        if self.has_new_calls()
            && let Some(suspended) = self.suspended.take()
        {
            self.unclosed = suspended.reasoning.close();
            self.interrupted = self.unclosed;
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

    /// Emits the pending input as content; without its delimiters if the end of the output truncates it, and without the end of
    /// the list if other calls of the list were emitted.
    fn flush_rejected(&mut self) {
        let tags = self.tools.and_then(formats::outer_tags);
        let starts = self.tools.map(formats::start_tags).unwrap_or_default();
        let [opener, closer] = tags.unwrap_or_default();
        let openers: Vec<&str> = starts
            .first()
            .copied()
            .into_iter()
            .chain(tags.map(|tags| tags[0]))
            .collect();
        let ended = self.context.input.has_ended();
        let in_list = self.has_new_calls();
        let has_opener = {
            let call = self.context.input.pending().trim_start();
            openers.iter().any(|opener| call.starts_with(opener))
        };
        let is_delimited = has_opener || in_list;
        if ended && is_delimited && is_fragment(self.context.input.rest(), closer) {
            self.context.input.advance_to_end();
        }
        let text = self.context.input.take_pending();
        let call = text.trim_start();
        let space = if in_list {
            ""
        } else {
            &text[..text.len() - call.len()]
        };
        let body = without_prefixes(call, &openers);
        let is_whole = !closer.is_empty() && body.contains(closer);
        let is_empty = body.is_empty() && self.context.input.rest().is_empty();
        let is_at_end = self.context.input.rest().is_empty();
        let call = if ended && is_delimited && !is_whole && !is_empty {
            if is_at_end {
                without_fragment(body, closer)
            } else {
                body
            }
        } else {
            call
        };
        let call = if in_list && call.starts_with('{') {
            without_list_end(call, self.tools.map(formats::closers).unwrap_or_default())
        } else {
            call
        };
        let count = |tag: &str| {
            if tag.is_empty() {
                0
            } else {
                call.matches(tag).count()
            }
        };
        self.open_tags = count(opener).saturating_sub(count(closer));
        self.context.push_content(&[space, call].concat());
        self.after_dropped = false;
    }

    fn after_calls(&mut self) -> bool {
        let input = &mut self.context.input;
        // White space before a tag that is dropped does not separate texts.
        let _ = input.peek();
        let rest = input.rest();
        if rest.is_empty() {
            return false;
        }
        let closers = self.tools.map(formats::closers).unwrap_or_default();
        let mut tags = closers.to_vec();
        tags.extend(self.unclosed);
        let found = tags.iter().find(|tag| rest.starts_with(**tag));
        // A truncated tag is dropped, also one that starts a call or ends a code block.
        let starts = self.tools.map(formats::start_tags).unwrap_or_default();
        let starts = starts
            .iter()
            .filter(|tag| !tag.starts_with(char::is_alphanumeric));
        let mut partial = tags.iter().chain(starts).chain([&formats::FENCE]);
        let is_partial = partial.any(|tag| tag.len() > rest.len() && tag.starts_with(rest));
        let dropped = match found {
            Some(tag) => {
                if self.interrupted == Some(*tag) {
                    self.interrupted = None;
                }
                tag.len()
            }
            None if is_partial && input.has_ended() => rest.len(),
            None if is_partial => return false,
            // A brace or bracket too many.
            None if rest.starts_with(['}', ']']) => 1,
            None => {
                self.context.discard();
                let reasoning = self.reasoning.zip(self.interrupted.take());
                self.state = reasoning.map_or(State::Content, |(format, close)| {
                    State::Reasoning(Reasoning::inside_of(format, close))
                });
                return true;
            }
        };
        input.advance(dropped);
        input.commit();
        true
    }
}
