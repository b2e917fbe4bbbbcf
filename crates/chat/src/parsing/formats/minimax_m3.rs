//! `NS<tool_call>NS<invoke name="NAME">NS<KEY>VALUENS</KEY>NS</invoke>NS</tool_call>`, where `NS` stands for `]<]minimax[>[`.
//! The members of an object are elements with their names, those of an array are elements `item`.

use serde_json::Value;

use crate::lark::{LarkBuilder, Sequence, enum_strings, json, one_of};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::delimiter::Found;
use crate::parsing::input::Match;
use crate::parsing::json::{ObjectWriter, quote};
use crate::parsing::tool::Tool;
use crate::parsing::values::{Container, Types, from_text};

/// Precedes every tag; text cannot contain it.
const NAMESPACE: &str = "]<]minimax[>[";
pub(super) const OPEN: &str = "]<]minimax[>[<tool_call>";
const CLOSE: &str = "]<]minimax[>[</tool_call>";
const CALL_CLOSE: &str = "]<]minimax[>[</invoke>";
const CALL_OPEN: &str = "]<]minimax[>[<invoke name=\"";
const NAME_END: &str = "\">";
const TAG_OPEN: &str = "]<]minimax[>[<";
pub(super) const STARTS: [&str; 2] = [OPEN, CALL_OPEN];
pub(super) const DELIMITERS: [&str; 1] = [NAMESPACE];
pub(super) const CLOSERS: [&str; 2] = [CLOSE, CALL_CLOSE];
/// The element of a member of an array.
const ITEM: &str = "item";
/// Deepest nesting of elements.
const MAX_DEPTH: usize = 64;

/// Parses the calls after a start delimiter.
#[derive(Debug)]
pub(super) struct MiniMaxM3 {
    state: State,
    arguments: ObjectWriter,
}

#[derive(Debug)]
enum State {
    CallOrEnd,
    Name,
    /// Before an argument or the end of a call.
    TagOpen,
    /// In a tag.
    Tag,
    /// A value, up to `close`.
    Value {
        key: String,
        close: String,
        text: String,
    },
}

