//! Cache-busting lines: clients put lines into the system prompt that differ in every request and mean nothing to the model.
//! One such line at the start prevents every prefix cache hit after it.

use serde_json::Value;

use super::message::is_system;

/// Prefixes of system prompt lines that known clients change with every request:
/// - Claude Code starts the system prompt with a billing header that contains a hash of the request.
const PREFIXES: [&str; 1] = ["x-anthropic-billing-header:"];

/// Removes these lines from the system messages.
pub(super) fn strip_cache_busting_lines(messages: &mut [Value]) {
    for message in messages.iter_mut().filter(|message| is_system(message)) {
        let Some(text) = message["content"].as_str() else {
            continue;
        };
        let busts_cache = |line: &str| PREFIXES.iter().any(|prefix| line.starts_with(prefix));
        if text.lines().any(busts_cache) {
            let kept: Vec<&str> = text.split('\n').filter(|line| !busts_cache(line)).collect();
            message["content"] = kept.join("\n").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_lines_of_known_clients_are_removed() {
        let header = "x-anthropic-billing-header: cc_version=2.1; cch=";
        let system = |hash: &str| json!({"role": "system", "content": format!("{header}{hash};\nBe brief.\n\nThe end")});
        let user = json!({"role": "user", "content": format!("{header}1")});
        let mut messages = [system("1"), user.clone()];
        strip_cache_busting_lines(&mut messages);
        assert_eq!(
            messages,
            [
                json!({"role": "system", "content": "Be brief.\n\nThe end"}),
                user
            ]
        );
        let mut other = [system("2")];
        strip_cache_busting_lines(&mut other);
        assert_eq!(other[0], messages[0]);
    }
}
