//! Conversion of plain-text argument values to JSON, by the types that their schema allows.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::parsing::json::quote;
use crate::parsing::python;

/// The JSON types that a schema allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Types {
    string: bool,
    number: bool,
    integer: bool,
    boolean: bool,
    null: bool,
    object: bool,
    array: bool,
}

/// A type that contains other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Array,
    Object,
}

impl Types {
    /// The types of `type`, `enum`, `const`, `anyOf`, `oneOf` and `allOf` in `schema`; none if it has none of them.
    pub fn of(schema: Option<&Value>) -> Self {
        let mut types = Self::default();
        if let Some(schema) = schema {
            types.collect(schema, 0);
        }
        types
    }

    /// Whether only strings are allowed.
    pub fn is_string(self) -> bool {
        self.string
            && self
                == Self {
                    string: true,
                    ..Self::default()
                }
    }

    /// Whether strings are allowed.
    pub fn allows_string(self) -> bool {
        self.string
    }

    /// Whether null is not among the types.
    pub fn excludes_null(self) -> bool {
        self != Self::default() && !self.null
    }

    /// Whether only booleans are allowed.
    pub fn is_boolean(self) -> bool {
        self == Self {
            boolean: true,
            ..Self::default()
        }
    }

    /// Whether all numbers must be integers.
    fn has_only_integers(self) -> bool {
        self.integer && !self.number
    }

    /// Whether only numbers, booleans and null are allowed.
    pub fn is_scalar(self) -> bool {
        self != Self::default() && !(self.string || self.object || self.array)
    }

    /// The container type, if only this type is allowed.
    pub fn container(self) -> Option<Container> {
        let none = Self::default();
        if self
            == (Self {
                array: true,
                ..none
            })
        {
            Some(Container::Array)
        } else if self
            == (Self {
                object: true,
                ..none
            })
        {
            Some(Container::Object)
        } else {
            None
        }
    }

    fn collect(&mut self, schema: &Value, depth: usize) {
        const MAX_DEPTH: usize = 8;
        if depth > MAX_DEPTH {
            return;
        }
        match &schema["type"] {
            Value::String(name) => self.add(name),
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .for_each(|name| self.add(name)),
            _ => {}
        }
        if *self == Self::default() {
            let listed = schema["enum"].as_array().into_iter().flatten();
            listed
                .chain(schema.get("const"))
                .for_each(|value| self.add_value(value));
        }
        for alternatives in ["anyOf", "oneOf", "allOf"] {
            for alternative in schema[alternatives].as_array().into_iter().flatten() {
                self.collect(alternative, depth + 1);
            }
        }
    }

    fn add(&mut self, name: &str) {
        match name {
            "string" => self.string = true,
            "number" => self.number = true,
            "integer" => self.integer = true,
            "boolean" => self.boolean = true,
            "null" => self.null = true,
            "object" => self.object = true,
            "array" => self.array = true,
            _ => {}
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(_) => self.string = true,
            Value::Number(number) if number.is_f64() => self.number = true,
            Value::Number(_) => self.integer = true,
            Value::Bool(_) => self.boolean = true,
            Value::Null => self.null = true,
            Value::Object(_) => self.object = true,
            Value::Array(_) => self.array = true,
        }
    }

    /// Whether JSON text has one of the types; without types, anything but a string.
    fn allow(self, json: &str) -> bool {
        if self == Self::default() {
            // Without a type, quotes are kept as a part of the text.
            return !json.starts_with('"');
        }
        match json.chars().next() {
            Some('{') => self.object,
            Some('[') => self.array,
            Some('t' | 'f') => self.boolean,
            Some('n') => self.null,
            Some('"') => self.string,
            _ => self.number || self.integer,
        }
    }
}

