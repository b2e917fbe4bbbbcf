//! `<|tool_call_start|>[name(key=value)]<|tool_call_end|>`.

use super::pythonic::{self, Pythonic};
use crate::parsing::lark::{Lark, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|tool_call_start|>";
pub(super) const CLOSE: &str = "<|tool_call_end|>";

/// Reads what follows the marker: a Python list of calls.
pub(super) fn reader() -> Pythonic {
    Pythonic::closed_by(CLOSE)
}

/// A Python list between the delimiters.
pub(super) fn grammar(lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = pythonic::grammar(lark, tools, parallel);
    Sequence::new()
        .marker(lark, OPEN)
        .expression(&calls)
        .marker(lark, CLOSE)
        .build()
}
