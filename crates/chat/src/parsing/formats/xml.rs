//! Calls whose arguments are plain text between tags. Shared by three families, whose modules define the tags.

use serde_json::Value;

use crate::lark::{LarkBuilder, Sequence, enum_strings, json, one_of};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, escape_into, quote};
use crate::parsing::tool::Tool;
use crate::parsing::values::{Types, from_text};

/// The tags of one family.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// Starts the calls.
    pub open: &'static str,
    /// Ends the calls.
    pub close: &'static str,
    /// Precedes a name; empty if the name follows `open`.
    pub call_open: &'static str,
    /// Follows a name; without one, the name ends at a line break or a tag.
    pub name_end: Option<&'static str>,
    /// Ends a call; equal to `close` if each call is delimited separately.
    pub call_close: &'static str,
    /// Precedes the name of an argument.
    pub key_open: &'static str,
    /// Follows the name of an argument.
    pub key_close: &'static str,
    /// Precedes a value; may be empty.
    pub value_open: &'static str,
    /// Ends a value; the longest match counts.
    pub value_close: &'static [&'static str],
    /// Whether values are on separate lines.
    pub value_on_lines: bool,
}

/// Parses calls of one family.
#[derive(Debug)]
pub(crate) struct Xml {
    syntax: &'static Syntax,
    state: State,
    arguments: ObjectWriter,
}

#[derive(Debug)]
enum State {
    CallOrEnd {
        first: bool,
    },
    Name,
    KeyOrEnd,
    Key,
    ValueOpen {
        key: String,
    },
    /// A value that can only be a string: emitted incrementally.
    Text,
    /// A value whose type is known only at its end.
    Value {
        text: String,
        types: Types,
    },
}

impl Xml {
    /// After the start delimiter `start`.
    pub fn after(syntax: &'static Syntax, start: &str) -> Self {
        let state = if syntax.call_open.is_empty() || start == syntax.call_open {
            State::Name
        } else {
            State::CallOrEnd { first: true }
        };
        Self {
            syntax,
            state,
            arguments: ObjectWriter::default(),
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    fn name(&mut self, context: &mut Context) -> Step {
        let name = match self.syntax.name_end {
            Some(end) => context.input.take_name(end),
            None => context
                .input
                .take_word(|character| !matches!(character, '\n' | '<' | '{')),
        };
        match name {
            Match::Found(name) if context.start_call(name.trim()) => {
                self.arguments = ObjectWriter::default();
                self.transition(State::KeyOrEnd)
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    /// Ends a call; `at_end`: the last one.
    fn end_call(&mut self, context: &mut Context, at_end: bool) -> Step {
        context.emit_arguments(self.arguments.end());
        context.end_call();
        if at_end {
            return Step::Done;
        }
        self.transition(State::CallOrEnd { first: false })
    }

    fn begin_value(&mut self, context: &mut Context, key: &str) -> Step {
        let types = Types::of(context.tool().and_then(|tool| tool.property(key)));
        let mut text = self.arguments.member(key, "");
        if types.is_string() {
            text.push('"');
            context.emit_arguments(&text);
            self.transition(State::Text)
        } else {
            context.emit_arguments(&text);
            let text = String::new();
            self.transition(State::Value { text, types })
        }
    }

    /// Consumes text of a value; true with the last of it.
    fn value_text(&self, context: &mut Context) -> (String, bool) {
        let (text, close_length) = match context.input.find(self.syntax.value_close) {
            Found::At { start, which } => (start, Some(self.syntax.value_close[which].len())),
            Found::Nowhere { safe } => (safe, None),
        };
        let value = context.input.rest()[..text].to_owned();
        context.input.advance(text + close_length.unwrap_or(0));
        (value, close_length.is_some())
    }
}

impl ToolCallParser for Xml {
    fn step(&mut self, context: &mut Context) -> Step {
        let syntax = self.syntax;
        match &mut self.state {
            State::CallOrEnd { first } => {
                let first = *first;
                match context.input.take_one_of(&[syntax.call_open, syntax.close]) {
                    Match::Found(0) => self.transition(State::Name),
                    Match::Found(_) | Match::Absent if !first => Step::Done,
                    Match::Found(_) | Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            State::Name => self.name(context),
            State::KeyOrEnd => {
                let next = [syntax.key_open, syntax.call_close, syntax.close];
                match context.input.take_one_of(&next) {
                    Match::Found(0) => self.transition(State::Key),
                    Match::Found(which) => {
                        self.end_call(context, which == 2 || syntax.call_close == syntax.close)
                    }
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            State::Key => match context.input.take_name(syntax.key_close) {
                Match::Found(key) => self.transition(State::ValueOpen { key }),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::ValueOpen { key } => {
                let key = std::mem::take(key);
                let opened = if syntax.value_open.is_empty() {
                    line_break(context, syntax.value_on_lines)
                } else {
                    context.input.take(syntax.value_open)
                };
                match opened {
                    Match::Found(()) => self.begin_value(context, &key),
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => {
                        self.state = State::ValueOpen { key };
                        Step::NeedMoreInput
                    }
                }
            }
            State::Text => {
                let (text, ended) = self.value_text(context);
                let mut json = String::new();
                escape_into(&text, &mut json);
                if ended {
                    json.push('"');
                    self.state = State::KeyOrEnd;
                }
                context.emit_arguments(&json);
                if ended {
                    Step::Continue
                } else {
                    Step::NeedMoreInput
                }
            }
            State::Value { .. } => {
                let (more, ended) = self.value_text(context);
                let State::Value { text, types } = &mut self.state else {
                    return Step::Continue;
                };
                text.push_str(&more);
                context.input.commit();
                if !ended {
                    return Step::NeedMoreInput;
                }
                let json = from_text(text, *types);
                context.emit_arguments(&json);
                self.transition(State::KeyOrEnd)
            }
        }
    }

    fn flush_truncated(&mut self, context: &mut Context) {
        let rest = context.input.rest().to_owned();
        match &self.state {
            State::Text => {
                let mut json = String::new();
                escape_into(&rest, &mut json);
                context.emit_arguments(&json);
            }
            State::Value { text, .. } => {
                let text = format!("{text}{rest}");
                context.emit_arguments(text.trim());
            }
            _ => {}
        }
    }
}

/// Consumes the line break before a value, if there is one and it is `expected`.
fn line_break(context: &mut Context, expected: bool) -> Match {
    if expected {
        match context.input.rest().chars().next() {
            Some('\n') => context.input.advance(1),
            Some(_) => {}
            None => return Match::Incomplete,
        }
    }
    Match::Found(())
}

impl Syntax {
    /// Calls with a line break after every tag except those of values.
    pub fn grammar(&self, lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
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
    fn value_grammar(&self, lark: &mut LarkBuilder<'_>, schema: &Value) -> String {
        let close = self.value_close.last().copied().unwrap_or_default();
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
        ended(lark, &json(schema))
    }
}
