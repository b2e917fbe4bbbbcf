//! Arguments of calls in the history.

use serde_json::{Map, Value};

use super::message::calls_mut;
use crate::integers;

/// The argument that holds a text that is not a JSON object, such as one that was truncated.
const UNPARSED: &str = "unparsed_arguments";

/// Replaces arguments by objects, which most templates iterate. JSON text is parsed, nothing becomes an empty object, and
/// anything else the value of one argument.
pub(super) fn to_objects(messages: &mut [Value]) {
    for call in calls_mut(messages) {
        let Some(Value::Object(function)) = call.get_mut("function") else {
            continue;
        };
        let arguments = function.entry("arguments").or_insert(Value::Null);
        *arguments = object(arguments.take()).into();
    }
}

fn object(arguments: Value) -> Map<String, Value> {
    let text = match arguments {
        Value::Object(object) => return object,
        Value::Null => return Map::new(),
        Value::String(text) => text,
        other => return Map::from_iter([(UNPARSED.to_owned(), other)]),
    };
    if text.trim().is_empty() {
        return Map::new();
    }
    let parsed = match integers::from_str(&text) {
        // Some clients encode the arguments twice.
        Ok(Value::String(inner)) => integers::from_str(&inner).ok().filter(Value::is_object),
        parsed => parsed.ok(),
    };
    match parsed.filter(|parsed| integers::digits(parsed).is_none()) {
        Some(Value::Object(object)) => object,
        Some(Value::Null) => Map::new(),
        _ => unparsed(text),
    }
}

fn unparsed(text: String) -> Map<String, Value> {
    Map::from_iter([(UNPARSED.to_owned(), text.into())])
}

/// Replaces objects by JSON text, for templates that print arguments as they are.
pub(super) fn to_text(messages: &mut [Value]) {
    for call in calls_mut(messages) {
        if let Some(arguments @ Value::Object(_)) = call.pointer_mut("/function/arguments") {
            *arguments = integers::to_string(arguments).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(given: Value) -> Value {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": given}});
        let mut messages = [json!({"role": "assistant", "tool_calls": [call]})];
        to_objects(&mut messages);
        messages[0]["tool_calls"][0]["function"]["arguments"].take()
    }

    #[test]
    fn all_arguments_become_objects() {
        for (given, expected) in [
            (json!({"a": 1}), json!({"a": 1})),
            (json!("{\"a\": 1}"), json!({"a": 1})),
            (json!("\"{\\\"a\\\": 1}\""), json!({"a": 1})),
            (json!(null), json!({})),
            (json!(""), json!({})),
            (json!(" \n"), json!({})),
            (json!("null"), json!({})),
            (json!("{\"a\": "), json!({UNPARSED: "{\"a\": "})),
            (json!("[1]"), json!({UNPARSED: "[1]"})),
            (json!("\"text\""), json!({UNPARSED: "\"text\""})),
            (json!([1]), json!({UNPARSED: [1]})),
            (
                json!("18446744073709551616"),
                json!({UNPARSED: "18446744073709551616"}),
            ),
        ] {
            assert_eq!(arguments(given.clone()), expected, "{given}");
        }
    }

    #[test]
    fn missing_arguments_and_functions_are_accepted() {
        let mut messages = [
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}, {"id": "2"}]}),
            json!({"role": "assistant", "tool_calls": null}),
        ];
        to_objects(&mut messages);
        assert_eq!(
            messages[0]["tool_calls"][0]["function"]["arguments"],
            json!({})
        );
    }

    #[test]
    fn integers_keep_their_digits() {
        let text = "{\"a\":[123456789012345678901234567890]}";
        let call = json!({"function": {"name": "f", "arguments": text}});
        let mut messages = [json!({"role": "assistant", "tool_calls": [call]})];
        to_objects(&mut messages);
        to_text(&mut messages);
        assert_eq!(messages[0]["tool_calls"][0]["function"]["arguments"], text);
    }

    #[test]
    fn objects_become_text_for_templates_that_print_it() {
        let call = json!({"function": {"name": "f", "arguments": {"a": [1]}}});
        let mut messages = [json!({"role": "assistant", "tool_calls": [call]})];
        to_text(&mut messages);
        assert_eq!(
            messages[0]["tool_calls"][0]["function"]["arguments"],
            "{\"a\":[1]}"
        );
    }
}
