//! The order of roles: alternation, and a user message at the start.

use serde_json::{Map, Value, json};

use super::message::{append, calls, is_system, joined, role, text};
use crate::template::{REASONING_FIELDS, TemplateProfile};

/// Merges consecutive user messages and consecutive assistant messages, for templates that require alternation. Calls end a
/// message.
pub(super) fn merge_consecutive(messages: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(messages.len());
    for message in messages {
        match merged.last_mut() {
            Some(last) if continues(last, &message) => merge(last, message),
            _ => merged.push(message),
        }
    }
    merged
}

fn continues(last: &Value, message: &Value) -> bool {
    match role(message) {
        "user" => role(last) == "user",
        "assistant" => role(last) == "assistant" && calls(last).is_empty(),
        _ => false,
    }
}

fn merge(last: &mut Value, mut message: Value) {
    append(last, message["content"].take());
    let Value::Object(fields) = message else {
        return;
    };
    let reasoning = |fields: &Map<String, Value>| {
        let text = REASONING_FIELDS
            .iter()
            .find_map(|name| fields.get(*name)?.as_str());
        text.map(str::to_owned)
    };
    if let Some(more) = reasoning(&fields) {
        let before = last.as_object().and_then(reasoning).unwrap_or_default();
        last[REASONING_FIELDS[0]] = joined(&before, &more).into();
    }
    for (name, value) in fields {
        if last.get(&name).is_none_or(Value::is_null) && !REASONING_FIELDS.contains(&name.as_str())
        {
            last[name] = value;
        }
    }
}

/// Removes assistant messages without text and calls, for templates that reject them. The last message stays if the model
/// continues it.
pub(super) fn remove_empty(messages: &mut Vec<Value>, keeps_last: bool) {
    let count = messages.len();
    let mut index = 0;
    messages.retain(|message| {
        index += 1;
        (keeps_last && index == count)
            || role(message) != "assistant"
            || !calls(message).is_empty()
            || !text(message).is_empty()
    });
}

/// Inserts an empty user message after the system message where the template needs a user message.
pub(super) fn ensure_user(messages: &mut Vec<Value>, profile: &TemplateProfile) {
    let start = messages
        .iter()
        .take_while(|message| is_system(message))
        .count();
    let starts_with_user = messages
        .get(start)
        .is_some_and(|first| role(first) == "user");
    let has_user = messages.iter().any(|message| role(message) == "user");
    let needs_first = messages.len() > start && !profile.starts_with_assistant;
    if (needs_first && !starts_with_user) || !(has_user || profile.without_user) {
        messages.insert(start, json!({"role": "user", "content": ""}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::tests::profile;

    fn message(role: &str, content: &str) -> Value {
        json!({"role": role, "content": content})
    }

    #[test]
    fn messages_of_one_role_are_merged() {
        let result = json!({"role": "tool", "tool_call_id": "1", "content": "r"});
        let messages = vec![
            message("user", "a"),
            message("user", "b"),
            json!({"role": "assistant", "content": "x", "reasoning_content": "hm"}),
            json!({"role": "assistant", "content": "", "reasoning": "so", "tool_calls": [{"id": "1"}]}),
            result.clone(),
            result.clone(),
            message("assistant", "y "),
            message("assistant", " z "),
        ];
        assert_eq!(
            merge_consecutive(messages),
            [
                message("user", "a\n\nb"),
                json!({"role": "assistant", "content": "x", "reasoning_content": "hm\n\nso", "tool_calls": [{"id": "1"}]}),
                result.clone(),
                result,
                message("assistant", "y \n\n z "),
            ]
        );
    }

    #[test]
    fn a_message_after_calls_is_not_merged_into_them() {
        let calling = json!({"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]});
        let messages = vec![calling, message("assistant", "x")];
        assert_eq!(merge_consecutive(messages.clone()), messages);
    }

    #[test]
    fn empty_assistant_messages_are_removed_except_a_continued_one() {
        let messages = [
            message("user", ""),
            message("assistant", ""),
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}),
            message("assistant", ""),
        ];
        let mut all = messages.to_vec();
        remove_empty(&mut all, false);
        assert_eq!(all, [messages[0].clone(), messages[2].clone()]);
        let mut continued = messages.to_vec();
        remove_empty(&mut continued, true);
        assert_eq!(continued.len(), 3);
    }

    #[test]
    fn a_user_message_is_inserted_where_the_template_needs_one() {
        let needs = TemplateProfile {
            starts_with_assistant: false,
            without_user: false,
            ..profile()
        };
        let (system, user, assistant) = (
            message("system", "S"),
            message("user", ""),
            message("assistant", "a"),
        );
        for (given, expected) in [
            (vec![&system, &assistant], vec![&system, &user, &assistant]),
            (vec![&system], vec![&system, &user]),
            (vec![&assistant], vec![&user, &assistant]),
            (
                vec![&system, &user, &assistant],
                vec![&system, &user, &assistant],
            ),
        ] {
            let mut messages: Vec<Value> = given.iter().map(|message| (*message).clone()).collect();
            ensure_user(&mut messages, &needs);
            assert_eq!(messages.iter().collect::<Vec<_>>(), expected);
            let mut messages: Vec<Value> = given.iter().map(|message| (*message).clone()).collect();
            ensure_user(&mut messages, &profile());
            assert_eq!(messages.iter().collect::<Vec<_>>(), given);
        }
    }
}
