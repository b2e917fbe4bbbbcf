//! Conversion of plain-text argument values to JSON, by the types that their schema allows.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::parsing::json::quote;
use crate::parsing::python;

/// The JSON types that a schema allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Types {
    string: bool,
    number: bool,
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

    /// Whether only booleans are allowed.
    pub fn is_boolean(self) -> bool {
        self == Self {
            boolean: true,
            ..Self::default()
        }
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
            "number" | "integer" => self.number = true,
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
            Value::Number(_) => self.number = true,
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
            _ => self.number,
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

/// A Python literal as JSON; a string if it is not a literal.
pub(crate) fn from_python(text: &str, types: Types) -> String {
    let trimmed = text.trim();
    match python::to_json(trimmed) {
        Some(json) if !types.is_string() || json.starts_with('"') => json,
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
    fn from_python_keeps_types() {
        let string = Types::of(Some(&json!({"type": "string"})));
        assert_eq!(from_python("'x'", string), "\"x\"");
        assert_eq!(from_python("8001", string), "\"8001\"");
        assert_eq!(from_python("unquoted words", string), "\"unquoted words\"");
        assert_eq!(from_python("False", Types::default()), "false");
    }
}
