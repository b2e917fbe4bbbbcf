//! `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`, with or without line breaks in between.

use super::xml::Syntax;

pub(super) const SYNTAX: Syntax = Syntax {
    open: "<tool_call>",
    close: "</tool_call>",
    call_open: "",
    name_end: None,
    call_close: "</tool_call>",
    key_open: "<arg_key>",
    key_close: "</arg_key>",
    value_open: "<arg_value>",
    value_close: "</arg_value>",
    value_on_lines: false,
};

pub(super) const DELIMITERS: [&str; 6] = [
    SYNTAX.open,
    SYNTAX.close,
    SYNTAX.key_open,
    SYNTAX.key_close,
    SYNTAX.value_open,
    SYNTAX.value_close,
];

pub(super) const CLOSERS: [&str; 2] = [SYNTAX.close, SYNTAX.value_close];
