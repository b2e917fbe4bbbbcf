//! Writing grammars in the Lark dialect of llguidance: `%json {…}` stands for a JSON schema, `<[7]>` for a token.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::parsing::json::quote;
use crate::parsing::tool::Tool;
use crate::parsing::values::Types;

/// Tells the id of a marker that is a special token of the vocabulary.
pub(crate) type SpecialToken<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// A grammar in the making.
pub(crate) struct Lark<'a> {
    special_token: SpecialToken<'a>,
    rules: String,
    count: usize,
}

impl<'a> Lark<'a> {
    pub fn new(special_token: SpecialToken<'a>) -> Self {
        Self {
            special_token,
            rules: String::new(),
            count: 0,
        }
    }

    /// The grammar that begins with `start`.
    pub fn finish(self, start: &str) -> String {
        format!("start: {start}\n{}", self.rules)
    }

    /// Whether the vocabulary has `marker` as a special token.
    pub fn has_token(&self, marker: &str) -> bool {
        (self.special_token)(marker).is_some()
    }

    /// Adds a rule and returns its name.
    pub fn rule(&mut self, body: &str) -> String {
        self.named("rule", "", body)
    }

    /// Adds a rule whose body names it.
    pub fn recursive(&mut self, body: impl FnOnce(&str) -> String) -> String {
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

    /// Any text up to the first `marker`, which is part of it.
    pub fn until(&mut self, marker: &str) -> String {
        if let Some(id) = (self.special_token)(marker) {
            return format!("/(?s:.*)/ <[{id}]>");
        }
        let attributes = format!("[suffix={}]", quote(marker));
        self.named("text", &attributes, "/(?s:.*)/")
    }

    /// A rule for one call of `calls`, or for several with `separator` between.
    pub fn calls(&mut self, calls: &[String], separator: &str, parallel: bool) -> String {
        let call = self.rule(&calls.join(" | "));
        repeat(&call, separator, parallel)
    }

    /// The arguments of a call, in the order of the schema: required ones must come, others may. `item` writes one of
    /// them; `separator` stands between two.
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
        let behind = |items: &[(String, bool)]| {
            let parts = items.iter().map(|(item, required)| match required {
                true => format!("{separator}{item}"),
                false => format!("({separator}{item})?"),
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        if separator.is_empty() {
            return behind(&items);
        }
        // Which one comes first decides where separators stand.
        let last = items.iter().position(|(_, required)| *required);
        let candidates = last.map_or(items.len(), |last| last + 1);
        let firsts: Vec<String> = (0..candidates)
            .map(|first| format!("{} {}", items[first].0, behind(&items[first + 1..])))
            .map(|expression| expression.trim_end().to_owned())
            .collect();
        match (firsts.as_slice(), last) {
            ([], _) => String::new(),
            (_, Some(_)) => one_of(&firsts),
            (_, None) => format!("{}?", one_of(&firsts)),
        }
    }
}

/// A JSON value of a schema, which is to be enforced as far as possible: a call has to be a call even where a keyword of
/// its arguments cannot be followed.
pub(crate) fn json(schema: &Value) -> String {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        _ => Value::Object(Map::new()),
    };
    forget_prose(&mut schema);
    schema["x-guidance"] = json!({"lenient": true});
    format!("%json {schema}")
}

/// The arguments of a tool as a JSON object.
pub(crate) fn json_arguments(tool: &Tool) -> String {
    let mut schema = match &tool.parameters {
        Value::Object(schema) => schema.clone(),
        _ => Map::new(),
    };
    schema.entry("type").or_insert_with(|| "object".into());
    json(&Value::Object(schema))
}

/// Removes what a schema says to people: agents write pages of it, and a grammar has a limit.
fn forget_prose(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    for keyword in ["description", "title", "examples", "default", "$comment"] {
        schema.shift_remove(keyword);
    }
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions",
                Value::Object(parts),
            ) => {
                parts.values_mut().for_each(forget_prose);
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(parts)) => {
                parts.iter_mut().for_each(forget_prose);
            }
            ("items" | "additionalProperties", part) => forget_prose(part),
            _ => {}
        }
    }
}

/// The strings that a schema lists, if it allows no others.
pub(crate) fn listed_strings(schema: &Value) -> Option<Vec<&str>> {
    let listed = schema["enum"].as_array()?;
    let is_text = Types::of(Some(schema)).is_text();
    is_text.then(|| listed.iter().filter_map(Value::as_str).collect())
}

/// A part of a schema with the definitions of the whole, which it may refer to.
fn with_definitions(schema: &Value, whole: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        for key in ["$defs", "definitions"] {
            if let Some(definitions) = whole.get(key) {
                object.entry(key).or_insert_with(|| definitions.clone());
            }
        }
    }
    schema
}

/// Expressions of which one must match.
pub(crate) fn one_of(expressions: &[String]) -> String {
    format!("({})", expressions.join(" | "))
}

/// Calls that a grammar allows in one answer: where the next one is always allowed, a small model may go on calling until
/// its context is full.
const MOST_CALLS: usize = 16;

/// `call` once, or several times with `separator` between.
fn repeat(call: &str, separator: &str, parallel: bool) -> String {
    match (parallel, separator) {
        (false, _) => call.to_owned(),
        (true, "") => format!("{call}{{1,{MOST_CALLS}}}"),
        (true, _) => {
            let separator = quote(separator);
            format!("{call} ({separator} {call}){{0,{}}}", MOST_CALLS - 1)
        }
    }
}

/// Text, tokens and expressions in a row.
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

    /// A marker: a token, if the vocabulary has it as a special one, else text.
    pub fn marker(self, lark: &Lark<'_>, marker: &str) -> Self {
        match (lark.special_token)(marker) {
            Some(id) => self.expression(&format!("<[{id}]>")),
            None => self.text(marker),
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
