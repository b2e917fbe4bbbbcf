//! Reasoning of earlier messages.

use serde_json::Value;

use super::message::{calls, joined, text};
use crate::template::REASONING_FIELDS;

/// Moves reasoning into the content of messages that have reasoning, content and calls, for templates that accept only one of the
/// texts before a call.
pub(super) fn merge_reasoning_before_calls(messages: &mut [Value]) {
    for message in messages {
        if calls(message).is_empty() || text(message).is_empty() {
            continue;
        }
        let content = text(message);
        let Some(fields) = message.as_object_mut() else {
            continue;
        };
        let reasoning: Vec<Value> = REASONING_FIELDS
            .iter()
            .filter_map(|name| fields.remove(*name))
            .collect();
        let reasoning = reasoning.iter().find_map(Value::as_str).unwrap_or_default();
        let both = joined(reasoning, &content);
        fields.insert("content".to_owned(), both.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasoning_moves_into_the_content_before_a_call() {
        let calls = json!([{"id": "1", "function": {"name": "f", "arguments": {}}}]);
        let silent = json!({"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": calls});
        let plain = json!({"role": "assistant", "content": "x", "reasoning_content": "hm"});
        let mut messages = [
            json!({"role": "assistant", "content": "x", "thinking": "hm", "reasoning": "hm", "tool_calls": calls}),
            silent.clone(),
            plain.clone(),
        ];
        merge_reasoning_before_calls(&mut messages);
        let merged = json!({"role": "assistant", "content": "hm\n\nx", "tool_calls": calls});
        assert_eq!(messages, [merged, silent, plain]);
    }
}
