//! `<tools>{"name": …, "arguments": {…}}</tools>`: Qwen2.5-Coder writes this tag, a code block or bare JSON, although its
//! template asks for `<tool_call>`. Hermes formats accept them, too.

use super::delimited_json::{FENCE, Syntax, objects};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<tools>";
pub(super) const CLOSE: &str = "</tools>";

/// Starts of calls other than `<tool_call>`. Bare JSON counts at the start of a line only.
pub(super) const STARTS: [&str; 4] = [OPEN, FENCE, "\n{", "\n["];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[CLOSE, "</tool_call>"],
    is_distinctive: false,
};

/// One delimited object per call.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = objects(tools, ["name", "arguments"])
        .iter()
        .map(|call| {
            Sequence::new()
                .delimiter(lark, OPEN)
                .text("\n")
                .expression(call)
                .text("\n")
                .delimiter(lark, CLOSE)
                .build()
        })
        .collect();
    lark.repeat_calls(&calls, "\n", parallel)
}
