//! JSON calls without delimiters of their own: bare, or in a Markdown code block. Models write them if they ignore the
//! delimiters that their prompt asks for.

use super::delimited_json::{FENCE, Syntax, objects};
use crate::lark::LarkBuilder;
use crate::parsing::tool::Tool;

/// Starts of calls anywhere in the content.
pub(super) const STARTS: [&str; 3] = [FENCE, "{", "["];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[],
    is_distinctive: false,
};

/// Bare objects.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = objects(tools, ["name", "arguments"]);
    lark.repeat_calls(&calls, "\n", parallel)
}
