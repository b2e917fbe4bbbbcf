//! Several calls in one message, for templates that render only one.

use serde_json::{Value, json};

use super::message::{calls, role};

/// Renders several calls of a message as call, result, call, result. Content and reasoning stay with the first call.
pub(super) fn split_parallel_calls(messages: Vec<Value>) -> Vec<Value> {
    let mut split = Vec::with_capacity(messages.len());
    let mut messages = messages.into_iter().peekable();
    while let Some(mut message) = messages.next() {
        if calls(&message).len() < 2 {
            split.push(message);
            continue;
        }
        let mut results = Vec::new();
        while let Some(result) = messages.next_if(|next| role(next) == "tool") {
            results.push(result);
        }
        let calls = match message["tool_calls"].take() {
            Value::Array(calls) => calls,
            _ => Vec::new(),
        };
        for (index, call) in calls.into_iter().enumerate() {
            let id = call["id"].clone();
            let mut one = if index == 0 {
                message.clone()
            } else {
                json!({"role": "assistant", "content": ""})
            };
            one["tool_calls"] = json!([call]);
            split.push(one);
            let position = results
                .iter()
                .position(|result| result["tool_call_id"] == id);
            split.extend(position.map(|position| results.remove(position)));
        }
        split.extend(results);
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": {}}})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": id})
    }

    fn one(content: &str, id: &str) -> Value {
        json!({"role": "assistant", "content": content, "tool_calls": [call(id)]})
    }

    #[test]
    fn calls_and_results_alternate_in_the_order_of_the_calls() {
        let user = json!({"role": "user", "content": "q"});
        let three = json!({"role": "assistant", "content": "Wait.", "tool_calls": [call("a"), call("b"), call("c")]});
        let messages = vec![
            user.clone(),
            three,
            result("b"),
            result("a"),
            result("x"),
            user.clone(),
        ];
        assert_eq!(
            split_parallel_calls(messages),
            [
                user.clone(),
                one("Wait.", "a"),
                result("a"),
                one("", "b"),
                result("b"),
                one("", "c"),
                result("x"),
                user,
            ]
        );
    }

    #[test]
    fn single_calls_stay() {
        let messages = vec![
            one("", "a"),
            result("a"),
            json!({"role": "assistant", "content": "x"}),
        ];
        assert_eq!(split_parallel_calls(messages.clone()), messages);
    }
}
