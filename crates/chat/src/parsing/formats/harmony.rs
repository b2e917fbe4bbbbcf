//! The channels of gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`, and
//! calls as messages `to=functions.NAME`.
//!
//! Analysis is reasoning; the final channel and what a model says on the commentary channel before it calls is content.

use crate::parsing::context::{Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::ArgumentsReader;
use crate::parsing::lark::{Lark, Sequence, json_arguments, one_of};
use crate::parsing::marker::Found;
use crate::parsing::tool::Tool;

pub(super) const START: &str = "<|start|>";
pub(super) const CHANNEL: &str = "<|channel|>";
pub(super) const CONSTRAIN: &str = "<|constrain|>";
pub(super) const MESSAGE: &str = "<|message|>";
pub(super) const END: &str = "<|end|>";
pub(super) const CALL: &str = "<|call|>";
pub(super) const RETURN: &str = "<|return|>";

pub(super) const MARKERS: [&str; 7] = [START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN];

/// What begins a message; that of the answer itself begins behind `<|start|>assistant`.
const BEGINNINGS: [&str; 4] = [CHANNEL, START, MESSAGE, "to="];
const ENDS: [&str; 3] = [END, CALL, RETURN];
/// What ends the text of a message: its own end, or the beginning of the next.
const TEXT_ENDS: [&str; 5] = [END, CALL, RETURN, START, CHANNEL];
const HEADER_ENDS: [&str; 4] = [MESSAGE, END, CALL, RETURN];

/// The longest header of a message, in bytes.
const LONGEST_HEADER: usize = 512;

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
    /// Before the end of a header, of which nothing is read yet.
    Header,
    Text {
        kind: Kind,
        started: bool,
    },
    Arguments {
        reader: ArgumentsReader,
        started: bool,
    },
    /// Behind the arguments.
    CallEnd,
}

/// Reads a whole answer.
#[derive(Debug, Default)]
pub(crate) struct Harmony {
    state: State,
    had_reasoning: bool,
    had_content: bool,
}

