//! Optional hints that the model cannot use: the request succeeds, and the `warning` header names them.

use serde_json::{Value, json};

use crate::support::{
    TestServer, load_options, serve_directory, server_options, start, with_context_length,
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// A small request to `route` with `more`.
fn body(route: &str, more: &Value) -> Value {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let mut body = match route {
        COMPLETIONS => json!({"model": "tiny", "prompt": "Hi", "max_tokens": 2}),
        RESPONSES => json!({"model": "tiny", "input": "Hi", "max_output_tokens": 2}),
        _ => json!({"model": "tiny", "messages": messages, "max_tokens": 2}),
    };
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The `warning` header of a request that must succeed.
async fn warning(server: &TestServer, route: &str, more: &Value) -> Option<String> {
    let response = server
        .request(route, &body(route, more))
        .send()
        .await
        .unwrap();
    let warning = response.headers().get("warning").cloned();
    let status = response.status().as_u16();
    assert_eq!(
        status,
        200,
        "{route} {more}: {}",
        response.text().await.unwrap()
    );
    warning.map(|warning| warning.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn hints_without_effect_are_named_in_the_warning_header() {
    // The descriptions of tools are longer than the checkpoint's context.
    let directory = with_context_length("llama-4bit", 2048);
    let server = serve_directory(directory.path(), &load_options(), server_options()).await;
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let client_tool = json!({"name": "f", "input_schema": {"type": "object"}});
    let clear = json!({"edits": [{"type": "clear_tool_uses_20250919"}]});
    for (route, more, path) in [
        (
            CHAT,
            json!({"reasoning_effort": "high"}),
            "reasoning_effort",
        ),
        (CHAT, json!({"verbosity": "low"}), "verbosity"),
        (
            CHAT,
            json!({"prediction": {"type": "content", "content": "x"}}),
            "prediction",
        ),
        (
            CHAT,
            json!({"web_search_options": {"search_context_size": "low"}}),
            "web_search_options",
        ),
        (
            RESPONSES,
            json!({"reasoning": {"effort": "high"}}),
            "reasoning.effort",
        ),
        (
            RESPONSES,
            json!({"reasoning": {"summary": "detailed"}}),
            "reasoning.summary",
        ),
        (
            RESPONSES,
            json!({"text": {"verbosity": "low"}}),
            "text.verbosity",
        ),
        (RESPONSES, json!({"truncation": "auto"}), "truncation"),
        (RESPONSES, json!({"max_tool_calls": 1}), "max_tool_calls"),
        (
            RESPONSES,
            json!({"context_management": [{"type": "compaction"}]}),
            "context_management",
        ),
        (
            RESPONSES,
            json!({"tools": [function, {"type": "web_search"}]}),
            "tools[1]",
        ),
        (
            MESSAGES,
            json!({"thinking": {"type": "enabled", "budget_tokens": 1}}),
            "thinking",
        ),
        (
            MESSAGES,
            json!({"thinking": {"type": "enabled"}}),
            "thinking",
        ),
        (
            MESSAGES,
            json!({"output_config": {"effort": "high"}}),
            "output_config.effort",
        ),
        (
            MESSAGES,
            json!({"context_management": clear}),
            "context_management",
        ),
        (
            MESSAGES,
            json!({"mcp_servers": [{"name": "x"}]}),
            "mcp_servers",
        ),
        (
            MESSAGES,
            json!({"tools": [client_tool, {"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[1]",
        ),
    ] {
        let warning = warning(&server, route, &more).await;
        let expected = format!("{path} was ignored");
        assert!(
            warning
                .as_ref()
                .is_some_and(|warning| warning.contains(&expected)),
            "{route} {more}: {warning:?}"
        );
    }
}

#[tokio::test]
async fn values_that_ask_for_nothing_are_accepted_without_a_warning() {
    let server = start().await;
    let keep_all = json!({"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]});
    for (route, more) in [
        (CHAT, json!({"stream_options": {"include_usage": true}})),
        (
            COMPLETIONS,
            json!({"stream_options": {"include_usage": true}}),
        ),
        (CHAT, json!({"stop": ""})),
        (CHAT, json!({"stop": ["", "x"]})),
        (
            CHAT,
            json!({"max_tokens": 2.0, "top_k": 20.0, "seed": 1.0, "n": 1.0}),
        ),
        (CHAT, json!({"top_k": -1, "top_p": 0})),
        (CHAT, json!({"max_tokens": 5, "max_completion_tokens": 2})),
        (
            CHAT,
            json!({"model": null, "n": null, "temperature": null, "tools": null, "tool_choice": null, "response_format": null, "logit_bias": null, "top_logprobs": null}),
        ),
        (
            RESPONSES,
            json!({"model": null, "tools": null, "text": null, "reasoning": null, "include": null, "metadata": null}),
        ),
        (
            RESPONSES,
            json!({"reasoning": {"effort": null, "summary": null}, "text": {"verbosity": null}}),
        ),
        (
            MESSAGES,
            json!({"model": null, "system": null, "tools": null, "stop_sequences": [""], "thinking": null}),
        ),
        (MESSAGES, json!({"context_management": keep_all})),
        (MESSAGES, json!({"context_management": {"edits": []}})),
        (MESSAGES, json!({"top_k": -1, "top_p": 0})),
    ] {
        assert_eq!(warning(&server, route, &more).await, None, "{route} {more}");
    }
}

#[tokio::test]
async fn the_smaller_of_two_limits_applies_and_minus_one_is_no_limit() {
    let server = start().await;
    let both = json!({"max_tokens": 5, "max_completion_tokens": 2, "ignore_eos": true});
    let response = server.ok(CHAT, &body(CHAT, &both)).await;
    assert_eq!(response["usage"]["completion_tokens"], 2);
    let unlimited = json!({"max_tokens": -1, "ignore_eos": true});
    let response = server.ok(CHAT, &body(CHAT, &unlimited)).await;
    let context_length = server.engine.memory_plan().context_length;
    assert_eq!(response["usage"]["total_tokens"], context_length);
}

#[tokio::test]
async fn built_in_tools_are_rejected_if_the_request_depends_on_them() {
    let server = start().await;
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let alone = body(MESSAGES, &json!({"tools": [search]}));
    assert_eq!(server.error(MESSAGES, &alone).await.0, 400);
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let chosen =
        json!({"tools": [function, {"type": "web_search"}], "tool_choice": {"type": "web_search"}});
    assert_eq!(
        server.error(RESPONSES, &body(RESPONSES, &chosen)).await.0,
        400
    );
}

#[tokio::test]
async fn base_url_without_v1_has_the_same_routes() {
    let server = start().await;
    for route in [CHAT, COMPLETIONS, RESPONSES, MESSAGES] {
        let stripped = route.strip_prefix("/v1").unwrap();
        server.ok(stripped, &body(route, &json!({}))).await;
    }
    assert_eq!(server.get("/models").await.0, 200);
    let (status, error) = server.post("/messages", &json!({"messages": []})).await;
    assert_eq!((status, &error["type"]), (400, &json!("error")));
}

#[tokio::test]
async fn lone_surrogates_are_read_as_replacement_characters() {
    let server = start().await;
    let text = r#"{"prompt": "x \ud83d y \ude00"}"#;
    let request = reqwest::Client::new().post(format!("{}/tokenize", server.url));
    let response = request.body(text).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let tokens: Value = response.json().await.unwrap();
    let expected = server
        .ok("/tokenize", &json!({"prompt": "x \u{FFFD} y \u{FFFD}"}))
        .await;
    assert_eq!(tokens["tokens"], expected["tokens"]);
}

#[tokio::test]
async fn overlong_prompts_have_the_words_that_agents_look_for() {
    let server = start().await;
    let long = "word ".repeat(2000);
    let messages = json!({"messages": [{"role": "user", "content": long}]});
    let (status, message) = server.error(MESSAGES, &body(MESSAGES, &messages)).await;
    assert_eq!(status, 400);
    let words: Vec<&str> = message.split(' ').collect();
    assert!(
        message.starts_with("prompt is too long: ") && words[5..8] == ["tokens", ">", "256"],
        "{message}"
    );
    let (_, message) = server.error(CHAT, &body(CHAT, &messages)).await;
    assert!(
        message.contains("maximum context length is 256 tokens"),
        "{message}"
    );
    assert!(message.contains("--context-length"), "{message}");
}
