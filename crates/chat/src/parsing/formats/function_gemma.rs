//! `<start_function_call>call:NAME{key:<escape>value<escape>,other:3}<end_function_call>` of FunctionGemma, and
//! `<|tool_call>call:NAME{key:<|"|>value<|"|>}<tool_call|>` of Gemma 4. Keys are not quoted; strings are enclosed in a delimiter.

use serde_json::Value;

use crate::lark::{LarkBuilder, Sequence, enum_strings, json, one_of};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, quote};
use crate::parsing::tool::Tool;
use crate::parsing::values::{Container, Types, from_text};

/// The delimiters of one of the two models.
#[derive(Debug)]
pub(super) struct Syntax {
    pub open: &'static str,
    pub close: &'static str,
    /// Encloses strings.
    pub string: &'static str,
    pub delimiters: [&'static str; 3],
}

pub(super) const FUNCTION_GEMMA: Syntax = Syntax {
    open: "<start_function_call>",
    close: "<end_function_call>",
    string: "<escape>",
    delimiters: ["<start_function_call>", "<end_function_call>", "<escape>"],
};

pub(super) const GEMMA4: Syntax = Syntax {
    open: "<|tool_call>",
    close: "<tool_call|>",
    string: "<|\"|>",
    delimiters: ["<|tool_call>", "<tool_call|>", "<|\"|>"],
};

/// What may follow a string.
const AFTER_STRING: [char; 4] = [',', '}', ']', ':'];

/// Deepest nesting of containers.
const MAX_DEPTH: usize = 64;

/// Parses one call.
#[derive(Debug)]
pub(super) struct FunctionGemma {
    syntax: &'static Syntax,
    state: State,
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
        depth: usize,
        in_string: bool,
    },
    CommaOrEnd,
    AfterCall,
}

