//! `<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>{…}<|tool_call_end|>…
//! <|tool_calls_section_end|>`.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, NAMESPACE, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::ArgumentsParser;
use crate::parsing::tool::Tool;

const OPEN: &str = "<|tool_calls_section_begin|>";
const CLOSE: &str = "<|tool_calls_section_end|>";
const CALL_OPEN: &str = "<|tool_call_begin|>";
const CALL_CLOSE: &str = "<|tool_call_end|>";
const ARGUMENTS: &str = "<|tool_call_argument_begin|>";
pub(super) const DELIMITERS: [&str; 5] = [OPEN, CLOSE, CALL_OPEN, CALL_CLOSE, ARGUMENTS];
pub(super) const CLOSERS: [&str; 3] = [CLOSE, SINGULAR[1], CALL_CLOSE];
/// Early versions of the model omit the plural.
const SINGULAR: [&str; 2] = ["<|tool_call_section_begin|>", "<|tool_call_section_end|>"];
pub(super) const STARTS: [&str; 3] = [OPEN, SINGULAR[0], CALL_OPEN];

/// Parses the calls of a section.
#[derive(Debug)]
pub(super) enum KimiK2 {
    /// Between calls.
    CallOrEnd,
    /// Before the arguments.
    Id,
    Arguments(ArgumentsParser),
    CallEnd,
}

impl KimiK2 {
    /// After a start delimiter; models sometimes omit the outer one.
    pub fn after(start: &str) -> Self {
        if start == CALL_OPEN {
            Self::Id
        } else {
            Self::CallOrEnd
        }
    }

    fn transition(&mut self, next: Self) -> Step {
        *self = next;
        Step::Continue
    }
}

impl ToolCallParser for KimiK2 {
    fn step(&mut self, context: &mut Context) -> Step {
        let input = &mut context.input;
        match self {
            Self::CallOrEnd => match input.take_one_of(&[CALL_OPEN, CLOSE, SINGULAR[1]]) {
                Match::Found(0) => self.transition(Self::Id),
                Match::Found(_) => Step::Done,
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Id => match input.take_name(ARGUMENTS) {
                Match::Found(id) if context.start_call(name(&id)) => {
                    self.transition(Self::Arguments(ArgumentsParser::new()))
                }
                Match::Found(_) | Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(input, &mut text);
                context.push_arguments(&text);
                match result {
                    Match::Found(()) => {
                        context.end_call();
                        self.transition(Self::CallEnd)
                    }
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            Self::CallEnd => match input.take(CALL_CLOSE) {
                Match::Found(()) => {
                    context.input.commit();
                    self.transition(Self::CallOrEnd)
                }
                Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// The name in an id such as `functions.weather:0`.
fn name(id: &str) -> &str {
    match id.rsplit_once(':') {
        Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => id,
    }
}

/// A section of calls.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .delimiter(lark, CALL_OPEN)
                .text(&format!("{NAMESPACE}{}:", tool.name))
                .expression("/[0-9]{1,2}/")
                .delimiter(lark, ARGUMENTS)
                .expression(&json_arguments(tool))
                .delimiter(lark, CALL_CLOSE)
                .build()
        })
        .collect();
    let calls = lark.repeat_calls(&calls, "", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .expression(&calls)
        .delimiter(lark, CLOSE)
        .build()
}
