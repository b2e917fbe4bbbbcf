//! `<seed:tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></seed:tool_call>`.

use super::xml::Syntax;
use crate::lark::LarkBuilder;
use crate::parsing::tool::Tool;

pub(super) const SYNTAX: Syntax = Syntax {
    open: "<seed:tool_call>",
    close: "</seed:tool_call>",
    call_open: "<function=",
    name_end: Some(">"),
    call_close: "</function>",
    key_open: "<parameter=",
    key_close: ">",
    value_open: "",
    value_close: "</parameter>",
    value_on_lines: true,
};

/// As the template writes calls; the parser also accepts line breaks around values.
const INLINE: Syntax = Syntax {
    value_on_lines: false,
    ..SYNTAX
};

pub(super) const STARTS: [&str; 2] = [SYNTAX.open, SYNTAX.call_open];
pub(super) const DELIMITERS: [&str; 2] = [SYNTAX.open, SYNTAX.close];

pub(super) const CLOSERS: [&str; 3] = [SYNTAX.close, SYNTAX.call_close, SYNTAX.value_close];

/// Each call has its own delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let call = INLINE.grammar(lark, tools, false);
    lark.repeat_calls(&[call], "\n", parallel)
}
