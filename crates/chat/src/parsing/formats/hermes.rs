//! `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::{CallsReader, quote};
use crate::parsing::lark::{Lark, Sequence, json_arguments};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

/// Reads JSON calls between two delimiters. The closing one may be missing.
#[derive(Debug)]
pub(super) struct Hermes {
    calls: CallsReader,
    at_end: bool,
}

impl Hermes {
    pub fn new() -> Self {
        Self {
            calls: CallsReader::marked(),
            at_end: false,
        }
    }
}

impl CallReader for Hermes {
    fn step(&mut self, context: &mut Context) -> Step {
        if self.at_end {
            return match context.input.take(CLOSE) {
                Match::Found(()) | Match::Absent => Step::Close,
                Match::Incomplete => Step::NeedMoreInput,
            };
        }
        match self.calls.read(context) {
            Match::Found(()) => {
                self.at_end = true;
                Step::Again
            }
            Match::Absent => Step::Broken,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// One marked object per call.
pub(super) fn grammar(lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .marker(lark, OPEN)
                .text(&format!(
                    "\n{{\"name\": {}, \"arguments\": ",
                    quote(&tool.name)
                ))
                .expression(&json_arguments(tool))
                .text("}\n")
                .marker(lark, CLOSE)
                .build()
        })
        .collect();
    lark.calls(&calls, "\n", parallel)
}
