//! `[name(key=value), …]` as the whole output, or between `<|python_start|>` and `<|python_end|>`.

use serde_json::Value;

use crate::lark::{LarkBuilder, Sequence, json};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, quote};
use crate::parsing::python;
use crate::parsing::tool::Tool;
use crate::parsing::value_scanner::ValueScanner;
use crate::parsing::values::{Types, from_python};

pub(super) const OPEN: &str = "<|python_start|>";
pub(super) const CLOSE: &str = "<|python_end|>";

/// Parses a list of calls and an optional closing delimiter.
#[derive(Debug)]
pub(super) struct Pythonic {
    calls: PythonCalls,
    close: &'static str,
    at_end: bool,
}

impl Pythonic {
    pub fn new() -> Self {
        Self::closed_by(CLOSE)
    }

    pub fn closed_by(close: &'static str) -> Self {
        Self {
            calls: PythonCalls::new(),
            close,
            at_end: false,
        }
    }

    /// Calls without brackets and commas, one a line.
    pub fn lines_closed_by(close: &'static str) -> Self {
        let mut parser = Self::closed_by(close);
        parser.calls.on_lines = true;
        parser
    }
}

impl ToolCallParser for Pythonic {
    fn step(&mut self, context: &mut Context) -> Step {
        if self.at_end {
            return match context.input.take(self.close) {
                Match::Found(()) | Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            };
        }
        let step = self.calls.step(context);
        if step == Step::Done {
            self.at_end = true;
            return Step::Continue;
        }
        step
    }
}

/// Precedes a dictionary of arguments in a call.
const UNPACK: &str = "**";

/// Parses a Python list of calls with keyword arguments, or with dictionaries of arguments: `name(key=1, **{"other key": 2})`.
#[derive(Debug)]
struct PythonCalls {
    state: State,
    /// Whether the brackets and commas of the list may be missing.
    on_lines: bool,
    /// Whether a call was read.
    has_calls: bool,
    arguments: ObjectWriter,
}

#[derive(Debug)]
enum State {
    Open,
    Name,
    KeyOrEnd,
    /// The value of an argument, or the dictionary after [`UNPACK`].
    Value {
        key: Option<String>,
        text: String,
        scanner: ValueScanner,
    },
    CommaOrCallEnd,
    CommaOrEnd,
    /// A call after another one that cannot be parsed.
    Rejected(ValueScanner),
}

