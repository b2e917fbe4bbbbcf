//! Calls whose arguments are plain text between tags. Shared by three families, whose modules define the tags.

use serde_json::{Value, json};

use crate::lark::{self, LarkBuilder, Sequence, enum_strings, one_of};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::{self, Found};
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, quote};
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
    /// Ends a value, where the next argument or the end of the call follows.
    pub value_close: &'static str,
    /// Whether values are on separate lines.
    pub value_on_lines: bool,
}

/// Parses calls of one family.
#[derive(Debug)]
pub(crate) struct Xml {
    syntax: &'static Syntax,
    state: State,
    arguments: ObjectWriter,
    /// Names of the arguments so far.
    given: Vec<String>,
    /// Whether an attribute says that the current argument is a string.
    is_text: bool,
}

#[derive(Debug)]
enum State {
    CallOrEnd { first: bool },
    Name,
    KeyOrEnd,
    Key,
    ValueOpen,
    Value { text: String },
}

/// The end of a value in the input.
enum ValueEnd {
    At {
        /// Bytes before the tag that ends the value.
        text: usize,
        /// Whether this tag is the closing tag of the value, which may be missing.
        is_closed: bool,
    },
    /// The text before `safe` belongs to the value.
    Nowhere { safe: usize },
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
            given: Vec::new(),
            is_text: false,
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
                self.given.clear();
                self.transition(State::KeyOrEnd)
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    fn key_or_end(&mut self, context: &mut Context) -> Step {
        let syntax = self.syntax;
        let next = [
            syntax.key_open,
            syntax.call_close,
            syntax.close,
            syntax.value_close,
        ];
        match context.input.take_one_of(&next) {
            Match::Found(0) => self.transition(State::Key),
            // A repeated closing tag.
            Match::Found(3) => Step::Continue,
            Match::Found(which) => {
                self.end_call(context, which == 2 || syntax.call_close == syntax.close)
            }
            Match::Absent if self.may_end(context) => {
                context.input.advance_to_end();
                self.end_call(context, true)
            }
            Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    /// Whether the call is whole although the output ends before the closing tags.
    fn may_end(&self, context: &Context) -> bool {
        let rest = context.input.rest().trim();
        let closers = [self.syntax.call_close, self.syntax.close];
        let is_end = context.input.has_ended() && !context.is_truncated();
        is_end
            && closers.iter().any(|closer| closer.starts_with(rest))
            && context.tool().is_some_and(|tool| {
                let mut required = tool.required();
                required.all(|name| self.given.iter().any(|given| given == name))
            })
    }

    /// Ends a call; `at_end`: the last one.
    fn end_call(&mut self, context: &mut Context, at_end: bool) -> Step {
        context.push_arguments(self.arguments.end());
        context.end_call();
        if at_end {
            return Step::Done;
        }
        self.transition(State::CallOrEnd { first: false })
    }

    /// Consumes text of a value.
    fn value(&mut self, context: &mut Context) -> Step {
        let State::Value { text } = &mut self.state else {
            return Step::Continue;
        };
        let mut value = std::mem::take(text);
        let (read, closed_by) = match self.value_end(&value, context) {
            ValueEnd::At { text, is_closed } => (text, Some(is_closed)),
            ValueEnd::Nowhere { safe } => (safe, None),
        };
        value.push_str(&context.input.rest()[..read]);
        context.input.advance(read);
        let Some(is_closed) = closed_by else {
            self.state = State::Value { text: value };
            return Step::NeedMoreInput;
        };
        if is_closed {
            context.input.advance(self.syntax.value_close.len());
        }
        let mut text = value.as_str();
        if self.syntax.value_on_lines || !is_closed {
            text = text.strip_suffix('\n').unwrap_or(text);
        }
        let key = self.given.last().map_or("", String::as_str);
        let mut types = Types::of(context.tool().and_then(|tool| tool.property(key)));
        if self.is_text && types == Types::default() {
            types = Types::of(Some(&json!({"type": "string"})));
        }
        let member = self.arguments.member(key, &from_text(text, types));
        context.push_arguments(&member);
        self.transition(State::KeyOrEnd)
    }

    /// Finds the tag that ends a value of which `before` is consumed. A tag inside the value does not end it.
    fn value_end(&self, before: &str, context: &Context) -> ValueEnd {
        let syntax = self.syntax;
        let rest = context.input.rest();
        let tags = [
            syntax.value_close,
            syntax.key_open,
            syntax.call_close,
            syntax.close,
        ];
        let mut from = 0;
        loop {
            let ended = context.input.has_ended();
            let (start, which) = match delimiter::find(&rest[from..], &tags, ended) {
                Found::At { start, which } => (from + start, which),
                Found::Nowhere { safe } => return ValueEnd::Nowhere { safe: from + safe },
            };
            let end = start + tags[which].len();
            let after = &rest[end..];
            let value = [before, &rest[..start]];
            let ends = match which {
                0 if self.has_open_argument(value) => follows(
                    after,
                    &[syntax.key_open, syntax.call_close, syntax.close],
                    ended,
                ),
                0 => follows(
                    after,
                    &[
                        syntax.key_open,
                        syntax.call_close,
                        syntax.close,
                        syntax.value_close,
                    ],
                    ended,
                ),
                1 => self.starts_argument(value, after, context),
                // The closing tag of the value is missing.
                2 if syntax.call_close != syntax.close => {
                    follows(after, &[syntax.close, syntax.open, syntax.call_open], ended)
                }
                _ => follows(after, &[syntax.open], ended),
            };
            match ends {
                Match::Found(()) => {
                    return ValueEnd::At {
                        text: start,
                        is_closed: which == 0,
                    };
                }
                Match::Incomplete => return ValueEnd::Nowhere { safe: start },
                Match::Absent => from = end,
            }
        }
    }

    /// Whether the value contains the opening tag of an argument without its closing tag.
    fn has_open_argument(&self, value: [&str; 2]) -> bool {
        let count = |tag: &str| -> usize {
            let parts = value.iter();
            parts.map(|part| part.matches(tag).count()).sum()
        };
        count(self.syntax.key_open) > count(self.syntax.value_close)
    }

    /// Whether an argument starts after `value` and an opening tag: a missing one of the tool, on a new line unless another tag
    /// precedes its value.
    fn starts_argument(&self, value: [&str; 2], after: &str, context: &Context) -> Match {
        let syntax = self.syntax;
        let before = value.iter().rev().find(|part| !part.is_empty());
        let is_on_line = before.is_some_and(|part| part.ends_with('\n'));
        let Some(tool) = context.tool() else {
            return Match::Absent;
        };
        if syntax.value_open.is_empty() && !is_on_line {
            return Match::Absent;
        }
        let mut result = Match::Absent;
        for (name, _) in tool.properties() {
            if self.given.contains(name) {
                continue;
            }
            let opening = [name.as_str(), syntax.key_close].concat();
            match after.strip_prefix(opening.as_str()) {
                Some(after) if after.trim_start().starts_with(syntax.value_open) => {
                    return Match::Found(());
                }
                Some(after) if syntax.value_open.starts_with(after.trim_start()) => {
                    result = Match::Incomplete;
                }
                None if opening.starts_with(after) => result = Match::Incomplete,
                _ => {}
            }
        }
        if context.input.has_ended() {
            return Match::Absent;
        }
        result
    }
}

/// Whether one of `tags`, or the end of the output, follows in `text` after white space. The end may truncate a tag.
fn follows(text: &str, tags: &[&str], ended: bool) -> Match {
    let text = text.trim_start();
    let mut tags = tags.iter().filter(|tag| !tag.is_empty());
    let found = tags.clone().any(|tag| text.starts_with(tag));
    let is_partial = tags.any(|tag| tag.starts_with(text));
    match (found, ended) {
        (true, _) => Match::Found(()),
        (false, true) if text.is_empty() || is_partial => Match::Found(()),
        (false, false) if is_partial => Match::Incomplete,
        _ => Match::Absent,
    }
}

impl ToolCallParser for Xml {
    fn step(&mut self, context: &mut Context) -> Step {
        let syntax = self.syntax;
        match &self.state {
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
            State::KeyOrEnd => self.key_or_end(context),
            State::Key => match context.input.take_name(syntax.key_close) {
                Match::Found(key) => {
                    let (key, is_text) = split_attribute(&key);
                    self.given.push(key.to_owned());
                    self.is_text = is_text;
                    self.transition(State::ValueOpen)
                }
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::ValueOpen => {
                let opened = if syntax.value_open.is_empty() {
                    line_break(context, syntax.value_on_lines)
                } else {
                    context.input.take(syntax.value_open)
                };
                match opened {
                    Match::Found(()) => self.transition(State::Value {
                        text: String::new(),
                    }),
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            State::Value { .. } => self.value(context),
        }
    }
}

/// The name of an argument and whether it is followed by the attribute `string="true"`, which DSML tags have.
fn split_attribute(key: &str) -> (&str, bool) {
    match key.split_once("\" string=\"") {
        Some((key, value)) => (key, value == "true"),
        None => (key, false),
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
