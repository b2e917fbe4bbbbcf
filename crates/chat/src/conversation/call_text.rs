//! Calls of the history as text, for templates that list tools but do not render calls: the model sees its own syntax.

use serde_json::{Value, json};

use super::message::{calls, joined, text};
use crate::integers;
use crate::parsing::ToolFormat;

/// Whether [`calls_to_content`] knows the syntax.
pub(super) fn writes(format: ToolFormat) -> bool {
    matches!(format, ToolFormat::Hermes | ToolFormat::Lfm2)
}

/// Appends the calls of messages to their content.
pub(super) fn calls_to_content(messages: &mut [Value], format: ToolFormat) {
    for message in messages {
        if calls(message).is_empty() {
            continue;
        }
        let written = match format {
            ToolFormat::Lfm2 => lfm2(calls(message)),
            _ => hermes(calls(message)),
        };
        let content = text(message);
        let content = if content.is_empty() {
            written
        } else {
            format!("{content}\n{written}")
        };
        if let Value::Object(fields) = message {
            fields.remove("tool_calls");
            fields.insert("content".to_owned(), content.into());
        }
    }
}

fn hermes(calls: &[Value]) -> String {
    let calls = calls.iter().map(|call| {
        let function = &call["function"];
        let call = json!({"name": function["name"], "arguments": function["arguments"]});
        format!("<tool_call>\n{}\n</tool_call>", integers::to_string(&call))
    });
    calls.collect::<Vec<_>>().join("\n")
}

fn lfm2(calls: &[Value]) -> String {
    let calls = calls.iter().map(|call| {
        let function = &call["function"];
        let arguments = function["arguments"].as_object().into_iter().flatten();
        let arguments = arguments.map(|(name, value)| format!("{name}={}", python(value)));
        let name = function["name"].as_str().unwrap_or_default();
        format!("{name}({})", arguments.collect::<Vec<_>>().join(", "))
    });
    let calls = calls.collect::<Vec<_>>().join(", ");
    format!("<|tool_call_start|>[{calls}]<|tool_call_end|>")
}

/// A value as a Python literal.
fn python(value: &Value) -> String {
    if let Some(digits) = integers::digits(value) {
        return digits.to_owned();
    }
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        // An escaped JSON string is a Python string, too.
        Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => {
            let items = items.iter().map(python);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let name = Value::from(name.as_str());
                format!("{name}: {}", python(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Replaces calls and results by text in the syntax of Hermes, for templates that do not render them.
pub(super) fn all_to_text(messages: &mut [Value]) {
    calls_to_content(messages, ToolFormat::Hermes);
    for message in messages {
        if message["role"] == "tool" {
            *message = super::tool_results::as_text(message);
        }
    }
}

/// Adds a paragraph to the leading system message, or inserts one.
pub(super) fn add_to_system(messages: &mut Vec<Value>, paragraph: &str) {
    match messages.first_mut() {
        Some(first) if super::message::is_system(first) => {
            first["content"] = joined(&text(first), paragraph).into();
        }
        _ => messages.insert(0, json!({"role": "system", "content": paragraph})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calling(content: &str) -> Value {
        let call = |name: &str, arguments: Value| json!({"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}});
        let arguments = json!({"a": "x\n\"", "b": [1, true, null], "c": {"d": 0.5}});
        json!({"role": "assistant", "content": content, "tool_calls": [call("f", arguments), call("g", json!({}))]})
    }

    #[test]
    fn calls_are_written_in_the_syntax_of_the_model() {
        let mut messages = [calling("Wait.")];
        calls_to_content(&mut messages, ToolFormat::Lfm2);
        assert_eq!(
            messages[0],
            json!({"role": "assistant", "content": "Wait.\n<|tool_call_start|>[f(a=\"x\\n\\\"\", b=[1, True, None], c={\"d\": 0.5}), g()]<|tool_call_end|>"})
        );
        assert!(writes(ToolFormat::Lfm2) && !writes(ToolFormat::Glm4));
    }

    #[test]
    fn calls_and_results_are_written_as_text() {
        let call = json!({"id": "1", "type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}});
        let mut messages = [
            json!({"role": "assistant", "content": "", "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "1", "content": "12:00"}),
        ];
        all_to_text(&mut messages);
        assert_eq!(
            messages,
            [
                json!({"role": "assistant", "content": "<tool_call>\n{\"name\":\"now\",\"arguments\":{\"zone\":\"UTC\"}}\n</tool_call>"}),
                json!({"role": "user", "content": "<tool_response>\n12:00\n</tool_response>"}),
            ]
        );
    }

    #[test]
    fn a_paragraph_is_added_to_the_system_message() {
        let user = json!({"role": "user", "content": "q"});
        let mut messages = vec![user.clone()];
        add_to_system(&mut messages, "one");
        add_to_system(&mut messages, "two");
        assert_eq!(
            messages,
            [json!({"role": "system", "content": "one\n\ntwo"}), user]
        );
    }
}