/// `text` as JSON: unchanged if it is JSON of an allowed type, else parsed as a Python literal of an allowed type, else a
/// string.
pub(crate) fn from_text(text: &str, types: Types) -> String {
    if types.is_string() {
        return quote(text);
    }
    let trimmed = text.trim();
    let literal = if serde_json::from_str::<IgnoredAny>(trimmed).is_ok() {
        Some(trimmed.to_owned())
    } else {
        python::to_json(trimmed)
    };
    // Models write strings without quotes if other types are allowed, too.
    let fits = |json: &String| !json.starts_with('"') && types.allow(json);
    literal.filter(fits).unwrap_or_else(|| quote(text))
}

/// Arguments as a JSON object in which numbers without a fraction are written as integers where `schema` requires integers;
/// `None` if they are not a JSON object.
pub(crate) fn arguments(json: &str, schema: &Value) -> Option<String> {
    let mut json = json.to_owned();
    let mut object = if let Ok(object) = serde_json::from_str::<Map<String, Value>>(&json) {
        Value::Object(object)
    } else {
        // Escapes of lone surrogates.
        json = python::to_json(&json)?;
        let Ok(object) = serde_json::from_str(&json) else {
            // Numbers beyond the range of 64-bit floats, which JSON allows.
            let is_object = serde_json::from_str::<HashMap<String, &RawValue>>(&json).is_ok();
            return is_object.then_some(json);
        };
        Value::Object(object)
    };
    let changed = convert_integers(&mut object, schema, schema, 0);
    Some(if changed { object.to_string() } else { json })
}

/// Converts numbers without a fraction to integers where `schema` requires them; returns whether there were any.
fn convert_integers(value: &mut Value, schema: &Value, root: &Value, depth: usize) -> bool {
    const MAX_DEPTH: usize = 32;
    if depth > MAX_DEPTH {
        return false;
    }
    if let Some(target) = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix('#'))
    {
        let target = root.pointer(target).unwrap_or(&Value::Null);
        return convert_integers(value, target, root, depth + 1);
    }
    let mut changed = false;
    match value {
        Value::Number(number) => {
            let integer = number
                .as_f64()
                .filter(|_| number.is_f64())
                .and_then(integer);
            if let (Some(integer), true) = (integer, Types::of(Some(schema)).has_only_integers()) {
                *value = integer.into();
                changed = true;
            }
            return changed;
        }
        Value::Array(items) => {
            for item in items {
                changed |= convert_integers(item, &schema["items"], root, depth + 1);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let schema = schema["properties"].get(name);
                let schema = schema.unwrap_or(&Value::Null);
                changed |= convert_integers(member, schema, root, depth + 1);
            }
        }
        _ => return false,
    }
    for alternatives in ["anyOf", "oneOf", "allOf"] {
        for alternative in schema[alternatives].as_array().into_iter().flatten() {
            changed |= convert_integers(value, alternative, root, depth + 1);
        }
    }
    changed
}

/// The number as an integer, if it is one and exact.
fn integer(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_integer = number.fract() == 0.0 && number.abs() <= EXACT;
    is_integer
        .then(|| format!("{number:.0}").parse().ok())
        .flatten()
}

