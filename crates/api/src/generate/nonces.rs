//! What clients put into a prompt that is new with every request and says nothing to a model. One such line at the
//! beginning, and nothing behind it is found in the cache.

use serde_json::Value;

/// Beginnings of lines of a system prompt that known clients change with every request:
/// - Claude Code accounts for its requests in the first block of the system prompt, with a hash of each.
const NONCES: [&str; 1] = ["x-anthropic-billing-header:"];

/// Leaves these lines out of the system messages.
pub fn leave_out(messages: &mut [Value]) {
    for message in messages
        .iter_mut()
        .filter(|message| message["role"] == "system")
    {
        let Some(text) = message["content"].as_str() else {
            continue;
        };
        let is_nonce = |line: &str| NONCES.iter().any(|nonce| line.starts_with(nonce));
        if text.lines().any(is_nonce) {
            let kept: Vec<&str> = text.split('\n').filter(|line| !is_nonce(line)).collect();
            message["content"] = kept.join("\n").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_lines_of_known_clients_go() {
        let header = "x-anthropic-billing-header: cc_version=2.1; cch=";
        let system = |nonce: &str| json!({"role": "system", "content": format!("{header}{nonce};\nBe brief.\n\nThe end")});
        let user = json!({"role": "user", "content": format!("{header}1")});
        let mut messages = [system("1"), user.clone()];
        leave_out(&mut messages);
        assert_eq!(
            messages,
            [
                json!({"role": "system", "content": "Be brief.\n\nThe end"}),
                user
            ]
        );
        let mut other = [system("2")];
        leave_out(&mut other);
        assert_eq!(other[0], messages[0]);
    }
}
