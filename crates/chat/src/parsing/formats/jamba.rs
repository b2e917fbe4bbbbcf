//! `<tool_calls>[{"name": …, "arguments": {…}}]</tool_calls>`: Jamba, Hunyuan A13B, `MiniMax` M1, which writes one object a
//! line, and Apriel 1.6.

use super::delimited_json::{Syntax, list_grammar};
use crate::lark::LarkBuilder;
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<tool_calls>";
pub(super) const CLOSE: &str = "</tool_calls>";

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[CLOSE],
    is_distinctive: true,
};

/// A list between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    list_grammar(lark, tools, parallel, [OPEN, CLOSE])
}
