//! `<minimax:tool_call><invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke></minimax:tool_call>`.

use super::xml::Syntax;

pub(super) const SYNTAX: Syntax = Syntax {
    open: "<minimax:tool_call>",
    close: "</minimax:tool_call>",
    call_open: "<invoke name=\"",
    name_end: Some("\">"),
    call_close: "</invoke>",
    key_open: "<parameter name=\"",
    key_close: "\">",
    value_open: "",
    value_close: "</parameter>",
    value_on_lines: false,
};

pub(super) const DELIMITERS: [&str; 2] = [SYNTAX.open, SYNTAX.close];

pub(super) const CLOSERS: [&str; 3] = [SYNTAX.close, SYNTAX.call_close, SYNTAX.value_close];
