//! `<|tool_call_start|>[name(key=value)]<|tool_call_end|>`.

use super::pythonic::{self, Pythonic};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|tool_call_start|>";
pub(super) const CLOSE: &str = "<|tool_call_end|>";

/// Reads what follows the delimiter: a Python list of calls.
pub(super) fn parser() -> Pythonic {
    Pythonic::closed_by(CLOSE)
}

/// A Python list between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = pythonic::grammar(lark, tools, parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .expression(&calls)
        .delimiter(lark, CLOSE)
        .build()
}
