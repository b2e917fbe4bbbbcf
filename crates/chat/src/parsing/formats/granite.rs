//! `<|tool_call|>[{"name": …, "arguments": {…}}]` in Granite 3.0 and 3.3, `<tool_call>[…]` in 3.1, or the list alone. Granite
//! 3.3 writes its response between `<response>` tags if it reasons. Granite 4 uses the syntax of Hermes.

use super::delimited_json::{Syntax, objects};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|tool_call|>";
pub(super) const STARTS: [&str; 4] = [OPEN, "<tool_call>", RESPONSE[0], RESPONSE[1]];
/// Tags around the content.
pub(super) const RESPONSE: [&str; 2] = ["<response>", "</response>"];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: Some("<tool_call>"),
    close: &["<|/tool_call|>", "</tool_call>"],
    is_distinctive: true,
};

/// A list after the delimiter.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = objects(tools, ["name", "arguments"]);
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .text("[")
        .expression(&calls)
        .text("]")
        .build()
}
