//! Which client has sent a request.

use axum::http::{HeaderMap, header};

use super::template::{TEMPLATES, find};

/// The header with the id of a client whose program does not name itself. Configurations contain it where the client can send
/// headers; workers do not get it.
const CLIENT: &str = "x-mlxm-client";

/// The id of mlxm's own commands and chats, which name themselves so.
const OWN: &str = "mlxm";

/// The id of all programs that are not recognized.
const OTHER: &str = "other";

/// The id of the client that has sent a request with these headers, `mlxm` for its own ones, or `other`.
pub fn recognize(headers: &HeaderMap) -> &'static str {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(template) = value(CLIENT).and_then(find) {
        return &template.id;
    }
    let agent = value(header::USER_AGENT.as_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if agent.starts_with(OWN) {
        return OWN;
    }
    let is_of = |name: &String| {
        let mut programs = agent.split([' ', '(', ';', ',']);
        programs.any(|program| program.starts_with(name.as_str()))
    };
    let mut templates = TEMPLATES.iter();
    let template = templates.find(|template| template.user_agents.iter().any(is_of));
    template.map_or(OTHER, |template| template.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> &'static str {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        recognize(&headers)
    }

    #[test]
    fn clients_are_recognized_by_their_program() {
        for (agent, client) in [
            ("claude-cli/2.1.332 (external, sdk-cli)", "claude-code"),
            ("codex_exec/0.171.0 (Debian 13; x86_64)", "codex"),
            ("codex_cli_rs/0.171.0", "codex"),
            ("opencode/1.18.33 ai-sdk/openai-compatible/2.0", "opencode"),
            ("Zed/0.210.4 (linux; x86_64)", "zed"),
            ("Cline/3.0.65", "cline"),
            ("OpenAI/Python 3.52.0", "openai-python"),
            ("AsyncOpenAI/Python 3.52.0", "openai-python"),
            ("OpenAI/JS 6.49.0", "openai-typescript"),
            ("Anthropic/Python 2.11.0", "anthropic-python"),
            ("Anthropic/JS 1.10.0", "anthropic-typescript"),
            ("curl/8.14.1", "curl"),
            ("Python/3.11 aiohttp/3.12.15", OTHER),
            ("optimized/1 my-curl/8", OTHER),
            ("mlxm/0.1.0", OWN),
            ("mlxm-chat", OWN),
            ("", OTHER),
        ] {
            assert_eq!(of(&[("user-agent", agent)]), client, "{agent}");
        }
        assert_eq!(of(&[]), OTHER);
    }

    #[test]
    fn header_of_a_configuration_comes_first() {
        let agent = ("user-agent", "OpenAI/JS 6.49.0");
        assert_eq!(of(&[agent, ("x-mlxm-client", "continue")]), "continue");
        assert_eq!(
            of(&[agent, ("x-mlxm-client", "no-client")]),
            "openai-typescript"
        );
    }
}
