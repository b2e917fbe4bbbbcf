//! Instructions in front of a conversation, for which most templates have one place and one role.

use serde_json::Value;

/// Makes one message of all system and developer messages at the beginning. Developers become the system where the template
/// does not know them.
pub fn merge_system_messages(messages: Vec<Value>, knows_developers: bool) -> Vec<Value> {
    let mut united: Vec<Value> = Vec::with_capacity(messages.len());
    for mut message in messages {
        if message["role"] == "developer" && !knows_developers {
            message["role"] = "system".into();
        }
        match united.as_mut_slice() {
            [first] if instructs(first) && instructs(&message) => {
                let text =
                    |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
                first["content"] = format!("{}\n\n{}", text(first), text(&message)).into();
            }
            _ => united.push(message),
        }
    }
    united
}

fn instructs(message: &Value) -> bool {
    message["role"] == "system" || message["role"] == "developer"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instructions_become_one_message_in_a_role_that_is_known() {
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
