//! `[{"name": …, "arguments": {…}}]` as the whole output, in a Markdown code block, or after the delimiters of other models.

use super::delimited_json::{FENCE, Syntax, objects};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const STARTS: [&str; 3] = [FENCE, "<tool_call>", "[TOOL_CALLS]"];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: Some("[TOOL_CALLS]"),
    close: &["</tool_call>"],
    is_distinctive: false,
};

/// A bare list.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = objects(tools, ["name", "arguments"]);
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .text("[")
        .expression(&calls)
        .text("]")
        .build()
}
