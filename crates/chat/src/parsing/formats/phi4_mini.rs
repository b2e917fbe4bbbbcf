//! `functools[{"name": …, "arguments": {…}}]`, or `<|tool_call|>[…]<|/tool_call|>`.

use super::delimited_json::{Syntax, list_grammar, objects};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

const WORD: &str = "functools";
pub(super) const OPEN: &str = "<|tool_call|>";
pub(super) const CLOSE: &str = "<|/tool_call|>";
pub(super) const STARTS: [&str; 2] = [WORD, OPEN];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: Some(WORD),
    close: &[CLOSE],
    is_distinctive: true,
};

/// The list between tokens if the vocabulary has them, else after the word.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    if lark.is_special_token(OPEN) {
        return list_grammar(lark, tools, parallel, [OPEN, CLOSE]);
    }
    let calls = objects(tools, ["name", "arguments"]);
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .text(&format!("{WORD}["))
        .expression(&calls)
        .text("]")
        .build()
}
