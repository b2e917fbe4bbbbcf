//! `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`, values on separate lines.

use super::xml::Syntax;

pub(super) const SYNTAX: Syntax = Syntax {
    open: "<tool_call>",
    close: "</tool_call>",
    call_open: "<function=",
    name_end: Some(">"),
    call_close: "</function>",
    key_open: "<parameter=",
    key_close: ">",
    value_open: "",
    value_close: "</parameter>",
    value_on_lines: true,
};

pub(super) const DELIMITERS: [&str; 2] = [SYNTAX.open, SYNTAX.close];

pub(super) const CLOSERS: [&str; 3] = [SYNTAX.close, SYNTAX.call_close, SYNTAX.value_close];
