//! `{"name": …, "parameters": {…}}` as the whole answer, several with `;` between them, perhaps behind `<|python_tag|>`.

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::{CallsReader, quote};
use crate::parsing::lark::{Lark, Sequence, json_arguments};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|python_tag|>";

/// Reads JSON calls that no marker ends.
#[derive(Debug)]
pub(super) struct Llama3Json {
    calls: CallsReader,
}

impl Llama3Json {
    /// Behind the marker.
    pub fn marked() -> Self {
        Self {
            calls: CallsReader::marked(),
        }
    }

    /// At the beginning of an answer.
    pub fn bare() -> Self {
        Self {
            calls: CallsReader::bare(),
        }
    }
}

impl CallReader for Llama3Json {
    fn step(&mut self, context: &mut Context) -> Step {
        match self.calls.read(context) {
            Match::Found(()) => Step::Close,
            Match::Absent => Step::Broken,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// Bare objects.
pub(super) fn grammar(lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
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
    lark.calls(&calls, "; ", parallel)
}
