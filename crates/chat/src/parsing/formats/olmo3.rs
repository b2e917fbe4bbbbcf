//! `<function_calls>name(key=value)</function_calls>`, several calls on separate lines.

use super::pythonic::{self, Pythonic};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<function_calls>";
pub(super) const CLOSE: &str = "</function_calls>";

/// Parses calls after the delimiter, one a line.
pub(super) fn parser() -> Pythonic {
    Pythonic::lines_closed_by(CLOSE)
}

/// One call a line between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = pythonic::call_grammars(lark, tools);
    let calls = lark.repeat_calls(&calls, "\n", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .expression(&calls)
        .delimiter(lark, CLOSE)
        .build()
}
