//! `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": …, "parameters": {…}}]<|END_ACTION|>`: Command R7B, Command A.
//! Command R and R+ write `Action:` and a Markdown code block with the list. Responses are between
//! `<|START_RESPONSE|>` and `<|END_RESPONSE|>`.

use super::delimited_json::Syntax;
use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::json::quote;
use crate::parsing::tool::Tool;

const OPEN: &str = "<|START_ACTION|>";
const CLOSE: &str = "<|END_ACTION|>";
pub(super) const DELIMITERS: [&str; 2] = [OPEN, CLOSE];
/// Tags around the content.
pub(super) const RESPONSE: [&str; 2] = ["<|START_RESPONSE|>", "<|END_RESPONSE|>"];
pub(super) const STARTS: [&str; 4] = [OPEN, "Action:", RESPONSE[0], RESPONSE[1]];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[CLOSE],
    is_distinctive: true,
};

/// A list between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            let name = quote(&tool.name);
            Sequence::new()
                .text("    {\"tool_call_id\": \"")
                .expression("/[0-9]{1,2}/")
                .text(&format!("\", \"tool_name\": {name}, \"parameters\": "))
                .expression(&json_arguments(tool))
                .text("}")
                .build()
        })
        .collect();
    let calls = lark.repeat_calls(&calls, ",\n", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .text("[\n")
        .expression(&calls)
        .text("\n]")
        .delimiter(lark, CLOSE)
        .build()
}
