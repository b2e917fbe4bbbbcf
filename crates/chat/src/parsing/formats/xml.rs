//! Calls whose arguments stand between tags, each as plain text. What three families share; their files hold the tags.

use serde_json::Value;

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, escape_into, quote};
use crate::parsing::lark::{Lark, Sequence, json, listed_strings, one_of};
use crate::parsing::marker::Found;
use crate::parsing::tool::Tool;
use crate::parsing::values::{Types, from_text};

/// The tags of one family.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// Begins calls.
    pub open: &'static str,
    /// Ends them.
    pub close: &'static str,
    /// Stands before a name; empty where the name follows at once.
    pub call_open: &'static str,
    /// Stands behind a name; without one, the line ends or a tag begins.
    pub name_end: Option<&'static str>,
    /// Ends one call; the same as `close` where each call has delimiters of its own.
    pub call_close: &'static str,
    /// Stands before the name of an argument.
    pub key_open: &'static str,
    /// Stands behind it.
    pub key_close: &'static str,
    /// Stands before the value, if something does.
    pub value_open: &'static str,
    /// Ends the value; the longest that matches.
    pub value_close: &'static [&'static str],
    /// Whether the value begins on a line of its own.
    pub value_on_lines: bool,
}

/// Reads calls in such a syntax.
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
    /// A value that may be a string only: passed on as it comes.
    Text,
    /// A value whose type shows at its end.
    Value {
        text: String,
        types: Types,
    },
}

impl Xml {
    /// Behind `opening`, which opens calls or a call.
    pub fn behind(syntax: &'static Syntax, opening: &str) -> Self {
        let state = if syntax.call_open.is_empty() || opening == syntax.call_open {
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
        Step::Again
    }

    fn name(&mut self, context: &mut Context) -> Step {
        let name = match self.syntax.name_end {
            Some(end) => context.input.take_name(end),
            None => context
                .input
                .take_word(|character| !matches!(character, '\n' | '<' | '{')),
        };
        match name {
            Match::Found(name) if context.announce(name.trim()) => {
                self.arguments = ObjectWriter::default();
                self.transition(State::KeyOrEnd)
            }
            Match::Found(_) | Match::Absent => Step::Broken,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    /// Behind the end of a call, `at_end` if it ends the calls as well.
    fn complete(&mut self, context: &mut Context, at_end: bool) -> Step {
        context.arguments(self.arguments.end());
        context.complete();
        if at_end {
            return Step::Close;
        }
        self.transition(State::CallOrEnd { first: false })
    }

    fn begin_value(&mut self, context: &mut Context, key: &str) -> Step {
        let types = Types::of(context.tool().and_then(|tool| tool.property(key)));
        let mut text = self.arguments.member(key, "");
        if types.is_text() {
            text.push('"');
            context.arguments(&text);
            self.transition(State::Text)
        } else {
            context.arguments(&text);
            let text = String::new();
            self.transition(State::Value { text, types })
        }
    }

    /// Reads up to the end of a value. Found(true) with the last of its text.
    fn value_text(&self, context: &mut Context) -> (String, bool) {
        let (text, behind) = match context.input.find(self.syntax.value_close) {
            Found::At { start, which } => (start, Some(self.syntax.value_close[which].len())),
            Found::Nowhere { safe } => (safe, None),
        };
        let value = context.input.rest()[..text].to_owned();
        context.input.advance(text + behind.unwrap_or(0));
        (value, behind.is_some())
    }
}

impl CallReader for Xml {
    fn step(&mut self, context: &mut Context) -> Step {
        let syntax = self.syntax;
        match &mut self.state {
            State::CallOrEnd { first } => {
                let first = *first;
                match context.input.take_one_of(&[syntax.call_open, syntax.close]) {
                    Match::Found(0) => self.transition(State::Name),
                    Match::Found(_) | Match::Absent if !first => Step::Close,
                    Match::Found(_) | Match::Absent => Step::Broken,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            State::Name => self.name(context),
            State::KeyOrEnd => {
                let next = [syntax.key_open, syntax.call_close, syntax.close];
                match context.input.take_one_of(&next) {
                    Match::Found(0) => self.transition(State::Key),
                    Match::Found(which) => {
                        self.complete(context, which == 2 || syntax.call_close == syntax.close)
                    }
                    Match::Absent => Step::Broken,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            State::Key => match context.input.take_name(syntax.key_close) {
                Match::Found(key) => self.transition(State::ValueOpen { key }),
                Match::Absent => Step::Broken,
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
                    Match::Absent => Step::Broken,
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
                context.arguments(&json);
                if ended {
                    Step::Again
                } else {
                    Step::NeedMoreInput
                }
            }
            State::Value { .. } => {
                let (more, ended) = self.value_text(context);
                let State::Value { text, types } = &mut self.state else {
                    return Step::Again;
                };
                text.push_str(&more);
                context.input.commit();
                if !ended {
                    return Step::NeedMoreInput;
                }
                let json = from_text(text, *types);
                context.arguments(&json);
                self.transition(State::KeyOrEnd)
            }
        }
    }

    fn cut_off(&mut self, context: &mut Context) {
        let rest = context.input.rest().to_owned();
        match &self.state {
            State::Text => {
                let mut json = String::new();
                escape_into(&rest, &mut json);
                context.arguments(&json);
            }
            State::Value { text, .. } => {
                let text = format!("{text}{rest}");
                context.arguments(text.trim());
            }
            _ => {}
        }
    }
}

/// Reads one line break, if values have one before them and this one does.
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
    /// Calls with a line break behind every tag but those of a value.
    pub fn grammar(&self, lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
        let calls: Vec<String> = tools
            .iter()
            .map(|tool| self.call_grammar(lark, tool))
            .collect();
        if self.call_open.is_empty() || self.value_on_lines {
            // Each call has the outer delimiters to itself.
            let call = Sequence::new().marker(lark, self.open);
            let call = if self.call_open.is_empty() {
                call
            } else {
                call.text("\n")
            };
            let call = call
                .expression(&one_of(&calls))
                .marker(lark, self.close)
                .build();
            return lark.calls(&[call], "\n", parallel);
        }
        let calls = lark.calls(&calls, "", parallel);
        Sequence::new()
            .marker(lark, self.open)
            .text("\n")
            .expression(&calls)
            .marker(lark, self.close)
            .build()
    }

    fn call_grammar(&self, lark: &mut Lark<'_>, tool: &Tool) -> String {
        let arguments = lark.arguments(tool, "", &|lark, key, schema| {
            let value = self.value_grammar(lark, schema);
            let item = Sequence::new()
                .marker(lark, self.key_open)
                .text(key)
                .marker(lark, self.key_close);
            let item = if self.value_open.is_empty() {
                item
            } else {
                item.text("\n").marker(lark, self.value_open)
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

    /// A value and the tag that ends it.
    fn value_grammar(&self, lark: &mut Lark<'_>, schema: &Value) -> String {
        let close = self.value_close.last().copied().unwrap_or_default();
        let ended = |lark: &Lark<'_>, value: &str| {
            let value = Sequence::new().expression(value);
            let value = if self.value_on_lines {
                value.text("\n")
            } else {
                value
            };
            value.marker(lark, close).build()
        };
        if let Some(listed) = listed_strings(schema) {
            let listed: Vec<String> = listed.into_iter().map(quote).collect();
            return ended(lark, &one_of(&listed));
        }
        if Types::of(Some(schema)).has_text() {
            return lark.until(close);
        }
        ended(lark, &json(schema))
    }
}
