//! `<|tools_prefix|>[{"NAME": {…}}, …]<|tools_suffix|>`.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::{MAX_NAME_BYTES, Match};
use crate::parsing::json::{ArgumentsParser, StringDecoder, Verdict, quote};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|tools_prefix|>";
pub(super) const CLOSE: &str = "<|tools_suffix|>";
pub(super) const DELIMITERS: [&str; 2] = [OPEN, CLOSE];

/// Parses the list after the delimiter.
#[derive(Debug)]
pub(super) enum Apertus {
    Open,
    /// Before an object.
    Item,
    /// Before the quote of a name.
    Quote,
    Name {
        string: StringDecoder,
        name: String,
    },
    Colon,
    Arguments(ArgumentsParser),
    /// After the arguments.
    ItemEnd,
    CommaOrEnd,
    Close,
}

impl Apertus {
    fn transition(&mut self, next: Self) -> Step {
        *self = next;
        Step::Continue
    }

    /// Consumes `literal` and transitions to `next`.
    fn expect(&mut self, context: &mut Context, literal: &str, next: Self) -> Step {
        match context.input.take(literal) {
            Match::Found(()) => self.transition(next),
            Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    fn name(&mut self, context: &mut Context) -> Step {
        let Self::Name { string, name } = self else {
            return Step::Continue;
        };
        let mut read = 0;
        let mut verdict = Verdict::Inside;
        for character in context.input.rest().chars() {
            read += character.len_utf8();
            verdict = string.feed(character, name);
            if verdict != Verdict::Inside || name.len() > MAX_NAME_BYTES {
                break;
            }
        }
        let is_short = name.len() <= MAX_NAME_BYTES;
        context.input.advance(read);
        match verdict {
            Verdict::Last if context.start_call(name) => self.transition(Self::Colon),
            Verdict::Inside if is_short => Step::NeedMoreInput,
            _ => Step::Invalid,
        }
    }
}

impl ToolCallParser for Apertus {
    fn step(&mut self, context: &mut Context) -> Step {
        match self {
            Self::Open => self.expect(context, "[", Self::Item),
            Self::Item => self.expect(context, "{", Self::Quote),
            Self::Quote => {
                let name = Self::Name {
                    string: StringDecoder::default(),
                    name: String::new(),
                };
                self.expect(context, "\"", name)
            }
            Self::Name { .. } => self.name(context),
            Self::Colon => self.expect(context, ":", Self::Arguments(ArgumentsParser::new())),
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(&mut context.input, &mut text);
                context.push_arguments(&text);
                match result {
                    Match::Found(()) => {
                        context.end_call();
                        self.transition(Self::ItemEnd)
                    }
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            Self::ItemEnd => match context.input.take("}") {
                Match::Found(()) | Match::Absent => self.transition(Self::CommaOrEnd),
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::CommaOrEnd => match context.input.take_one_of(&[",", "]"]) {
                Match::Found(0) => self.transition(Self::Item),
                Match::Found(_) | Match::Absent => self.transition(Self::Close),
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Close => match context.input.take(CLOSE) {
                Match::Found(()) | Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// A list between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .text(&format!("{{{}: ", quote(&tool.name)))
                .expression(&json_arguments(tool))
                .text("}")
                .build()
        })
        .collect();
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .text("[")
        .expression(&calls)
        .text("]")
        .delimiter(lark, CLOSE)
        .build()
}
