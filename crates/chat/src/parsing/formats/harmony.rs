//! The channels of gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`, and
//! calls as messages `to=functions.NAME`.
//!
//! The analysis channel is reasoning; the final channel and text on the commentary channel are content.

use crate::lark::{LarkBuilder, Sequence, json_arguments, one_of};
use crate::parsing::context::{Context, Step};
use crate::parsing::delimiter::Found;
use crate::parsing::input::Match;
use crate::parsing::json::ArgumentsParser;
use crate::parsing::tool::Tool;

pub(super) const START: &str = "<|start|>";
pub(crate) const CHANNEL: &str = "<|channel|>";
pub(super) const CONSTRAIN: &str = "<|constrain|>";
pub(super) const MESSAGE: &str = "<|message|>";
pub(super) const END: &str = "<|end|>";
pub(super) const CALL: &str = "<|call|>";
pub(super) const RETURN: &str = "<|return|>";

pub(super) const DELIMITERS: [&str; 7] = [START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN];

/// Possible starts of a message. The prompt ends with `<|start|>assistant`, so the first one starts with its header.
const STARTS: [&str; 4] = [CHANNEL, START, MESSAGE, "to="];
const ENDS: [&str; 3] = [END, CALL, RETURN];
/// Ends of the text of a message: its own end, or the start of the next message.
const TEXT_ENDS: [&str; 5] = [END, CALL, RETURN, START, CHANNEL];
const HEADER_ENDS: [&str; 4] = [MESSAGE, END, CALL, RETURN];

/// Longest header of a message, in bytes.
const MAX_HEADER_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Content,
}

#[derive(Debug, Default)]
enum State {
    /// Before a message.
    #[default]
    Start,
    /// In a header, which is not consumed until it is complete.
    Header,
    Text {
        kind: Kind,
        started: bool,
    },
    Arguments {
        reader: ArgumentsParser,
        started: bool,
    },
    /// After the arguments.
    CallEnd,
    /// In a call with invalid arguments.
    Repair,
}

/// Parses a whole completion.
#[derive(Debug, Default)]
pub(crate) struct Harmony {
    state: State,
    had_reasoning: bool,
    had_content: bool,
    /// Whether the current message is a call that is content, with its delimiters.
    is_rejected: bool,
}

impl Harmony {
    /// Advances; anything but `Continue` means that more input is needed.
    pub fn step(&mut self, context: &mut Context) -> Step {
        match &mut self.state {
            State::Start => self.start(context),
            State::Header => self.header(context),
            State::Text { kind, started } => {
                let (kind, started) = (*kind, *started);
                self.text(context, kind, started)
            }
            State::Arguments { .. } => self.arguments(context),
            State::Repair => self.repair(context),
            State::CallEnd => match context.input.take_one_of(&ENDS) {
                Match::Incomplete => Step::NeedMoreInput,
                Match::Found(_) | Match::Absent => {
                    context.end_call();
                    self.transition(State::Start)
                }
            },
        }
    }