impl FunctionGemma {
    pub fn new(syntax: &'static Syntax) -> Self {
        Self {
            syntax,
            state: State::Open,
            arguments: ObjectWriter::default(),
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    fn punctuation(&mut self, next: char, context: &mut Context) -> Step {
        match (&self.state, next) {
            (_, '}') => {
                context.input.advance(1);
                self.end_call(context)
            }
            (State::CommaOrEnd, ',') => {
                context.input.advance(1);
                self.transition(State::KeyOrEnd)
            }
            (State::KeyOrEnd, _) => match context.input.take_name(":") {
                Match::Found(key) => self.transition(State::Value {
                    key: key.replace(self.syntax.string, ""),
                    text: String::new(),
                    depth: 0,
                    in_string: false,
                }),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            // The closing brace is missing.
            _ => match context.input.take(self.syntax.close) {
                Match::Found(()) => self.end_call(context),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }

    fn end_call(&mut self, context: &mut Context) -> Step {
        context.push_arguments(self.arguments.end());
        context.end_call();
        self.transition(State::AfterCall)
    }

    /// Consumes more of a value; true at its end.
    fn read_value(&mut self, context: &mut Context) -> bool {
        let State::Value {
            text,
            depth,
            in_string,
            ..
        } = &mut self.state
        else {
            return false;
        };
        let syntax = self.syntax;
        // The closing brace may be missing.
        let delimiters = [syntax.string, syntax.close];
        loop {
            let rest = context.input.rest();
            let searched = if *in_string { 1 } else { 2 };
            let (safe, found) = match context.input.find(&delimiters[..searched]) {
                Found::At { start, which } => (start, Some(which)),
                Found::Nowhere { safe } => (safe, None),
            };
            if *in_string && found == Some(0) {
                let string_end = safe + syntax.string.len();
                let ended = context.input.has_ended();
                let read = match syntax.ends_string(&rest[string_end..], ended) {
                    Match::Found(()) => None,
                    Match::Absent => Some((string_end, true)),
                    Match::Incomplete => Some((safe, false)),
                };
                if let Some((read, continues)) = read {
                    text.push_str(&rest[..read]);
                    context.input.advance(read);
                    if continues {
                        continue;
                    }
                    return false;
                }
            }
            let mut end = None;
            if !*in_string {
                end = rest[..safe].find(|character| match character {
                    '{' | '[' => {
                        *depth += 1;
                        false
                    }
                    '}' | ']' | ',' if *depth == 0 => true,
                    '}' | ']' => {
                        *depth -= 1;
                        false
                    }
                    _ => false,
                });
            }
            let closed = found == Some(1) && *depth == 0;
            let read = match (end, found) {
                (Some(end), _) => end,
                (None, Some(which)) if !closed => safe + delimiters[which].len(),
                _ => safe,
            };
            text.push_str(&rest[..read]);
            context.input.advance(read);
            if end.is_some() || closed {
                return true;
            }
            match found {
                Some(0) => *in_string = !*in_string,
                Some(_) => {}
                None => return false,
            }
        }
    }
}

impl ToolCallParser for FunctionGemma {
    fn step(&mut self, context: &mut Context) -> Step {
        match &self.state {
            State::Open => match context.input.take("call:") {
                Match::Found(()) => self.transition(State::Name),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Name => match context.input.take_name("{") {
                Match::Found(name) if context.start_call(&name) => self.transition(State::KeyOrEnd),
                Match::Found(_) | Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::KeyOrEnd | State::CommaOrEnd => match context.input.peek() {
                Match::Found(next) => self.punctuation(next, context),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Value { .. } => {
                if !self.read_value(context) {
                    return Step::NeedMoreInput;
                }
                let State::Value { key, text, .. } = &self.state else {
                    return Step::Continue;
                };
                let types = Types::of(context.tool().and_then(|tool| tool.property(key)));
                let value = to_json(text, self.syntax.string, types);
                context.push_arguments(&self.arguments.member(key, &value));
                self.transition(State::CommaOrEnd)
            }
            State::AfterCall => match context.input.take(self.syntax.close) {
                Match::Found(()) | Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// A value as JSON; a string if it is not valid.
fn to_json(text: &str, string: &str, types: Types) -> String {
    let mut parser = ValueParser {
        rest: text.trim(),
        string,
    };
    let mut out = String::new();
    match parser.value(&mut out, types, 0) {
        Some(()) if parser.rest.trim().is_empty() => out,
        _ => quote(&text.replace(string, "\"")),
    }
}

struct ValueParser<'a> {
    rest: &'a str,
    string: &'a str,
}

impl ValueParser<'_> {
    fn take(&mut self, literal: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, out: &mut String, types: Types, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take(self.string) {
            let end = self.string_end()?;
            out.push_str(&quote(&self.rest[..end]));
            self.rest = &self.rest[end + self.string.len()..];
        } else if self.take("[") {
            self.items("]", out, depth, |_, _| Some(()))?;
        } else if self.take("{") {
            self.items("}", out, depth, Self::key)?;
        } else {
            let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            out.push_str(&from_text(text.trim(), types));
            self.rest = rest;
        }
        Some(())
    }

    /// Start of the delimiter that ends a string. A delimiter inside the string does not.
    fn string_end(&self) -> Option<usize> {
        let mut delimiters = self.rest.match_indices(self.string);
        let end = delimiters.find(|(at, delimiter)| {
            let after = self.rest[at + delimiter.len()..].trim_start();
            after.is_empty() || after.starts_with(AFTER_STRING)
        });
        end.map(|(at, _)| at)
    }

    /// Items up to `close`; `before` parses the key of each.
    fn items(
        &mut self,
        close: &str,
        out: &mut String,
        depth: usize,
        before: fn(&mut Self, &mut String) -> Option<()>,
    ) -> Option<()> {
        out.push_str(if close == "]" { "[" } else { "{" });
        let mut first = true;
        while !self.take(close) {
            if !first {
                out.push_str(", ");
            }
            first = false;
            before(self, out)?;
            self.value(out, Types::default(), depth + 1)?;
            self.rest = self.rest.trim_start();
            if !self.take(",") && !self.rest.starts_with(close) {
                return None;
            }
        }
        out.push_str(close);
        Some(())
    }

    fn key(&mut self, out: &mut String) -> Option<()> {
        let (key, rest) = self.rest.split_once(':')?;
        let key = key.trim().replace(self.string, "");
        out.push_str(&quote(key.trim_matches('"')));
        out.push_str(": ");
        self.rest = rest;
        Some(())
    }
}

impl Syntax {
    /// Whether the delimiter before `after` ends a string: the call continues after it.
    fn ends_string(&self, after: &str, ended: bool) -> Match {
        let after = after.trim_start();
        if after.starts_with(AFTER_STRING) || after.starts_with(self.close) {
            return Match::Found(());
        }
        match (ended, after.is_empty()) {
            (true, true) => Match::Found(()),
            (false, _) if self.close.starts_with(after) => Match::Incomplete,
            _ => Match::Absent,
        }
    }

    /// A sequence of delimited calls.
    pub fn grammar(&self, lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
        let values = self.values(lark);
        let calls: Vec<String> = tools
            .iter()
            .map(|tool| {
                let arguments = lark.arguments(tool, ",", &|lark, key, schema| {
                    let value = self.value_grammar(lark, schema, &values);
                    Sequence::new()
                        .text(&format!("{key}:"))
                        .expression(&value)
                        .build()
                });
                Sequence::new()
                    .text(&format!("call:{}{{", tool.name))
                    .expression(&arguments)
                    .text("}")
                    .build()
            })
            .collect();
        let call = Sequence::new()
            .delimiter(lark, self.open)
            .expression(&one_of(&calls))
            .delimiter(lark, self.close)
            .build();
        lark.repeat_calls(&[call], "", parallel)
    }

    fn value_grammar(&self, lark: &mut LarkBuilder<'_>, schema: &Value, values: &Values) -> String {
        let types = Types::of(Some(schema));
        if let Some(listed) = enum_strings(schema) {
            let listed: Vec<String> = listed.into_iter().map(quote).collect();
            return Sequence::new()
                .delimiter(lark, self.string)
                .expression(&one_of(&listed))
                .delimiter(lark, self.string)
                .build();
        }
        if types.is_string() {
            return self.string_grammar(lark);
        }
        if types.is_scalar() {
            return json(schema);
        }
        let values = match types.container() {
            Some(Container::Array) => &values.list,
            Some(Container::Object) => &values.object,
            None => &values.any,
        };
        values.clone()
    }

    fn string_grammar(&self, lark: &mut LarkBuilder<'_>) -> String {
        let text = lark.text_until(self.string);
        Sequence::new()
            .delimiter(lark, self.string)
            .expression(&text)
            .build()
    }

    /// Rules for values of any type.
    fn values(&self, lark: &mut LarkBuilder<'_>) -> Values {
        // Bounded, because small models can generate endless keys and numbers.
        const KEY: &str = "/[A-Za-z_][A-Za-z0-9_]{0,63}/";
        const NUMBER: &str = "/-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,18})?/";
        let string = self.string_grammar(lark);
        let list = |any: &str| format!("\"[\" ({any} (\",\" {any})*)? \"]\"");
        let object = |any: &str| {
            let pair = format!("{KEY} \":\" {any}");
            format!("\"{{\" ({pair} (\",\" {pair})*)? \"}}\"")
        };
        let any = lark.recursive_rule(|any| {
            let (list, object) = (list(any), object(any));
            format!("{string} | {NUMBER} | \"true\" | \"false\" | \"null\" | {list} | {object}")
        });
        Values {
            list: lark.rule(&list(&any)),
            object: lark.rule(&object(&any)),
            any,
        }
    }
}

/// Names of rules.
struct Values {
    list: String,
    object: String,
    any: String,
}
