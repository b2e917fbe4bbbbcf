//! `<｜DSML｜function_calls><｜DSML｜invoke name="NAME"><｜DSML｜parameter name="KEY" string="true">VALUE</｜DSML｜parameter>
//! </｜DSML｜invoke></｜DSML｜function_calls>`; V4 writes `<｜DSML｜tool_calls>`.

use super::xml::{Syntax, Xml};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;
use crate::parsing::values::Types;

/// Whether the value of a parameter is text or JSON follows its name.
pub(super) const SYNTAX: Syntax = Syntax {
    open: "<｜DSML｜function_calls>",
    close: "</｜DSML｜function_calls>",
    call_open: "<｜DSML｜invoke name=\"",
    name_end: Some("\">"),
    call_close: "</｜DSML｜invoke>",
    key_open: "<｜DSML｜parameter name=\"",
    key_close: "\">",
    value_open: "",
    value_close: "</｜DSML｜parameter>",
    value_on_lines: false,
};

pub(super) const SYNTAX_V4: Syntax = Syntax {
    open: "<｜DSML｜tool_calls>",
    close: "</｜DSML｜tool_calls>",
    ..SYNTAX
};

pub(super) const STARTS: [&str; 3] = [SYNTAX.open, SYNTAX_V4.open, SYNTAX.call_open];

pub(super) const CLOSERS: [&str; 4] = [
    SYNTAX.close,
    SYNTAX_V4.close,
    SYNTAX.call_close,
    SYNTAX.value_close,
];

/// A part of every delimiter; a special token of the vocabulary.
pub(super) const DELIMITERS: [&str; 1] = ["｜DSML｜"];

/// A parser for the calls after `start`.
pub(super) fn parser(start: &str) -> Xml {
    if start == SYNTAX_V4.open {
        Xml::after(&SYNTAX_V4, start)
    } else {
        Xml::after(&SYNTAX, start)
    }
}

/// One call after the other between the delimiters.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            let arguments = lark.arguments(tool, "", &|lark, key, schema| {
                let is_string = Types::of(Some(schema)).is_string();
                Sequence::new()
                    .text(&format!(
                        "{}{key}\" string=\"{is_string}\">",
                        SYNTAX.key_open
                    ))
                    .expression(&SYNTAX.value_grammar(lark, schema))
                    .text("\n")
                    .build()
            });
            Sequence::new()
                .text(&format!("{}{}\">\n", SYNTAX.call_open, tool.name))
                .expression(&arguments)
                .text(SYNTAX.call_close)
                .text("\n")
                .build()
        })
        .collect();
    let calls = lark.repeat_calls(&calls, "", parallel);
    Sequence::new()
        .text(&format!("{}\n", SYNTAX.open))
        .expression(&calls)
        .text(SYNTAX.close)
        .build()
}
