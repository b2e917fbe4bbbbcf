//! Grammars of calls whose arguments are plain text between tags.

use serde_json::Value;

use super::xml::Syntax;
use crate::lark::{self, LarkBuilder, Sequence, enum_strings, one_of};
use crate::parsing::json::quote;
use crate::parsing::tool::Tool;
use crate::parsing::values::Types;

impl Syntax {
    /// Calls with a line break after every tag except those of values.
    pub(super) fn grammar(
        &self,
        lark: &mut LarkBuilder<'_>,
        tools: &[&Tool],
        parallel: bool,
    ) -> String {
        let calls: Vec<String> = tools
            .iter()
            .map(|tool| self.call_grammar(lark, tool))
            .collect();
        if self.call_open.is_empty() || self.value_on_lines {
            // Each call has its own outer delimiters.
            let call = Sequence::new().delimiter(lark, self.open);
            let call = if self.call_open.is_empty() {
                call
            } else {
                call.text("\n")
            };
            let call = call
                .expression(&one_of(&calls))
                .delimiter(lark, self.close)
                .build();
            return lark.repeat_calls(&[call], "\n", parallel);
        }
        let calls = lark.repeat_calls(&calls, "", parallel);
        Sequence::new()
            .delimiter(lark, self.open)
            .text("\n")
            .expression(&calls)
            .delimiter(lark, self.close)
            .build()
    }

    fn call_grammar(&self, lark: &mut LarkBuilder<'_>, tool: &Tool) -> String {
        let arguments = lark.arguments(tool, "", &|lark, key, schema| {
            let value = self.value_grammar(lark, schema);
            let item = Sequence::new()
                .delimiter(lark, self.key_open)
                .text(key)
                .delimiter(lark, self.key_close);
            let item = if self.value_open.is_empty() {
                item
            } else {
                item.text("\n").delimiter(lark, self.value_open)
            };
            let item = if self.value_on_lines {
                item.text("\n")
            } else {
                item
            };
            item.expression(&value).text("\n").build()
        });
        let call = Sequence::new()
            .text(self.call_open)
            .text(&tool.name)
            .text(self.name_end.unwrap_or_default())
            .text("\n")
            .expression(&arguments);
        if self.call_close == self.close {
            return call.build();
        }
        call.text(self.call_close).text("\n").build()
    }

    /// A value and its closing tag.
    pub(super) fn value_grammar(&self, lark: &mut LarkBuilder<'_>, schema: &Value) -> String {
        let close = self.value_close;
        let ended = |lark: &LarkBuilder<'_>, value: &str| {
            let value = Sequence::new().expression(value);
            let value = if self.value_on_lines {
                value.text("\n")
            } else {
                value
            };
            value.delimiter(lark, close).build()
        };
        if let Some(listed) = enum_strings(schema) {
            let listed: Vec<String> = listed.into_iter().map(quote).collect();
            return ended(lark, &one_of(&listed));
        }
        if Types::of(Some(schema)).allows_string() {
            return lark.text_until(close);
        }
        ended(lark, &lark::json(schema))
    }
}
