//! `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::{JsonCallsParser, quote};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

/// Parses JSON calls between two delimiters. The closing one may be missing.
#[derive(Debug)]
pub(super) struct Hermes {
    calls: JsonCallsParser,
    at_end: bool,
}

impl Hermes {
    pub fn new() -> Self {
        Self {
            calls: JsonCallsParser::delimited(),
            at_end: false,
        }
    }
}

impl ToolCallParser for Hermes {
    fn step(&mut self, context: &mut Context) -> Step {
        if self.at_end {
            return match context.input.take(CLOSE) {
                Match::Found(()) | Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            };
        }
        match self.calls.read(context) {
            Match::Found(()) => {
                self.at_end = true;
                Step::Continue
            }
            Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// One delimited object per call.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .delimiter(lark, OPEN)
                .text(&format!(
                    "\n{{\"name\": {}, \"arguments\": ",
                    quote(&tool.name)
                ))
                .expression(&json_arguments(tool))
                .text("}\n")
                .delimiter(lark, CLOSE)
                .build()
        })
        .collect();
    lark.repeat_calls(&calls, "\n", parallel)
}
