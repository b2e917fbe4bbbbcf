//! Access to the parts of a message.

use serde_json::{Value, json};

/// The role; empty if there is none.
pub(super) fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or_default()
}

/// Whether the message is from the system or the developer.
pub(super) fn is_system(message: &Value) -> bool {
    matches!(role(message), "system" | "developer")
}

/// The text of the content; the texts of parts are joined.
pub(super) fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The calls of an assistant message.
pub(super) fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map_or(&[], Vec::as_slice)
}

/// The calls of all messages.
pub(super) fn calls_mut(messages: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    let calls = messages.iter_mut().filter_map(|message| {
        let calls = message.get_mut("tool_calls")?;
        calls.as_array_mut()
    });
    calls.flatten().filter(|call| call.is_object())
}

/// Adds a paragraph before the content.
pub(super) fn prepend(message: &mut Value, paragraph: &str) {
    match &mut message["content"] {
        Value::Array(parts) => parts.insert(0, text_part(paragraph)),
        content => {
            let text = content.as_str().unwrap_or_default();
            *content = joined(paragraph, text).into();
        }
    }
}

/// Adds the content of another message as a paragraph after the content.
pub(super) fn append(message: &mut Value, content: Value) {
    match (&mut message["content"], content) {
        (Value::Array(parts), Value::Array(more)) => parts.extend(more),
        (Value::Array(parts), Value::String(text)) if !text.is_empty() => {
            parts.push(text_part(&text));
        }
        (content @ Value::String(_), Value::Array(mut more)) => {
            if let Some(text) = content.as_str().filter(|text| !text.is_empty()) {
                more.insert(0, text_part(text));
            }
            *content = more.into();
        }
        (content @ (Value::String(_) | Value::Null), Value::String(text)) => {
            *content = joined(content.as_str().unwrap_or_default(), &text).into();
        }
        _ => {}
    }
}

/// Replaces lists of text parts by strings, for templates that read only these. Other lists stay.
pub(super) fn flatten_parts(messages: &mut [Value]) {
    for message in messages {
        let only_text = |parts: &Vec<Value>| parts.iter().all(|part| part["text"].is_string());
        if message["content"].as_array().is_some_and(only_text) {
            message["content"] = text(message).into();
        }
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// Two paragraphs; an empty one adds nothing.
pub(super) fn joined(first: &str, second: &str) -> String {
    if first.is_empty() || second.is_empty() {
        format!("{first}{second}")
    } else {
        format!("{first}\n\n{second}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_added_to_strings_and_lists_of_parts() {
        let mut plain = json!({"role": "user", "content": "a"});
        prepend(&mut plain, "first");
        append(&mut plain, "last".into());
        append(&mut plain, "".into());
        assert_eq!(plain["content"], "first\n\na\n\nlast");
        let mut parts = json!({"role": "user", "content": [text_part("a")]});
        prepend(&mut parts, "first");
        append(&mut parts, "last".into());
        append(&mut parts, json!([text_part("b")]));
        assert_eq!(text(&parts), "first\na\nlast\nb");
        append(&mut plain, json!([text_part("b")]));
        assert_eq!(text(&plain), "first\n\na\n\nlast\nb");
    }

    #[test]
    fn only_lists_of_text_become_strings() {
        let image = json!({"role": "user", "content": [{"type": "image"}, text_part("b")]});
        let parts = json!({"role": "user", "content": [text_part("a"), text_part("b")]});
        let mut messages = [parts, image.clone()];
        flatten_parts(&mut messages);
        assert_eq!(
            messages,
            [json!({"role": "user", "content": "a\nb"}), image]
        );
    }
}
