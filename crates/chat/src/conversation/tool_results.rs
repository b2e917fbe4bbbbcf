//! Results of calls: their names, their place, and results whose call is missing.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::message::{append, calls, role, text};

/// Moves results to the message with their call: other messages between them, such as a text after the calls, follow.
pub(super) fn place_results(messages: Vec<Value>) -> Vec<Value> {
    let mut placed = Vec::with_capacity(messages.len());
    let mut rest: Vec<Option<Value>> = messages.into_iter().map(Some).collect();
    for index in 0..rest.len() {
        let Some(message) = rest[index].take() else {
            continue;
        };
        let mut open: HashSet<String> = call_ids(&message).collect();
        placed.push(message);
        for slot in &mut rest[index + 1..] {
            if open.is_empty() {
                break;
            }
            let Some(message) = slot else {
                continue;
            };
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if role(message) == "tool" && open.remove(id) {
                placed.extend(slot.take());
            } else {
                // Ids may be reused by later calls.
                for id in call_ids(message) {
                    open.remove(&id);
                }
            }
        }
    }
    placed
}

fn call_ids(message: &Value) -> impl Iterator<Item = String> {
    let ids = calls(message).iter().filter_map(|call| call["id"].as_str());
    ids.map(str::to_owned)
}

/// Adds the name of the called function, which some templates print, to results without one.
pub(super) fn name_results(messages: &mut [Value]) {
    let mut names: HashMap<String, Value> = HashMap::new();
    for message in messages {
        for call in calls(message) {
            if let Some(id) = call["id"].as_str() {
                names.insert(id.to_owned(), call["function"]["name"].clone());
            }
        }
        if role(message) != "tool" || message["name"].is_string() {
            continue;
        }
        let name = message["tool_call_id"]
            .as_str()
            .and_then(|id| names.get(id));
        if let Some(name) = name.cloned() {
            message["name"] = name;
        }
    }
}

/// Replaces results without a preceding call, as a compacted history has them, by user messages.
pub(super) fn orphans_to_text(messages: &mut [Value]) {
    let mut open: HashSet<String> = HashSet::new();
    for message in messages {
        if role(message) == "tool" {
            if !open.contains(message["tool_call_id"].as_str().unwrap_or_default()) {
                *message = as_text(message);
            }
            continue;
        }
        // A result belongs to the last message with calls.
        open = call_ids(message).collect();
    }
}

/// A result as a user message.
pub(super) fn as_text(result: &Value) -> Value {
    let content = format!("<tool_response>\n{}\n</tool_response>", text(result));
    json!({"role": "user", "content": content})
}

/// Appends user messages that follow a result to it, for templates that require the assistant's reply after a result.
pub(super) fn append_user_text(messages: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(messages.len());
    for mut message in messages {
        match merged.last_mut() {
            Some(last) if role(last) == "tool" && role(&message) == "user" => {
                append(last, message["content"].take());
            }
            _ => merged.push(message),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Value {
        let call =
            json!({"id": id, "type": "function", "function": {"name": "f", "arguments": {}}});
        json!({"role": "assistant", "content": "", "tool_calls": [call]})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": id})
    }

    #[test]
    fn results_follow_their_calls() {
        let text = json!({"role": "assistant", "content": "Wait."});
        let messages = vec![
            call("a"),
            text.clone(),
            result("x"),
            result("a"),
            call("a"),
            result("a"),
        ];
        assert_eq!(
            place_results(messages),
            [
                call("a"),
                result("a"),
                text,
                result("x"),
                call("a"),
                result("a")
            ]
        );
        let unanswered = vec![call("a"), call("a"), result("a")];
        assert_eq!(place_results(unanswered.clone()), unanswered);
    }

    #[test]
    fn results_get_the_name_of_their_call() {
        let named = json!({"role": "tool", "tool_call_id": "a", "name": "g", "content": "a"});
        let mut messages = [call("a"), result("a"), named.clone(), result("b")];
        name_results(&mut messages);
        assert_eq!(messages[1]["name"], "f");
        assert_eq!(messages[2], named);
        assert_eq!(messages[3], result("b"));
    }

    #[test]
    fn results_without_a_call_become_user_messages() {
        let mut messages = [result("x"), call("a"), result("a"), result("x")];
        let as_user = json!({"role": "user", "content": "<tool_response>\nx\n</tool_response>"});
        orphans_to_text(&mut messages);
        assert_eq!(messages, [as_user.clone(), call("a"), result("a"), as_user]);
    }

    #[test]
    fn user_text_is_appended_to_the_result_before_it() {
        let user = |text: &str| json!({"role": "user", "content": text});
        let messages = vec![user("q"), call("a"), result("a"), user("go"), user("on")];
        let both = json!({"role": "tool", "tool_call_id": "a", "content": "a\n\ngo\n\non"});
        assert_eq!(append_user_text(messages), [user("q"), call("a"), both]);
    }
}
