//! Building grammars.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::tool_schema::{Scope, normalize};
use crate::parsing::Tool;
use crate::parsing::json::quote;
use crate::parsing::values::Types;

/// Returns the id of a delimiter that is a special token of the vocabulary.
pub(crate) type SpecialToken<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// Collects the rules of a grammar.
pub(crate) struct LarkBuilder<'a> {
    special_token: SpecialToken<'a>,
    rules: String,
    count: usize,
}

impl<'a> LarkBuilder<'a> {
    pub fn new(special_token: SpecialToken<'a>) -> Self {
        Self {
            special_token,
            rules: String::new(),
            count: 0,
        }
    }

    /// The grammar with the start rule `start`.
    pub fn finish(self, start: &str) -> String {
        format!("start: {start}\n{}", self.rules)
    }

    /// Whether the vocabulary has `delimiter` as a special token.
    pub fn is_special_token(&self, delimiter: &str) -> bool {
        (self.special_token)(delimiter).is_some()
    }

    /// Adds a rule and returns its name.
    pub fn rule(&mut self, body: &str) -> String {
        self.named("rule", "", body)
    }

    /// Adds a rule whose body refers to itself by the name that it is passed.
    pub fn recursive_rule(&mut self, body: impl FnOnce(&str) -> String) -> String {
        let name = format!("rule_{}", self.count + 1);
        self.rule(&body(&name))
    }

    fn named(&mut self, stem: &str, attributes: &str, body: &str) -> String {
        self.count += 1;
        let name = format!("{stem}_{}", self.count);
        // Writing to a string cannot fail.
        let _ = writeln!(self.rules, "{name}{attributes}: {body}");
        name
    }

    /// Adds a terminal, regular expressions that `&` and `~` combine, and returns its name.
    pub fn terminal(&mut self, body: &str) -> String {
        self.named("TEXT", "", body)
    }

    /// Any text up to and including the first `delimiter`.
    pub fn text_until(&mut self, delimiter: &str) -> String {
        if let Some(id) = (self.special_token)(delimiter) {
            return format!("/(?s:.*)/ <[{id}]>");
        }
        let attributes = format!("[suffix={}]", quote(delimiter));
        self.named("text", &attributes, "/(?s:.*)/")
    }

    /// One of `calls`, or several separated by `separator` if `parallel`.
    pub fn repeat_calls(&mut self, calls: &[String], separator: &str, parallel: bool) -> String {
        let call = self.rule(&calls.join(" | "));
        repeat(&call, separator, parallel)
    }

