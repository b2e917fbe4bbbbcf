//! Calls whose arguments are plain text between tags. Shared by three families, whose modules define the tags.

use serde_json::json;

use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::{self, Found};
use crate::parsing::input::Match;
use crate::parsing::json::ObjectWriter;
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

/// Calls inside a value, which may be examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Examples {
    /// Their tags belong to the value.
    Skipped,
    /// Their opening tags are text.
    Ignored,
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
            && self.has_required(context)
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
        let mut end = self.value_end(&value, context, Examples::Skipped);
        let is_closed = matches!(
            end,
            ValueEnd::At {
                is_closed: true,
                ..
            }
        );
        if context.input.has_ended() && !is_closed {
            // The value may mention a call without its end.
            let start = context.input.pending().len() - value.len();
            context.input.rewind(start);
            value.clear();
            end = self.value_end(&value, context, Examples::Ignored);
        }
        let (read, closed_by) = match end {
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
    fn value_end(&self, before: &str, context: &Context, examples: Examples) -> ValueEnd {
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
            let in_example =
                || examples == Examples::Skipped && syntax.has_open_call(&value.concat());
            let ends = match which {
                0 | 1 if in_example() => Match::Absent,
                0 if self.has_open_argument(value) => follows(
                    after,
                    &[syntax.key_open, syntax.call_close, syntax.close],
                    ended,
                ),
                0 => {
                    let next = [
                        syntax.key_open,
                        syntax.call_close,
                        syntax.close,
                        syntax.value_close,
                    ];
                    let ends = follows(after, &next, ended);
                    if ends == Match::Found(()) && self.is_incomplete_before(after, context) {
                        self.call_ends_before(after, ended)
                    } else {
                        ends
                    }
                }
                1 => self.starts_argument(value, after, context),
                _ if in_example() => Match::Absent,
                // The closing tag of the value is missing.
                _ => {
                    let next = [syntax.close, syntax.open, syntax.call_open];
                    let next = if which == 2 && syntax.call_close != syntax.close {
                        &next[..]
                    } else {
                        &next[1..2]
                    };
                    match follows(after, next, ended) {
                        Match::Found(()) => match self.call_ends_before(after, ended) {
                            Match::Found(()) if self.misses_argument_before(after, context) => {
                                Match::Absent
                            }
                            ends => ends,
                        },
                        ends => ends,
                    }
                }
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

    /// Whether the end of a call follows, but required arguments are missing.
    fn is_incomplete_before(&self, after: &str, context: &Context) -> bool {
        let after = after.trim_start();
        let is_end = [self.syntax.call_close, self.syntax.close]
            .iter()
            .any(|close| after.starts_with(close));
        is_end && !self.has_required(context)
    }

    /// Whether anything follows the tags that end a call, and required arguments are missing.
    fn misses_argument_before(&self, after: &str, context: &Context) -> bool {
        let after = after.trim_start();
        let rest = after.strip_prefix(self.syntax.close).unwrap_or(after);
        !rest.trim_start().is_empty() && !self.has_required(context)
    }

    /// Whether a call ends before `after`: no closing tag of a value follows that has no opening tag.
    fn call_ends_before(&self, after: &str, ended: bool) -> Match {
        match delimiter::find(
            after,
            &[self.syntax.value_close, self.syntax.key_open],
            ended,
        ) {
            Found::At { which: 0, .. } => Match::Absent,
            Found::Nowhere { .. } if !ended => Match::Incomplete,
            Found::At { .. } | Found::Nowhere { .. } => Match::Found(()),
        }
    }

    /// Whether all required arguments are given.
    fn has_required(&self, context: &Context) -> bool {
        context.tool().is_some_and(|tool| {
            let mut required = tool.required();
            required.all(|name| self.given.iter().any(|given| given == name))
        })
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
    /// Whether `value` contains the start of a call without its end.
    fn has_open_call(&self, value: &str) -> bool {
        let tags = if self.call_open.is_empty() {
            [self.open, self.close]
        } else {
            [self.call_open, self.call_close]
        };
        let mut open = 0_usize;
        let mut rest = value;
        while let Found::At { start, which } = delimiter::find(rest, &tags, true) {
            open = if which == 0 {
                open + 1
            } else {
                open.saturating_sub(1)
            };
            rest = &rest[start + tags[which].len()..];
        }
        open > 0
    }
}