    /// Whether the output is one reasoning message that has text and no end.
    pub fn has_only_open_reasoning(&self) -> bool {
        let open = matches!(
            self.state,
            State::Text {
                kind: Kind::Reasoning,
                started: true,
            }
        );
        open && !self.had_content
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    fn start(&mut self, context: &mut Context) -> Step {
        let text = context.input.rest().trim_start();
        if STARTS.iter().any(|start| text.starts_with(start)) {
            return self.transition(State::Header);
        }
        let nothing_new = text.is_empty() && (self.had_reasoning || self.had_content);
        if context.input.rest().is_empty() || nothing_new {
            return Step::NeedMoreInput;
        }
        let may_start = STARTS.iter().any(|start| start.starts_with(text));
        if may_start && !context.input.has_ended() {
            return Step::NeedMoreInput;
        }
        self.transition(State::Text {
            kind: Kind::Content,
            started: false,
        })
    }

    fn header(&mut self, context: &mut Context) -> Step {
        match context.input.find(&HEADER_ENDS) {
            Found::At { start, which: 0 } if start <= MAX_HEADER_BYTES => {
                let header = context.input.rest()[..start].to_owned();
                context.input.advance(start + MESSAGE.len());
                self.start_message(context, &header)
            }
            Found::Nowhere { safe } if safe <= MAX_HEADER_BYTES => {
                if !context.input.has_ended() {
                    return Step::NeedMoreInput;
                }
                // A truncated header is dropped.
                context.input.advance_to_end();
                context.input.commit();
                self.transition(State::Start)
            }
            _ => {
                // No header after all. Its first marker is content, so that it does not begin a header again.
                let rest = context.input.rest();
                let space = rest.len() - rest.trim_start().len();
                let start = STARTS
                    .iter()
                    .find(|start| rest[space..].starts_with(**start));
                let length = space + start.map_or(0, |start| start.len());
                self.emit(context, Kind::Content, length, true);
                self.transition(State::Text {
                    kind: Kind::Content,
                    started: true,
                })
            }
        }
    }

    /// Starts the message after a header, which is pending.
    fn start_message(&mut self, context: &mut Context, header: &str) -> Step {
        let is_reasoning = word_after(header, CHANNEL) == Some("analysis");
        let kind = if is_reasoning {
            Kind::Reasoning
        } else {
            Kind::Content
        };
        if let Some(recipient) = word_after(header, "to=") {
            let name = recipient.strip_prefix("functions.").unwrap_or(recipient);
            if context.start_call(name) {
                return self.transition(State::Arguments {
                    reader: ArgumentsParser::new(),
                    started: false,
                });
            }
            if !is_reasoning {
                // A call of an unknown tool is content, with its delimiters.
                if self.had_content {
                    context.push_content("\n");
                }
                context.flush_as_content();
                self.had_content = true;
                self.is_rejected = true;
            }
        }
        context.input.commit();
        self.transition(State::Text {
            kind,
            started: self.is_rejected,
        })
    }

    fn arguments(&mut self, context: &mut Context) -> Step {
        let State::Arguments { reader, started } = &mut self.state else {
            return Step::Continue;
        };
        if !*started {
            match context.input.take_one_of(&ENDS) {
                Match::Found(_) => {
                    context.push_arguments("{}");
                    context.end_call();
                    return self.transition(State::Start);
                }
                Match::Incomplete => return Step::NeedMoreInput,
                Match::Absent => *started = true,
            }
        }
        let mut text = String::new();
        let result = reader.read(&mut context.input, &mut text);
        context.push_arguments(&text);
        match result {
            Match::Incomplete if !context.input.has_ended() => Step::NeedMoreInput,
            Match::Found(()) => {
                context.end_call();
                self.transition(State::CallEnd)
            }
            Match::Absent | Match::Incomplete => self.transition(State::Repair),
        }
    }

    fn repair(&mut self, context: &mut Context) -> Step {
        let start = context.arguments_start();
        match context.repair_call(&ENDS) {
            Match::Incomplete => return Step::NeedMoreInput,
            Match::Found(()) => {}
            Match::Absent => {
                if self.had_content {
                    context.push_content("\n");
                }
                self.had_content = true;
                let text = context.input.take_pending();
                let text = text.trim_end();
                let is_closed = ENDS.iter().any(|end| text.ends_with(*end));
                // A truncated call has no delimiters.
                context.push_content(if is_closed { text } else { &text[start..] });
            }
        }
        self.transition(State::Start)
    }

    fn text(&mut self, context: &mut Context, kind: Kind, started: bool) -> Step {
        if kind == Kind::Reasoning && !started {
            let _ = context.input.peek();
            context.input.commit();
        }
        let trim = |text: &str| match kind {
            Kind::Reasoning => text.trim_end().len(),
            Kind::Content => text.len(),
        };
        let rest = context.input.rest();
        match context.input.find(&TEXT_ENDS) {
            Found::At { start, which } => {
                let end = TEXT_ENDS[which];
                let end = if ENDS.contains(&end) { end.len() } else { 0 };
                let kept = if std::mem::take(&mut self.is_rejected) {
                    end
                } else {
                    0
                };
                let text = trim(&rest[..start]) + kept;
                self.emit(context, kind, text, started);
                context.input.advance(start + end - text);
                context.input.commit();
                self.transition(State::Start)
            }
            Found::Nowhere { safe } => {
                let text = trim(&rest[..safe]);
                self.emit(context, kind, text, started);
                context.input.advance(safe - text);
                self.state = State::Text {
                    kind,
                    started: started || text > 0,
                };
                if context.input.has_ended() {
                    context.input.advance_to_end();
                    context.input.commit();
                }
                Step::NeedMoreInput
            }
        }
    }

    /// Emits `bytes` of the rest; messages of the same kind are separated by a line break.
    fn emit(&mut self, context: &mut Context, kind: Kind, bytes: usize, started: bool) {
        if bytes == 0 {
            return;
        }
        match kind {
            Kind::Reasoning => {
                if self.had_reasoning && !started {
                    context.push_reasoning("\n");
                }
                self.had_reasoning = true;
                context.emit_reasoning(bytes);
            }
            Kind::Content => {
                if self.had_content && !started {
                    context.push_content("\n");
                }
                self.had_content = true;
                context.emit_content(bytes);
            }
        }
    }
}

/// The word that follows `pattern` in a header.
fn word_after<'a>(header: &'a str, pattern: &str) -> Option<&'a str> {
    let (_, text) = header.split_once(pattern)?;
    let text = text.trim_start();
    let end = text.find(|character: char| character.is_whitespace() || character == '<');
    Some(&text[..end.unwrap_or(text.len())]).filter(|word| !word.is_empty())
}

/// An optional message on the analysis channel and the start of the next message.
pub(crate) fn analysis_grammar(lark: &mut LarkBuilder<'_>) -> String {
    let text = lark.text_until(END);
    let message = Sequence::new()
        .delimiter(lark, CHANNEL)
        .text("analysis")
        .delimiter(lark, MESSAGE)
        .expression(&text)
        .delimiter(lark, START)
        .text("assistant");
    format!("({})?", message.build())
}

/// A message on the final channel with this content.
pub(crate) fn final_grammar(lark: &LarkBuilder<'_>, content: &str) -> String {
    Sequence::new()
        .delimiter(lark, CHANNEL)
        .text("final")
        .delimiter(lark, MESSAGE)
        .expression(content)
        .build()
}

/// One message on the commentary channel. The token that ends the message ends the completion.
pub(super) fn grammar(lark: &LarkBuilder<'_>, tools: &[&Tool]) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .delimiter(lark, CHANNEL)
                .text(&format!("commentary to=functions.{} ", tool.name))
                .delimiter(lark, CONSTRAIN)
                .text("json")
                .delimiter(lark, MESSAGE)
                .expression(&json_arguments(tool))
                .build()
        })
        .collect();
    one_of(&calls)
}
