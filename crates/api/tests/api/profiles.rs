//! Request settings of a profile, which the owner sends with a request.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::support::{
    KEY, TestServer, chat, load_options, owned_options, serve_directory, start, start_owned,
    with_context_length,
};

/// A request of the owner with a profile: status, `warning` header and body.
async fn post(
    server: &TestServer,
    route: &str,
    settings: &Value,
    body: &Value,
) -> (u16, String, Value) {
    let settings = BASE64URL_NOPAD.encode(settings.to_string().as_bytes());
    post_with(server, route, ("x-mlxm-defaults", &settings), body).await
}

async fn post_with(
    server: &TestServer,
    route: &str,
    (name, value): (&str, &str),
    body: &Value,
) -> (u16, String, Value) {
    let request = server.request(route, body).bearer_auth(KEY);
    let response = request.header(name, value).send().await.unwrap();
    let warning = response.headers().get("warning");
    let warning = warning.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    (status, warning, response.json().await.unwrap())
}

#[tokio::test]
async fn settings_apply_where_the_request_has_none() {
    let server = start_owned().await;
    let settings = json!({"max_tokens": 3, "temperature": 0, "brand_new": true});
    let endless = json!({"ignore_eos": true});
    let mut limited = endless.clone();
    limited["max_tokens"] = 5.into();
    for (more, tokens) in [(&endless, 3), (&limited, 5)] {
        let mut completion = more.clone();
        completion["prompt"] = "Hi".into();
        for (route, body) in [
            ("/v1/chat/completions", chat("Hi", more.clone())),
            ("/v1/completions", completion),
        ] {
            let (status, warning, body) = post(&server, route, &settings, &body).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(body["usage"]["completion_tokens"], tokens, "{route}");
            assert!(warning.contains("brand_new"), "{route}: {warning}");
        }
    }
    let body = json!({"input": "Hi", "ignore_eos": true, "store": false});
    let (_, _, body) = post(&server, "/v1/responses", &settings, &body).await;
    assert_eq!(body["usage"]["output_tokens"], 3, "{body}");
    assert_eq!(body["temperature"], 0.0, "{body}");
}

#[tokio::test]
async fn system_prompt_applies_to_prompts_without_one() {
    let server = start_owned().await;
    let settings = json!({"system_prompt": "Be brief."});
    let prompt = async |body: &Value| -> String {
        let (status, _, body) = post(&server, "/apply-template", &settings, body).await;
        assert_eq!(status, 200, "{body}");
        body["prompt"].as_str().unwrap().to_owned()
    };
    assert!(
        prompt(&chat("Hi", json!({})))
            .await
            .starts_with("<|im_start|>system\nBe brief.<|im_end|>\n")
    );
    for role in ["system", "developer"] {
        let own = json!([{"role": role, "content": "Be kind."}, {"role": "user", "content": "Hi"}]);
        let prompt = prompt(&json!({"messages": own})).await;
        assert!(
            prompt.contains("Be kind.") && !prompt.contains("Be brief."),
            "{prompt}"
        );
    }
    let count = async |body: Value| -> u64 {
        let (_, _, body) = post(&server, "/v1/messages/count_tokens", &settings, &body).await;
        body["input_tokens"].as_u64().unwrap()
    };
    let own = count(chat("Hi", json!({"max_tokens": 1, "system": "Be brief."}))).await;
    assert_eq!(count(chat("Hi", json!({"max_tokens": 1}))).await, own);
}

#[tokio::test]
async fn tool_choice_applies_to_requests_with_tools_and_without_a_choice() {
    let directory = with_context_length("llama-4bit", 4096);
    let server = serve_directory(directory.path(), &load_options(), owned_options()).await;
    let settings = json!({"tool_choice": "required"});
    let parameters = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let tools =
        json!([{"type": "function", "function": {"name": "now", "parameters": parameters}}]);
    let finish_reason = async |more: Value| -> Value {
        let body = chat("Now?", more);
        let (status, _, body) = post(&server, "/v1/chat/completions", &settings, &body).await;
        assert_eq!(status, 200, "{body}");
        body["choices"][0]["finish_reason"].clone()
    };
    let with_tools = json!({"tools": tools, "parallel_tool_calls": false});
    assert_eq!(finish_reason(with_tools).await, "tool_calls");
    let with_choice = json!({"tools": tools, "tool_choice": "none", "max_tokens": 4});
    assert_ne!(finish_reason(with_choice).await, "tool_calls");
    assert_ne!(finish_reason(json!({"max_tokens": 4})).await, "tool_calls");
}

#[tokio::test]
async fn large_settings_are_registered_once() {
    let server = start_owned().await;
    let settings = json!({"system_prompt": "Be brief.", "padding": "x".repeat(100_000)});
    let body = chat("Hi", json!({}));
    let (status, _, error) = post(&server, "/apply-template", &settings, &body).await;
    assert_eq!(status, 400);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("/internal/defaults"), "{message}");

    let registered = server.request("/internal/defaults", &settings);
    let registered = registered.bearer_auth(KEY).send().await.unwrap();
    let registered: Value = registered.json().await.unwrap();
    let id = registered["id"].as_str().unwrap();
    let header = ("x-mlxm-defaults-id", id);
    for _ in 0..2 {
        let (status, warning, body) = post_with(&server, "/apply-template", header, &body).await;
        assert_eq!(status, 200, "{body}");
        assert!(body["prompt"].as_str().unwrap().contains("Be brief."));
        assert!(warning.contains("padding"), "{warning}");
    }
    let header = ("x-mlxm-defaults-id", "unknown");
    let (status, _, error) = post_with(&server, "/apply-template", header, &body).await;
    assert_eq!(status, 400, "{error}");
}

#[tokio::test]
async fn settings_of_others_are_ignored() {
    let server = start().await;
    let settings = json!({"max_tokens": 3});
    let body = json!({"prompt": "Hi", "ignore_eos": true});
    let (status, warning, body) = post(&server, "/v1/completions", &settings, &body).await;
    assert_eq!((status, warning.as_str()), (200, ""));
    assert_eq!(body["usage"]["completion_tokens"], 16);
}