impl MiniMaxM3 {
    /// After a start delimiter; the outer one may be missing.
    pub fn after(start: &str) -> Self {
        Self {
            state: if start == CALL_OPEN {
                State::Name
            } else {
                State::CallOrEnd
            },
            arguments: ObjectWriter::default(),
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    /// The name of an argument, or a tag that ends the call.
    fn tag(&mut self, context: &mut Context, tag: String) -> Step {
        let ends_calls = tag == "/tool_call";
        if !ends_calls && tag != "/invoke" {
            if tag.is_empty() || tag.starts_with('/') {
                return Step::Invalid;
            }
            return self.begin_value(context, tag);
        }
        context.push_arguments(self.arguments.end());
        context.end_call();
        if ends_calls {
            return Step::Done;
        }
        self.transition(State::CallOrEnd)
    }

    fn begin_value(&mut self, context: &mut Context, key: String) -> Step {
        let member = self.arguments.member(&key, "");
        context.push_arguments(&member);
        let close = format!("{NAMESPACE}</{key}>");
        self.transition(State::Value {
            key,
            close,
            text: String::new(),
        })
    }
}

/// Consumes text up to and including `close`; true with the last of it.
fn text_until(context: &mut Context, close: &str) -> (String, bool) {
    let (end, is_last) = match context.input.find(&[close]) {
        Found::At { start, .. } => (start, true),
        Found::Nowhere { safe } => (safe, false),
    };
    let text = context.input.rest()[..end].to_owned();
    let read = if is_last { end + close.len() } else { end };
    context.input.advance(read);
    (text, is_last)
}

impl ToolCallParser for MiniMaxM3 {
    fn step(&mut self, context: &mut Context) -> Step {
        match &mut self.state {
            State::CallOrEnd => match context.input.take_one_of(&[CALL_OPEN, CLOSE]) {
                Match::Found(0) => self.transition(State::Name),
                Match::Found(_) => Step::Done,
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Name => match context.input.take_name(NAME_END) {
                Match::Found(name) if context.start_call(&name) => {
                    self.arguments = ObjectWriter::default();
                    self.transition(State::TagOpen)
                }
                Match::Found(_) | Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::TagOpen => match context.input.take(TAG_OPEN) {
                Match::Found(()) => self.transition(State::Tag),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Tag => match context.input.take_name(">") {
                Match::Found(tag) => self.tag(context, tag),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Value { key, close, text } => {
                let (more, is_last) = text_until(context, close);
                text.push_str(&more);
                // The end of an element of the same name inside the value does not end it.
                if is_last && is_balanced(text, key) {
                    let schema = context.tool().and_then(|tool| tool.property(key));
                    let json = element(text, schema, 0);
                    context.push_arguments(&json);
                    return self.transition(State::TagOpen);
                }
                if is_last {
                    text.push_str(close);
                    return Step::Continue;
                }
                Step::NeedMoreInput
            }
        }
    }
}

/// Whether elements `name` in `text` are all closed.
fn is_balanced(text: &str, name: &str) -> bool {
    let opened = text.matches(&format!("{NAMESPACE}<{name}>")).count();
    let closed = text.matches(&format!("{NAMESPACE}</{name}>")).count();
    opened <= closed
}

/// The content of an element as JSON.
fn element(text: &str, schema: Option<&Value>, depth: usize) -> String {
    let types = Types::of(schema);
    let members = if types.is_string() || depth > MAX_DEPTH {
        None
    } else {
        members(text)
    };
    let Some(members) = members else {
        return match types.container() {
            Some(Container::Array) if text.trim().is_empty() => "[]".to_owned(),
            Some(Container::Object) if text.trim().is_empty() => "{}".to_owned(),
            _ => from_text(text, types),
        };
    };
    let is_array = types.container() != Some(Container::Object)
        && members.iter().all(|(name, _)| *name == ITEM);
    if is_array {
        let items = schema.and_then(|schema| schema.get("items"));
        let items: Vec<String> = members
            .iter()
            .map(|(_, text)| element(text, items, depth + 1))
            .collect();
        return format!("[{}]", items.join(", "));
    }
    let mut object = ObjectWriter::default();
    let mut json = String::new();
    for (name, text) in members {
        let property = schema.and_then(|schema| schema["properties"].get(name));
        json.push_str(&object.member(name, &element(text, property, depth + 1)));
    }
    json.push_str(object.end());
    json
}

/// Name and content of the elements that `text` consists of; `None` if it is text.
fn members(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut members = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix(TAG_OPEN)?.split_once('>')?;
        let close = format!("{NAMESPACE}</{name}>");
        let mut end = after.find(&close)?;
        while !is_balanced(&after[..end], name) {
            let from = end + close.len();
            end = from + after[from..].find(&close)?;
        }
        members.push((name, &after[..end]));
        rest = after[end + close.len()..].trim_start();
    }
    (!members.is_empty()).then_some(members)
}

/// One call after the other between the delimiters. Objects and arrays are JSON, which the parser accepts as well.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            let arguments = lark.arguments(tool, "", &|lark, key, schema| {
                let value = value_grammar(lark, schema);
                Sequence::new()
                    .delimiter(lark, NAMESPACE)
                    .text(&format!("<{key}>"))
                    .expression(&value)
                    .text(&format!("</{key}>"))
                    .build()
            });
            Sequence::new()
                .delimiter(lark, NAMESPACE)
                .text(&format!("<invoke name=\"{}\">", tool.name))
                .expression(&arguments)
                .delimiter(lark, NAMESPACE)
                .text("</invoke>\n")
                .build()
        })
        .collect();
    let calls = lark.repeat_calls(&calls, "", parallel);
    Sequence::new()
        .delimiter(lark, NAMESPACE)
        .text("<tool_call>\n")
        .expression(&calls)
        .delimiter(lark, NAMESPACE)
        .text("</tool_call>")
        .build()
}

/// A value and the namespace of the tag that ends it.
fn value_grammar(lark: &mut LarkBuilder<'_>, schema: &Value) -> String {
    let listed = enum_strings(schema);
    if listed.is_none() && Types::of(Some(schema)).allows_string() {
        return lark.text_until(NAMESPACE);
    }
    let value = match listed {
        Some(listed) => {
            let listed: Vec<String> = listed.into_iter().map(quote).collect();
            one_of(&listed)
        }
        None => json(schema),
    };
    Sequence::new()
        .expression(&value)
        .delimiter(lark, NAMESPACE)
        .build()
}
