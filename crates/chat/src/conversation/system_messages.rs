//! System and developer messages: most templates support one, at the start of the conversation, and some none.

use serde_json::{Value, json};

use super::message::{calls, is_system, joined, prepend, role, text};
use crate::template::TemplateProfile;

/// Merges the leading system and developer messages into one. Developer messages become system messages where the template does
/// not support them.
pub(super) fn merge_leading(messages: Vec<Value>, profile: &TemplateProfile) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(messages.len());
    for mut message in messages {
        let leads = matches!(merged.as_slice(), [] | [_]) && merged.iter().all(is_system);
        let supported = if leads {
            profile.developer
        } else {
            profile.late_developer
        };
        if role(&message) == "developer" && !supported {
            message["role"] = "system".into();
        }
        match merged.as_mut_slice() {
            [first] if is_system(first) && is_system(&message) => {
                first["content"] = joined(&text(first), &text(&message)).into();
            }
            _ => merged.push(message),
        }
    }
    merged
}

/// Replaces system messages that the template does not render in their place by user messages that are marked as reminders.
/// What precedes them stays as it was, and cached. A reminder between calls and their results follows the results.
pub(super) fn late_to_reminders(messages: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(messages.len());
    let mut deferred: Vec<Value> = Vec::new();
    let mut results_due: usize = 0;
    for message in messages {
        let reminds = is_system(&message) && !out.is_empty();
        if reminds && text(&message).is_empty() {
            continue;
        }
        if reminds && results_due > 0 {
            deferred.push(reminder(&message));
            continue;
        }
        if role(&message) == "tool" {
            results_due = results_due.saturating_sub(1);
        } else if !reminds {
            out.append(&mut deferred);
            results_due = calls(&message).len();
        }
        out.push(if reminds { reminder(&message) } else { message });
        if results_due == 0 {
            out.append(&mut deferred);
        }
    }
    out.append(&mut deferred);
    out
}

fn reminder(message: &Value) -> Value {
    let content = format!("<system-reminder>\n{}\n</system-reminder>", text(message));
    json!({"role": "user", "content": content})
}

/// Moves the leading system message to the start of the first user message, for templates without a system role.
pub(super) fn leading_to_user(messages: &mut Vec<Value>) {
    if !messages.first().is_some_and(is_system) {
        return;
    }
    let system = text(&messages.remove(0));
    match messages.first_mut() {
        Some(first) if role(first) == "user" => prepend(first, &system),
        _ => messages.insert(0, json!({"role": "user", "content": system})),
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
    fn leading_messages_are_merged_into_a_supported_role() {
        let messages = vec![
            message("developer", "Be brief."),
            message("system", "Be kind."),
            message("user", "Hi"),
            message("developer", "Be loud."),
        ];
        assert_eq!(
            merge_leading(messages.clone(), &profile()),
            [
                message("system", "Be brief.\n\nBe kind."),
                message("user", "Hi"),
                message("system", "Be loud.")
            ]
        );
        let developer = TemplateProfile {
            developer: true,
            late_developer: true,
            ..profile()
        };
        assert_eq!(
            merge_leading(messages, &developer),
            [
                message("developer", "Be brief.\n\nBe kind."),
                message("user", "Hi"),
                message("developer", "Be loud.")
            ]
        );
    }

    #[test]
    fn later_messages_become_reminders_in_their_place() {
        let reminder = message("user", "<system-reminder>\nnote\n</system-reminder>");
        let messages = vec![
            message("system", "S"),
            message("user", "hi"),
            message("system", ""),
            message("developer", "note"),
        ];
        assert_eq!(
            late_to_reminders(messages),
            [message("system", "S"), message("user", "hi"), reminder]
        );
    }

    #[test]
    fn reminders_follow_the_results_of_open_calls() {
        let calls = json!([{"id": "a"}, {"id": "b"}]);
        let calling = json!({"role": "assistant", "content": "", "tool_calls": calls});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
        let reminder = message("user", "<system-reminder>\nnote\n</system-reminder>");
        let messages = vec![
            message("user", "hi"),
            calling.clone(),
            result("a"),
            message("system", "note"),
            result("b"),
            message("user", "go on"),
        ];
        assert_eq!(
            late_to_reminders(messages),
            [
                message("user", "hi"),
                calling.clone(),
                result("a"),
                result("b"),
                reminder.clone(),
                message("user", "go on"),
            ]
        );
        let unanswered = vec![
            message("user", "hi"),
            calling.clone(),
            message("system", "note"),
        ];
        assert_eq!(
            late_to_reminders(unanswered),
            [message("user", "hi"), calling, reminder]
        );
    }

    #[test]
    fn the_leading_message_precedes_the_first_user_message() {
        let mut messages = vec![message("system", "S"), message("user", "q")];
        leading_to_user(&mut messages);
        assert_eq!(messages, [message("user", "S\n\nq")]);
        let mut messages = vec![message("system", "S"), message("assistant", "a")];
        leading_to_user(&mut messages);
        assert_eq!(messages, [message("user", "S"), message("assistant", "a")]);
        let mut messages = vec![message("user", "q")];
        leading_to_user(&mut messages);
        assert_eq!(messages, [message("user", "q")]);
    }
}
