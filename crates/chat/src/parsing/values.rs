//! Argument values that a model wrote as plain text, turned into JSON by the type their schema asks for.

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

/// A value that holds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Array,
    Object,
}

impl Types {
    /// Those that `schema` names, directly, in alternatives, or by listing values. None if it names none.
    pub fn of(schema: Option<&Value>) -> Self {
        let mut types = Self::default();
        if let Some(schema) = schema {
            types.collect(schema, 0);
        }
        types
    }

    /// Whether nothing but a string is allowed.
    pub fn is_text(self) -> bool {
        self.string
            && self
                == Self {
                    string: true,
                    ..Self::default()
                }
    }

    /// Whether a string is among the types.
    pub fn has_text(self) -> bool {
        self.string
    }

    /// Whether nothing but a truth value is allowed.
    pub fn is_boolean(self) -> bool {
        self == Self {
            boolean: true,
            ..Self::default()
        }
    }

    /// Whether only numbers, truth values and null are allowed.
    pub fn is_scalar(self) -> bool {
        self != Self::default() && !(self.string || self.object || self.array)
    }

    /// The kind of container, if nothing but such is allowed.
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
        const DEEPEST: usize = 8;
        if depth > DEEPEST {
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

    /// Whether JSON text is of one of the types, or of any where there are none.
    fn allow(self, json: &str) -> bool {
        if self == Self::default() {
            // Without a type, text in quotes is as likely meant with its quotes.
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

/// `text` as JSON: as it stands if it is JSON of a type that fits, else as Python writes such a value, else a string.
pub(crate) fn from_text(text: &str, types: Types) -> String {
    if types.is_text() {
        return quote(text);
    }
    let trimmed = text.trim();
    let literal = if serde_json::from_str::<IgnoredAny>(trimmed).is_ok() {
        Some(trimmed.to_owned())
    } else {
        python::to_json(trimmed)
    };
    // A string among other types is written without quotes.
    let fits = |json: &String| !json.starts_with('"') && types.allow(json);
    literal.filter(fits).unwrap_or_else(|| quote(text))
}

/// `text` as JSON, where strings are written with quotes: what is no literal is a string nevertheless.
pub(crate) fn from_python(text: &str, types: Types) -> String {
    let trimmed = text.trim();
    match python::to_json(trimmed) {
        Some(json) if !types.is_text() || json.starts_with('"') => json,
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
    fn strings_stay_strings() {
        assert_eq!(text("42", json!({"type": "string"})), "\"42\"");
        assert_eq!(
            text("  a\n\"b\" ", json!({"type": "string"})),
            r#""  a\n\"b\" ""#
        );
        assert_eq!(text("null", json!({"enum": ["null", "x"]})), "\"null\"");
    }

    #[test]
    fn other_types_are_read() {
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
    fn what_does_not_fit_is_a_string() {
        assert_eq!(text("many", json!({"type": "integer"})), "\"many\"");
        assert_eq!(text("{broken", json!({"type": "object"})), "\"{broken\"");
    }

    #[test]
    fn unknown_types_are_guessed() {
        assert_eq!(text("5", json!({})), "5");
        assert_eq!(text("{\"a\": 1}", json!({})), "{\"a\": 1}");
        assert_eq!(text("\"quoted\"", json!({})), "\"\\\"quoted\\\"\"");
        assert_eq!(from_text("007", Types::of(None)), "\"007\"");
    }

    #[test]
    fn python_values_keep_their_types() {
        let string = Types::of(Some(&json!({"type": "string"})));
        assert_eq!(from_python("'x'", string), "\"x\"");
        assert_eq!(from_python("8001", string), "\"8001\"");
        assert_eq!(from_python("unquoted words", string), "\"unquoted words\"");
        assert_eq!(from_python("False", Types::default()), "false");
    }
}
