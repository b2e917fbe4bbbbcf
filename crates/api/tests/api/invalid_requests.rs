//! Invalid requests.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{
    chat, load_options, server_options, start, start_with, start_with_long_context,
};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn invalid_fields_are_rejected_by_name() {
    let server = start().await;
    let cases = [
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"top_p": -1}), "top_p"),
        (json!({"top_k": -2}), "top_k"),
        (json!({"max_tokens": -2}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"n": 0}), "n"),
        (json!({"n": 1000}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"stop": 1}), "stop"),
        (json!({"logit_bias": {"x": 1}}), "logit_bias"),
        (json!({"logit_bias": {"999999": 1}}), "logit_bias"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
        ),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format.type",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "not a name"}}]}),
            "tools[0].function.name",
        ),
        (json!({"audio": {"voice": "x"}}), "audio"),
        (json!({"modalities": ["audio"]}), "modalities"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0]",
        ),
    ];
    for (more, param) in cases {
        let (status, body) = server.post(CHAT, &chat("Hi", more.clone())).await;
        assert_eq!(
            (status, &body["error"]["param"]),
            (400, &json!(param)),
            "{more}: {body}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    let (status, body) = server.post(CHAT, &json!({"model": "tiny"})).await;
    assert_eq!(
        (status, body["error"]["message"].as_str()),
        (400, Some("missing field `messages`"))
    );
    let (status, message) = server
        .error(CHAT, &json!({"model": "gpt", "messages": []}))
        .await;
    assert_eq!(
        (status, message.as_str()),
        (404, "there is no model `gpt` here; this server has `tiny`")
    );
    let (status, body) = server
        .post(CHAT, &chat(&"long ".repeat(500), json!({})))
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
}

#[tokio::test]
async fn invalid_json_is_rejected_in_the_format_of_the_api() {
    let server = start().await;
    let client = reqwest::Client::new();
    for body in [
        &b"{\"model\": "[..],
        b"[]",
        b"",
        b"null",
        b"{\"model\": \"\xff\"}",
        b"{} {}",
    ] {
        for (route, anthropic) in [
            (CHAT, false),
            ("/v1/completions", false),
            ("/v1/messages", true),
        ] {
            let response = client
                .post(format!("{}{route}", server.url))
                .body(body.to_vec())
                .send()
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), 400);
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["type"] == "error", anthropic, "{body}");
            assert!(body["error"]["message"].is_string());
        }
    }
}

#[tokio::test]
async fn path_parameters_that_are_not_utf8_are_rejected() {
    let server = start().await;
    for route in ["/v1/models/%FF", "/v1/responses/%FF"] {
        let (status, body) = server.get(route).await;
        assert_eq!(status, 400, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"]["message"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn requests_without_the_api_key_are_rejected() {
    let mut options = server_options();
    options.access.api_key = Some("secret".to_owned());
    let server = start_with("llama-4bit", &load_options(), options).await;
    let body = chat("Hi", json!({"max_tokens": 1}));
    assert_eq!(server.post(CHAT, &body).await.0, 401);
    for (name, value) in [
        ("authorization", "Bearer wrong"),
        ("x-api-key", "secre"),
        ("authorization", "Basic secret"),
    ] {
        let response = server
            .request(CHAT, &body)
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 401);
    }
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("authorization", "bearer secret"),
        ("x-api-key", "secret"),
    ] {
        let response = server
            .request(CHAT, &body)
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }
    assert_eq!(server.get("/health").await.0, 200);
}

/// Arbitrary JSON, with a preference for known names and values.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..40).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "tiny",
            "user",
            "assistant",
            "system",
            "tool",
            "text",
            "function",
            "auto",
            "json_schema"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known = vec![
        "role",
        "content",
        "type",
        "text",
        "name",
        "function",
        "parameters",
        "schema",
        "json_schema",
        "tool_calls",
        "arguments",
        "id",
        "input",
        "properties",
        "prompt",
    ];
    prop_oneof![
        prop::sample::select(known).prop_map(str::to_owned),
        ".{0,6}"
    ]
}

/// A request body with known fields and arbitrary values.
fn any_body() -> impl Strategy<Value = Value> {
    let known = vec![
        "messages",
        "prompt",
        "tools",
        "tool_choice",
        "response_format",
        "stop",
        "temperature",
        "top_p",
        "top_k",
        "n",
        "seed",
        "stream",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "system",
        "thinking",
        "stop_sequences",
        "echo",
        "chat_template_kwargs",
        "stream_options",
        "tokens",
        "output_format",
    ];
    let fields = prop::collection::vec(
        (
            prop::sample::select(known).prop_map(str::to_owned),
            any_value(),
        ),
        0..6,
    );
    let messages = prop::collection::vec(
        prop_oneof![
            any_value(),
            any_value().prop_map(|content| json!({"role": "user", "content": content})),
            any_value().prop_map(
                |calls| json!({"role": "assistant", "content": "x", "tool_calls": [calls]})
            ),
        ],
        1..3,
    );
    (fields, messages).prop_map(|(fields, messages)| {
        let mut body = json!({"model": "tiny", "messages": messages, "prompt": "Hi"});
        for (name, value) in fields {
            body[name] = value;
        }
        body["max_tokens"] = 2.into();
        body
    })
}

#[test]
fn arbitrary_bodies_never_cause_a_server_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start());
    let mut runner = TestRunner::new(Config::with_cases(150));
    let checked = runner.run(&any_body(), |body| {
        for route in [
            CHAT,
            "/v1/completions",
            "/v1/messages",
            "/v1/messages/count_tokens",
            "/tokenize",
            "/detokenize",
        ] {
            let (status, text) = runtime.block_on(async {
                let response = server.request(route, &body).send().await.unwrap();
                (response.status().as_u16(), response.text().await.unwrap())
            });
            prop_assert!(
                status == 200 || (400..500).contains(&status),
                "{route}: {status} {text}"
            );
        }
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn tool_names_have_up_to_128_characters() {
    let server = start_with_long_context().await;
    for (length, accepted) in [(1, true), (65, true), (128, true), (129, false)] {
        let name = "a".repeat(length);
        let parameters = json!({"type": "object"});
        let chat = chat(
            "Hi",
            json!({"tools": [{"type": "function", "function": {"name": name, "parameters": parameters}}], "tool_choice": "none", "max_tokens": 4}),
        );
        let messages = json!({"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"name": name, "input_schema": parameters}], "tool_choice": {"type": "none"}});
        let responses = json!({"model": "tiny", "input": "Hi", "max_output_tokens": 16, "tool_choice": "none",
            "tools": [{"type": "function", "name": name, "parameters": parameters}]});
        for (route, body, field) in [
            (CHAT, chat, "tools[0].function.name"),
            ("/v1/messages", messages, "tools[0].name"),
            ("/v1/responses", responses, "tools[0].name"),
        ] {
            let (status, body) = server.post(route, &body).await;
            assert_eq!(status == 200, accepted, "{route}, {length}: {body}");
            let message = body["error"]["message"].as_str().unwrap_or_default();
            assert!(
                accepted || (message.contains(field) && message.contains("1 to 128")),
                "{route}: {message}"
            );
        }
    }
}
