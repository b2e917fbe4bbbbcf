//! `{"name": …, "parameters": {…}}` as the whole output or after `<|python_tag|>`; several are separated by `;`.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::{JsonCallsParser, quote};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|python_tag|>";

/// Parses JSON calls without a closing delimiter.
#[derive(Debug)]
pub(super) struct Llama3Json {
    calls: JsonCallsParser,
}

impl Llama3Json {
    /// After the delimiter.
    pub fn delimited() -> Self {
        Self {
            calls: JsonCallsParser::delimited(),
        }
    }

    /// At the start of the output.
    pub fn undelimited() -> Self {
        Self {
            calls: JsonCallsParser::undelimited(),
        }
    }
}

impl ToolCallParser for Llama3Json {
    fn step(&mut self, context: &mut Context) -> Step {
        match self.calls.read(context) {
            Match::Found(()) => Step::Done,
            Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// Objects without delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            Sequence::new()
                .text(&format!(
                    "{{\"name\": {}, \"parameters\": ",
                    quote(&tool.name)
                ))
                .expression(&json_arguments(tool))
                .text("}")
                .build()
        })
        .collect();
    lark.repeat_calls(&calls, "; ", parallel)
}
