//! Text with calls, for templates that render only one of both.

use serde_json::{Map, Value, json};

use super::message::calls;
use crate::template::{CallContent, REASONING_FIELDS};

/// Moves the text of messages with calls, and the reasoning before it, into a message of its own before the calls.
pub(super) fn separate(messages: Vec<Value>, place: CallContent) -> Vec<Value> {
    if place == CallContent::Together {
        return messages;
    }
    let mut separated = Vec::with_capacity(messages.len());
    for mut message in messages {
        let id = calls(&message).first().map(|call| call["id"].clone());
        if let (Some(id), Value::Object(fields)) = (id, &mut message) {
            // Spaces alone would hide the calls, too.
            let content = fields.insert("content".to_owned(), "".into());
            if let Some(content) = content.filter(has_text) {
                separated.push(text_message(content, fields));
                if place == CallContent::BeforeEmptyUser {
                    // Some templates describe tools in each message that equals the user's last one. The id, which they do not
                    // print, distinguishes the message.
                    separated.push(json!({"role": "user", "content": "", "tool_call_id": id}));
                }
            }
        }
        separated.push(message);
    }
    separated
}

/// Whether content has more than spaces.
fn has_text(content: &Value) -> bool {
    let is_blank = |text: &str| text.trim().is_empty();
    match content {
        Value::String(text) => !is_blank(text),
        Value::Array(parts) => parts
            .iter()
            .any(|part| part["text"].as_str().is_none_or(|text| !is_blank(text))),
        _ => false,
    }
}

/// An assistant message with `content` and the reasoning of `fields`.
fn text_message(content: Value, fields: &mut Map<String, Value>) -> Value {
    let mut message = json!({"role": "assistant", "content": content});
    for name in REASONING_FIELDS {
        if let Some(reasoning) = fields.shift_remove(name) {
            message[name] = reasoning;
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calling(content: &Value) -> Value {
        let call = json!({"id": "1", "function": {"name": "f", "arguments": {}}});
        json!({"role": "assistant", "content": content, "tool_calls": [call]})
    }

    fn text(content: &Value) -> Value {
        json!({"role": "assistant", "content": content})
    }

    #[test]
    fn text_and_reasoning_precede_the_calls() {
        let (plain, parts) = (json!("Wait."), json!([{"type": "text", "text": "Wait."}]));
        let user = json!({"role": "user", "content": "q"});
        for content in [&plain, &parts] {
            let mut thoughtful = calling(content);
            thoughtful["reasoning_content"] = "hm".into();
            let mut thought = text(content);
            thought["reasoning_content"] = "hm".into();
            let messages = vec![user.clone(), thoughtful, text(content), calling(content)];
            assert_eq!(separate(messages.clone(), CallContent::Together), messages);
            let empty = json!({"role": "user", "content": "", "tool_call_id": "1"});
            let silent = calling(&"".into());
            assert_eq!(
                separate(messages.clone(), CallContent::Before),
                [
                    user.clone(),
                    thought.clone(),
                    silent.clone(),
                    text(content),
                    text(content),
                    silent.clone()
                ]
            );
            assert_eq!(
                separate(messages, CallContent::BeforeEmptyUser),
                [
                    user.clone(),
                    thought,
                    empty.clone(),
                    silent.clone(),
                    text(content),
                    text(content),
                    empty,
                    silent
                ]
            );
        }
    }

    #[test]
    fn calls_without_text_stay() {
        let silent = calling(&"".into());
        for content in [
            json!(""),
            json!(" \n"),
            json!([]),
            json!([{"type": "text", "text": " "}]),
        ] {
            let mut thoughtful = calling(&content);
            thoughtful["reasoning_content"] = "hm".into();
            let separated = separate(vec![thoughtful], CallContent::BeforeEmptyUser);
            let mut expected = silent.clone();
            expected["reasoning_content"] = "hm".into();
            assert_eq!(separated, [expected]);
        }
    }
}
