//! `[name(key=value), …]` as the whole output, or between `<|python_start|>` and `<|python_end|>`.

use serde_json::Value;

use crate::lark::{LarkBuilder, Sequence, json};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::ObjectWriter;
use crate::parsing::python::ValueScanner;
use crate::parsing::tool::Tool;
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

/// Parses a Python list of calls with keyword arguments.
#[derive(Debug)]
struct PythonCalls {
    state: State,
    /// Whether the brackets and commas of the list may be missing.
    on_lines: bool,
    arguments: ObjectWriter,
}

#[derive(Debug)]
enum State {
    Open,
    Name,
    KeyOrEnd,
    Value {
        key: String,
        text: String,
        scanner: ValueScanner,
    },
    CommaOrCallEnd,
    CommaOrEnd,
}

impl PythonCalls {
    fn new() -> Self {
        Self {
            state: State::Open,
            on_lines: false,
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
            (State::Open, '[') | (State::CommaOrEnd, ',') => State::Name,
            (State::KeyOrEnd | State::CommaOrCallEnd, ')') => {
                context.input.advance(1);
                context.push_arguments(self.arguments.end());
                context.end_call();
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
        match context.input.take_word(belongs_to_name) {
            Match::Found(name) if context.input.rest().starts_with('(') => {
                if !context.start_call(&name) {
                    return Step::Invalid;
                }
                context.input.advance(1);
                self.arguments = ObjectWriter::default();
                self.transition(State::KeyOrEnd)
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    fn key(&mut self, context: &mut Context) -> Step {
        match context.input.take_name("=") {
            Match::Found(key) if key.chars().all(belongs_to_name) => {
                self.transition(State::Value {
                    key,
                    text: String::new(),
                    scanner: ValueScanner::default(),
                })
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
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
        let types = Types::of(context.tool().and_then(|tool| tool.property(key)));
        let (key, value) = (std::mem::take(key), from_python(text, types));
        context.push_arguments(&self.arguments.member(&key, &value));
        self.transition(State::CommaOrCallEnd)
    }
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

/// One call for each tool. Values are JSON except for `True` and `False`; the parser accepts both.
pub(super) fn call_grammars(lark: &mut LarkBuilder<'_>, tools: &[&Tool]) -> Vec<String> {
    tools
        .iter()
        .map(|tool| {
            let arguments = lark.arguments(tool, ", ", &|_, key, schema| {
                Sequence::new()
                    .text(&format!("{key}="))
                    .expression(&value_grammar(schema))
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
