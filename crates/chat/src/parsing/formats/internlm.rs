//! `<|action_start|><|plugin|>{"name": …, "parameters": {…}}<|action_end|>`: `InternLM` 2, 2.5 and 3.

use super::delimited_json::{Syntax, objects};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<|action_start|>";
const PLUGIN: &str = "<|plugin|>";
const CLOSE: &str = "<|action_end|>";
pub(super) const DELIMITERS: [&str; 3] = [OPEN, PLUGIN, CLOSE];

pub(super) const SYNTAX: Syntax = Syntax {
    prefix: Some(PLUGIN),
    close: &[CLOSE],
    is_distinctive: true,
};

/// One delimited object per call.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = objects(tools, ["name", "parameters"])
        .iter()
        .map(|call| {
            Sequence::new()
                .delimiter(lark, OPEN)
                .delimiter(lark, PLUGIN)
                .text("\n")
                .expression(call)
                .text("\n")
                .delimiter(lark, CLOSE)
                .build()
        })
        .collect();
    lark.repeat_calls(&calls, "\n", parallel)
}