impl Harmony {
    /// Advances; anything but `Again` takes more text.
    pub fn step(&mut self, context: &mut Context) -> Step {
        match &mut self.state {
            State::Start => self.start(context),
            State::Header => self.header(context),
            State::Text { kind, started } => {
                let (kind, started) = (*kind, *started);
                self.text(context, kind, started)
            }
            State::Arguments { .. } => self.arguments(context),
            State::CallEnd => match context.input.take_one_of(&ENDS) {
                Match::Incomplete => Step::NeedMoreInput,
                Match::Found(_) | Match::Absent => {
                    context.complete();
                    self.transition(State::Start)
                }
            },
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Again
    }

    fn start(&mut self, context: &mut Context) -> Step {
        let text = context.input.rest().trim_start();
        if BEGINNINGS.iter().any(|begin| text.starts_with(begin)) {
            return self.transition(State::Header);
        }
        let nothing_new = text.is_empty() && (self.had_reasoning || self.had_content);
        if context.input.rest().is_empty() || nothing_new {
            return Step::NeedMoreInput;
        }
        let may_begin = BEGINNINGS.iter().any(|begin| begin.starts_with(text));
        if may_begin && !context.input.has_ended() {
            return Step::NeedMoreInput;
        }
        self.transition(State::Text {
            kind: Kind::Content,
            started: false,
        })
    }

    fn header(&mut self, context: &mut Context) -> Step {
        match context.input.find(&HEADER_ENDS) {
            Found::At { start, which: 0 } if start <= LONGEST_HEADER => {
                let header = context.input.rest()[..start].to_owned();
                context.input.advance(start + MESSAGE.len());
                self.open(context, &header)
            }
            Found::Nowhere { safe } if safe <= LONGEST_HEADER => {
                if !context.input.has_ended() {
                    return Step::NeedMoreInput;
                }
                // Half a header says nothing.
                context.input.advance_to_end();
                context.input.commit();
                self.transition(State::Start)
            }
            _ => {
                // No header after all. Its first marker is content, so that it does not begin a header again.
                let rest = context.input.rest();
                let space = rest.len() - rest.trim_start().len();
                let begin = BEGINNINGS
                    .iter()
                    .find(|begin| rest[space..].starts_with(**begin));
                let length = space + begin.map_or(0, |begin| begin.len());
                self.give(context, Kind::Content, length, true);
                self.transition(State::Text {
                    kind: Kind::Content,
                    started: true,
                })
            }
        }
    }

    /// Behind a header, which is read and held.
    fn open(&mut self, context: &mut Context, header: &str) -> Step {
        let reasons = word_behind(header, CHANNEL) == Some("analysis");
        let kind = if reasons {
            Kind::Reasoning
        } else {
            Kind::Content
        };
        if let Some(recipient) = word_behind(header, "to=") {
            let name = recipient.strip_prefix("functions.").unwrap_or(recipient);
            if context.announce(name) {
                return self.transition(State::Arguments {
                    reader: ArgumentsReader::new(),
                    started: false,
                });
            }
            if !reasons {
                // A call of nothing known: given back with its header.
                context.flush_as_content();
            }
        }
        context.input.commit();
        self.transition(State::Text {
            kind,
            started: false,
        })
    }

    fn arguments(&mut self, context: &mut Context) -> Step {
        let State::Arguments { reader, started } = &mut self.state else {
            return Step::Again;
        };
        if !*started {
            match context.input.take_one_of(&ENDS) {
                Match::Found(_) => {
                    context.arguments("{}");
                    context.complete();
                    return self.transition(State::Start);
                }
                Match::Incomplete => return Step::NeedMoreInput,
                Match::Absent => *started = true,
            }
        }
        let mut text = String::new();
        let result = reader.read(&mut context.input, &mut text);
        context.arguments(&text);
        match result {
            Match::Incomplete => Step::NeedMoreInput,
            Match::Found(()) => {
                context.complete();
                self.transition(State::CallEnd)
            }
            Match::Absent => {
                context.complete();
                self.transition(State::Text {
                    kind: Kind::Content,
                    started: false,
                })
            }
        }
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
                let text = trim(&rest[..start]);
                self.give(context, kind, text, started);
                let end = TEXT_ENDS[which];
                let end = if ENDS.contains(&end) { end.len() } else { 0 };
                context.input.advance(start - text + end);
                context.input.commit();
                self.transition(State::Start)
            }
            Found::Nowhere { safe } => {
                let text = trim(&rest[..safe]);
                self.give(context, kind, text, started);
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

    /// Gives out so many bytes; a line break keeps messages of a kind apart.
    fn give(&mut self, context: &mut Context, kind: Kind, bytes: usize, started: bool) {
        if bytes == 0 {
            return;
        }
        match kind {
            Kind::Reasoning => {
                if self.had_reasoning && !started {
                    context.reasoning("\n");
                }
                self.had_reasoning = true;
                context.take_reasoning(bytes);
            }
            Kind::Content => {
                if self.had_content && !started {
                    context.content("\n");
                }
                self.had_content = true;
                context.take_content(bytes);
            }
        }
    }
}

/// The word that follows `sign` in a header.
fn word_behind<'a>(header: &'a str, sign: &str) -> Option<&'a str> {
    let (_, text) = header.split_once(sign)?;
    let text = text.trim_start();
    let end = text.find(|character: char| character.is_whitespace() || character == '<');
    Some(&text[..end.unwrap_or(text.len())]).filter(|word| !word.is_empty())
}

/// A message of the analysis channel, which may be left out, and the beginning of the next.
pub(crate) fn analysis_grammar(lark: &mut Lark<'_>) -> String {
    let text = lark.until(END);
    let message = Sequence::new()
        .marker(lark, CHANNEL)
        .text("analysis")
        .marker(lark, MESSAGE)
        .expression(&text)
        .marker(lark, START)
        .text("assistant");
    format!("({})?", message.build())
}

/// The message on the channel for answers, which is `form`.
pub(crate) fn final_grammar(lark: &Lark<'_>, form: &str) -> String {
    Sequence::new()
        .marker(lark, CHANNEL)
        .text("final")
        .marker(lark, MESSAGE)
        .expression(form)
        .build()
}

/// One message on the commentary channel. The token that would end it ends the answer.
pub(super) fn grammar(lark: &Lark<'_>, tools: &[&Tool]) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .marker(lark, CHANNEL)
                .text(&format!("commentary to=functions.{} ", tool.name))
                .marker(lark, CONSTRAIN)
                .text("json")
                .marker(lark, MESSAGE)
                .expression(&json_arguments(tool))
                .build()
        })
        .collect();
    one_of(&calls)
}