/// A Python literal as JSON; a string if it is not a literal.
pub(crate) fn from_python(text: &str, types: Types) -> String {
    let trimmed = text.trim();
    match python::to_json(trimmed) {
        Some(json) if !types.is_string() || json.starts_with('"') || json == "null" => json,
        _ => quote(trimmed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &str, schema: Value) -> String {
        from_text(value, Types::of(Some(&schema)))
    }

    #[test]
    fn from_text_keeps_strings() {
        assert_eq!(text("42", json!({"type": "string"})), "\"42\"");
        assert_eq!(
            text("  a\n\"b\" ", json!({"type": "string"})),
            r#""  a\n\"b\" ""#
        );
        assert_eq!(text("null", json!({"enum": ["null", "x"]})), "\"null\"");
    }

    #[test]
    fn from_text_parses_other_types() {
        assert_eq!(text(" 3 ", json!({"type": "integer"})), "3");
        assert_eq!(
            text("12345678901234567890.5", json!({"type": "number"})),
            "12345678901234567890.5"
        );
        assert_eq!(text("True", json!({"type": "boolean"})), "true");
        assert_eq!(text("null", json!({"type": ["string", "null"]})), "null");
        assert_eq!(text("nil", json!({"type": ["string", "null"]})), "\"nil\"");
        assert_eq!(text("[1, 2]", json!({"type": "array"})), "[1, 2]");
        assert_eq!(
            text("{'a': None}", json!({"type": "object"})),
            r#"{"a": null}"#
        );
        assert_eq!(
            text(
                "7",
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})
            ),
            "7"
        );
    }

    #[test]
    fn from_text_falls_back_to_a_string() {
        assert_eq!(text("many", json!({"type": "integer"})), "\"many\"");
        assert_eq!(text("{broken", json!({"type": "object"})), "\"{broken\"");
    }

    #[test]
    fn from_text_guesses_without_a_type() {
        assert_eq!(text("5", json!({})), "5");
        assert_eq!(text("{\"a\": 1}", json!({})), "{\"a\": 1}");
        assert_eq!(text("\"quoted\"", json!({})), "\"\\\"quoted\\\"\"");
        assert_eq!(from_text("007", Types::of(None)), "\"007\"");
    }

    #[test]
    fn arguments_have_integers_where_the_schema_requires_them() {
        let schema = json!({"type": "object", "properties": {
            "n": {"type": "integer"},
            "m": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "x": {"type": "number"},
            "either": {"type": ["integer", "number"]},
            "s": {"type": "string"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/count"}},
            "deep": {"anyOf": [{"type": "object", "properties": {"n": {"type": "integer"}}}, {"type": "null"}]},
        }, "$defs": {"count": {"type": "integer"}}});
        for (given, expected) in [
            (r#"{"n": 140.0}"#, r#"{"n":140}"#),
            (r#"{"n": 1e3}"#, r#"{"n":1000}"#),
            (r#"{"n": -0.0}"#, r#"{"n":0}"#),
            (r#"{"m": 3.0}"#, r#"{"m":3}"#),
            (r#"{"n": -3.5}"#, r#"{"n": -3.5}"#),
            (r#"{"n": 7}"#, r#"{"n": 7}"#),
            (
                r#"{"x": 2.0, "either": 2.0}"#,
                r#"{"x": 2.0, "either": 2.0}"#,
            ),
            (r#"{"s": "140.0"}"#, r#"{"s": "140.0"}"#),
            (r#"{"list": [1.0, 2]}"#, r#"{"list":[1,2]}"#),
            (r#"{"deep": {"n": 1.0}}"#, r#"{"deep":{"n":1}}"#),
            (r#"{"other": 1.0}"#, r#"{"other": 1.0}"#),
        ] {
            assert_eq!(arguments(given, &schema).as_deref(), Some(expected));
        }
    }

    #[test]
    fn arguments_are_a_json_object() {
        let schema = json!(null);
        assert_eq!(arguments("[1]", &schema), None);
        let huge = r#"{"a": 448e49099, "b": {"c": -1e400}}"#;
        assert_eq!(arguments(huge, &schema).as_deref(), Some(huge));
        assert_eq!(arguments("{\"a\": ", &schema), None);
        assert_eq!(
            arguments(r#"{"a": "\ud800"}"#, &schema).as_deref(),
            Some("{\"a\": \"\u{fffd}\"}")
        );
    }

    #[test]
    fn from_python_keeps_types() {
        let string = Types::of(Some(&json!({"type": "string"})));
        assert_eq!(from_python("'x'", string), "\"x\"");
        assert_eq!(from_python("8001", string), "\"8001\"");
        assert_eq!(from_python("None", string), "null");
        assert_eq!(from_python("'None'", string), "\"None\"");
        assert_eq!(from_python("unquoted words", string), "\"unquoted words\"");
        assert_eq!(from_python("False", Types::default()), "false");
    }
}