    /// The arguments of a call in the order of the schema, separated by `separator`. Those that are not required are optional.
    /// `item` builds the expression of one argument.
    pub fn arguments(
        &mut self,
        tool: &Tool,
        separator: &str,
        item: &dyn Fn(&mut Self, &str, &Value) -> String,
    ) -> String {
        let required = tool.parameters["required"].as_array();
        let is_required = |name: &str| {
            required.is_some_and(|required| required.iter().any(|one| one.as_str() == Some(name)))
        };
        let mut items = Vec::new();
        for (name, schema) in tool.properties() {
            let schema = with_definitions(schema, &tool.parameters);
            let mut item = item(self, name, &schema);
            if !separator.is_empty() {
                item = self.rule(&item);
            }
            items.push((item, is_required(name)));
        }
        let separator = match separator {
            "" => String::new(),
            separator => format!("{} ", quote(separator)),
        };
        let separated = |items: &[(String, bool)]| {
            let parts = items.iter().map(|(item, required)| match required {
                true => format!("{separator}{item}"),
                false => format!("({separator}{item})?"),
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        if separator.is_empty() {
            return separated(&items);
        }
        // The first argument has no separator before it: one alternative per argument that may be the first.
        let last = items.iter().position(|(_, required)| *required);
        let candidates = last.map_or(items.len(), |last| last + 1);
        let firsts: Vec<String> = (0..candidates)
            .map(|first| format!("{} {}", items[first].0, separated(&items[first + 1..])))
            .map(|expression| expression.trim_end().to_owned())
            .collect();
        match (firsts.as_slice(), last) {
            ([], _) => String::new(),
            (_, Some(_)) => one_of(&firsts),
            (_, None) => format!("{}?", one_of(&firsts)),
        }
    }
}

/// A JSON value of a schema, enforced as far as possible: an unsupported keyword does not prevent forced calls.
pub(crate) fn json(schema: &Value) -> String {
    let schema = match schema {
        Value::Object(_) => schema.clone(),
        _ => Value::Object(Map::new()),
    };
    lenient(normalize(schema, Scope::Whole))
}

/// The arguments of a tool as a JSON object.
pub(crate) fn json_arguments(tool: &Tool) -> String {
    let schema = match &tool.parameters {
        Value::Object(_) => tool.parameters.clone(),
        _ => Value::Object(Map::new()),
    };
    let mut schema = normalize(schema, Scope::Arguments);
    if let Some(keywords) = schema.as_object_mut() {
        // Whatever the schema says, arguments are an object.
        keywords.insert("type".into(), "object".into());
    }
    lenient(schema)
}

fn lenient(mut schema: Value) -> String {
    schema["x-guidance"] = json!({"lenient": true});
    format!("%json {schema}")
}

/// The strings of `enum`, if only strings are allowed.
pub(crate) fn enum_strings(schema: &Value) -> Option<Vec<&str>> {
    let listed = schema["enum"].as_array()?;
    let is_text = Types::of(Some(schema)).is_string();
    is_text.then(|| listed.iter().filter_map(Value::as_str).collect())
}

/// A subschema with the definitions of `root`, which it may refer to.
fn with_definitions(schema: &Value, root: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        for key in ["$defs", "definitions"] {
            if let Some(definitions) = root.get(key) {
                object.entry(key).or_insert_with(|| definitions.clone());
            }
        }
    }
    schema
}

/// Alternatives.
pub(crate) fn one_of(expressions: &[String]) -> String {
    format!("({})", expressions.join(" | "))
}

/// Most calls of a completion. Without a limit, small models may repeat calls until the context is full.
const MAX_CALLS: usize = 16;

/// `call` once, or several times separated by `separator` if `parallel`.
fn repeat(call: &str, separator: &str, parallel: bool) -> String {
    match (parallel, separator) {
        (false, _) => call.to_owned(),
        (true, "") => format!("{call}{{1,{MAX_CALLS}}}"),
        (true, _) => {
            let separator = quote(separator);
            format!("{call} ({separator} {call}){{0,{}}}", MAX_CALLS - 1)
        }
    }
}

/// A regular expression of one of `texts`.
pub(crate) fn any_text(texts: &[&str]) -> String {
    let escaped = texts.iter().map(|text| {
        let characters = text.chars().map(|character| match character {
            '_' | '0'..='9' | 'A'..='Z' | 'a'..='z' => character.to_string(),
            other => format!("\\x{{{:X}}}", other as u32),
        });
        characters.collect::<String>()
    });
    format!("({})", escaped.collect::<Vec<_>>().join("|"))
}

/// A concatenation of text, tokens and expressions.
#[derive(Default)]
pub(crate) struct Sequence {
    parts: Vec<String>,
    text: String,
}

impl Sequence {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// A delimiter: a token if it is a special token of the vocabulary, else text.
    pub fn delimiter(self, lark: &LarkBuilder<'_>, delimiter: &str) -> Self {
        match (lark.special_token)(delimiter) {
            Some(id) => self.expression(&format!("<[{id}]>")),
            None => self.text(delimiter),
        }
    }

    pub fn expression(mut self, expression: &str) -> Self {
        self.flush();
        if !expression.is_empty() {
            self.parts.push(expression.to_owned());
        }
        self
    }

    pub fn build(mut self) -> String {
        self.flush();
        self.parts.join(" ")
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(quote(&std::mem::take(&mut self.text)));
        }
    }
}
