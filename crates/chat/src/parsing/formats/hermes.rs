//! `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use super::delimited_json::Syntax;
use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::json::quote;
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[CLOSE],
    is_distinctive: true,
};

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
