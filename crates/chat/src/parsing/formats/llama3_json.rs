//! `{"name": …, "parameters": {…}}`, as the whole output, after prose or after `<|python_tag|>`; several are separated by `;`
//! or in a list.

use super::delimited_json::{FENCE, Syntax, objects};
use crate::lark::LarkBuilder;
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|python_tag|>";
pub(super) const STARTS: [&str; 4] = [OPEN, FENCE, "{", "["];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: None,
    close: &[],
    is_distinctive: true,
};

/// Objects without delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = objects(tools, ["name", "parameters"]);
    lark.repeat_calls(&calls, "; ", parallel)
}