impl PythonCalls {
    fn new() -> Self {
        Self {
            state: State::Open,
            on_lines: false,
            has_calls: false,
            arguments: ObjectWriter::default(),
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    fn step(&mut self, context: &mut Context) -> Step {
        match &mut self.state {
            State::Name => self.name(context),
            State::Value { .. } => self.value(context),
            State::Rejected(scanner) => {
                let rest = context.input.rest();
                let Some(end) = rest.find(|character| !scanner.feed(character)) else {
                    context.input.advance_to_end();
                    return Step::NeedMoreInput;
                };
                context.emit_content(end);
                self.transition(State::CommaOrEnd)
            }
            State::Open | State::KeyOrEnd | State::CommaOrCallEnd | State::CommaOrEnd => {
                match context.input.peek() {
                    Match::Found(next) => self.punctuation(next, context),
                    Match::Absent if matches!(self.state, State::CommaOrEnd) => Step::Done,
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
        }
    }

    fn punctuation(&mut self, next: char, context: &mut Context) -> Step {
        self.state = match (&self.state, next) {
            (State::Open, '[') => State::Name,
            (State::CommaOrEnd, ',') => {
                context.input.advance(1);
                context.input.commit();
                return self.transition(State::Name);
            }
            (State::KeyOrEnd | State::CommaOrCallEnd, ')') => {
                context.input.advance(1);
                context.push_arguments(self.arguments.end());
                context.end_call();
                self.has_calls = true;
                return self.transition(State::CommaOrEnd);
            }
            (State::CommaOrCallEnd, ',') => State::KeyOrEnd,
            (State::CommaOrEnd, ']') => {
                context.input.advance(1);
                return Step::Done;
            }
            (State::Open | State::CommaOrEnd, _) if self.on_lines && belongs_to_name(next) => {
                return self.transition(State::Name);
            }
            (State::CommaOrEnd, _) => return Step::Done,
            (State::KeyOrEnd, _) => return self.key(context),
            _ => return Step::Invalid,
        };
        context.input.advance(1);
        Step::Continue
    }

    fn name(&mut self, context: &mut Context) -> Step {
        if self.has_calls {
            // The white space after a comma or a line.
            let _ = context.input.peek();
            context.input.commit();
        }
        match context.input.take_word(belongs_to_name) {
            Match::Found(name)
                if context.input.rest().starts_with('(') && context.start_call(&name) =>
            {
                context.input.advance(1);
                self.arguments = ObjectWriter::default();
                self.transition(State::KeyOrEnd)
            }
            Match::Found(_) | Match::Absent if self.has_calls && !self.on_lines => {
                context.input.rewind(0);
                self.transition(State::Rejected(ValueScanner::default()))
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    fn key(&mut self, context: &mut Context) -> Step {
        let key = match context.input.take(UNPACK) {
            Match::Found(()) => None,
            Match::Incomplete => return Step::NeedMoreInput,
            Match::Absent => match context.input.take_name("=") {
                Match::Found(key) if is_key(&key, context) => Some(key),
                Match::Found(_) | Match::Absent => return Step::Invalid,
                Match::Incomplete => return Step::NeedMoreInput,
            },
        };
        self.transition(State::Value {
            key,
            text: String::new(),
            scanner: ValueScanner::default(),
        })
    }

    fn value(&mut self, context: &mut Context) -> Step {
        let State::Value { key, text, scanner } = &mut self.state else {
            return Step::Continue;
        };
        let rest = context.input.rest();
        let end = rest.find(|character| !scanner.feed(character));
        text.push_str(&rest[..end.unwrap_or(rest.len())]);
        let read = end.unwrap_or(rest.len());
        context.input.advance(read);
        if end.is_none() {
            return Step::NeedMoreInput;
        }
        let (key, text) = (key.take(), std::mem::take(text));
        let members = match key {
            Some(key) => vec![(key, text)],
            None => match python::members(text.trim()) {
                Some(members) => members,
                None => return Step::Invalid,
            },
        };
        for (key, text) in members {
            self.argument(&key, &text, context);
        }
        self.transition(State::CommaOrCallEnd)
    }

    /// Adds an argument. `None` is left out if the argument is optional and cannot be null.
    fn argument(&mut self, key: &str, text: &str, context: &mut Context) {
        let types = Types::of(context.tool().and_then(|tool| tool.property(key)));
        let value = from_python(text, types);
        let is_required = context
            .tool()
            .is_some_and(|tool| tool.required().any(|required| required == key));
        if value == "null" && types.excludes_null() && !is_required {
            return;
        }
        context.push_arguments(&self.arguments.member(key, &value));
    }
}

/// Whether an argument may have this name: an identifier, or a name that the tool gives.
fn is_key(key: &str, context: &Context) -> bool {
    is_identifier(key)
        || context
            .tool()
            .is_some_and(|tool| tool.property(key).is_some())
}

fn is_identifier(key: &str) -> bool {
    !key.is_empty() && key.chars().all(belongs_to_name)
}

fn belongs_to_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '-')
}

/// A list of calls.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls = call_grammars(lark, tools);
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .text("[")
        .expression(&calls)
        .text("]")
        .build()
}

/// One call for each tool. Values are JSON except for `True` and `False`; the parser accepts both. Arguments whose names are
/// no identifiers are written as dictionaries.
pub(super) fn call_grammars(lark: &mut LarkBuilder<'_>, tools: &[&Tool]) -> Vec<String> {
    tools
        .iter()
        .map(|tool| {
            let arguments = lark.arguments(tool, ", ", &|_, key, schema| {
                let value = value_grammar(schema);
                if is_identifier(key) {
                    return Sequence::new()
                        .text(&format!("{key}="))
                        .expression(&value)
                        .build();
                }
                Sequence::new()
                    .text(&format!("{UNPACK}{{{}: ", quote(key)))
                    .expression(&value)
                    .text("}")
                    .build()
            });
            Sequence::new()
                .text(&format!("{}(", tool.name))
                .expression(&arguments)
                .text(")")
                .build()
        })
        .collect()
}

fn value_grammar(schema: &Value) -> String {
    if Types::of(Some(schema)).is_boolean() {
        "(\"True\" | \"False\")".to_owned()
    } else {
        json(schema)
    }
}
