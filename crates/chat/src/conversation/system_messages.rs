//! System and developer messages: most templates support one, at the start of the conversation.

use serde_json::Value;

/// Merges the leading system and developer messages into one. If the template does not support the developer role, these
/// messages become system messages.
pub fn merge_system_messages(messages: Vec<Value>, supports_developer: bool) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(messages.len());
    for mut message in messages {
        if message["role"] == "developer" && !supports_developer {
            message["role"] = "system".into();
        }
        match merged.as_mut_slice() {
            [first] if is_system(first) && is_system(&message) => {
                let text =
                    |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
                first["content"] = format!("{}\n\n{}", text(first), text(&message)).into();
            }
            _ => merged.push(message),
        }
    }
    merged
}

fn is_system(message: &Value) -> bool {
    message["role"] == "system" || message["role"] == "developer"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leading_system_messages_are_merged_into_a_supported_role() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let messages = vec![
            message("developer", "Be brief."),
            message("system", "Be kind."),
            message("user", "Hi"),
            message("developer", "Be loud."),
        ];
        assert_eq!(
            merge_system_messages(messages.clone(), false),
            [
                message("system", "Be brief.\n\nBe kind."),
                message("user", "Hi"),
                message("system", "Be loud.")
            ]
        );
        assert_eq!(
            merge_system_messages(messages, true),
            [
                message("developer", "Be brief.\n\nBe kind."),
                message("user", "Hi"),
                message("developer", "Be loud.")
            ]
        );
    }
}
