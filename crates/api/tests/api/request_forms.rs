//! Forms of requests that clients send in addition to the documented ones, on every route where they occur.

use serde_json::{Value, json};

use crate::support::{TestServer, start, start_reasoning};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const ROUTES: [&str; 4] = [CHAT, COMPLETIONS, RESPONSES, MESSAGES];

/// A small request to `route` with `more`.
fn body(route: &str, more: &Value) -> Value {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let mut body = match route {
        COMPLETIONS => json!({"prompt": "Hi", "max_tokens": 2}),
        RESPONSES => json!({"input": "Hi", "max_output_tokens": 2}),
        _ => json!({"messages": messages, "max_tokens": 2}),
    };
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Status and text of the response to these bytes.
async fn send(
    server: &TestServer,
    route: &str,
    bytes: Vec<u8>,
    encoding: Option<&str>,
) -> (u16, String) {
    let request = reqwest::Client::new()
        .post(format!("{}{route}", server.url))
        .body(bytes);
    let request = match encoding {
        Some(encoding) => request.header("content-encoding", encoding),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn null_in_a_nested_field_is_the_same_as_its_absence() {
    let server = start().await;
    let options = json!({"include_usage": null, "include_obfuscation": null});
    for streams in [false, true] {
        for route in [CHAT, COMPLETIONS, RESPONSES] {
            let more = json!({"stream": streams, "stream_options": options});
            let response = server
                .request(route, &body(route, &more))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), 200, "{route}");
            let mixed = json!({"stream": streams, "stream_options": {"include_usage": true, "include_obfuscation": null}});
            let response = server
                .request(route, &body(route, &mixed))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), 200, "{route}");
        }
    }
    let message =
        json!({"role": "user", "content": "Hi", "name": null, "tool_calls": null, "refusal": null});
    for (route, more) in [
        (CHAT, json!({"messages": [message]})),
        (
            CHAT,
            json!({"response_format": {"type": "json_object", "schema": null}, "max_tokens": 2}),
        ),
        (
            RESPONSES,
            json!({"text": {"format": null, "verbosity": null}}),
        ),
        (
            RESPONSES,
            json!({"reasoning": {"effort": null, "summary": null, "generate_summary": null, "context": null, "mode": null}}),
        ),
        (
            RESPONSES,
            json!({"prompt_cache_options": {"prewarm": null}}),
        ),
        (
            RESPONSES,
            json!({"input": [{"type": null, "id": null, "status": null, "role": "user", "content": "Hi"}]}),
        ),
        (
            MESSAGES,
            json!({"output_config": {"format": null, "effort": null}}),
        ),
        (MESSAGES, json!({"context_management": {"edits": null}})),
        (
            MESSAGES,
            json!({"thinking": {"type": "enabled", "budget_tokens": null}}),
        ),
        (
            MESSAGES,
            json!({"tool_choice": {"type": "none", "disable_parallel_tool_use": null}}),
        ),
    ] {
        server.ok(route, &body(route, &more)).await;
    }
}

#[tokio::test]
async fn compressed_bodies_are_rejected_by_the_name_of_their_encoding() {
    let server = start().await;
    for route in ROUTES {
        for encoding in ["gzip", "identity, br", "ZSTD"] {
            let (status, text) = send(&server, route, vec![0x1F, 0x8B, 8], Some(encoding)).await;
            assert_eq!(status, 415, "{route}: {text}");
            let name = encoding.rsplit(' ').next().unwrap();
            assert!(text.contains(&format!("content encoding {name}")), "{text}");
        }
        let plain = body(route, &json!({})).to_string();
        let (status, text) = send(&server, route, plain.into_bytes(), Some("identity")).await;
        assert_eq!(status, 200, "{route}: {text}");
    }
}

#[tokio::test]
async fn byte_order_mark_before_the_body_is_skipped() {
    let server = start().await;
    for route in ROUTES {
        let text = format!("\u{FEFF}{}", body(route, &json!({})));
        let (status, text) = send(&server, route, text.into_bytes(), None).await;
        assert_eq!(status, 200, "{route}: {text}");
    }
}

#[tokio::test]
async fn extra_slashes_in_the_path_are_ignored() {
    let server = start().await;
    for route in ROUTES {
        let prefix = route.strip_prefix("/v1").unwrap();
        for path in [
            format!("{route}/"),
            format!("/{route}"),
            format!("/v1/{prefix}"),
            format!("{prefix}/"),
        ] {
            server.ok(&path, &body(route, &json!({}))).await;
        }
    }
    for path in ["/v1/models/", "//v1/models", "/health/", "/v1/models/tiny/"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
    let response = server.ok(RESPONSES, &body(RESPONSES, &json!({}))).await;
    let items = format!(
        "{RESPONSES}/{}/input_items/?order=asc",
        response["id"].as_str().unwrap()
    );
    assert_eq!(server.get(&items).await.0, 200);
    let (status, error) = server
        .post("//v1/messages/", &json!({"messages": []}))
        .await;
    assert_eq!((status, &error["type"]), (400, &json!("error")));
    assert_eq!(server.get("/v1//nothing/").await.0, 404);
}

#[tokio::test]
async fn empty_model_name_is_the_same_as_its_absence() {
    let server = start().await;
    for route in ROUTES {
        let response = server.ok(route, &body(route, &json!({"model": ""}))).await;
        assert_eq!(response["model"], "tiny", "{route}");
    }
    server
        .ok("/tokenize", &json!({"model": "", "prompt": "x"}))
        .await;
}

#[tokio::test]
async fn errors_repeat_only_the_start_of_long_names() {
    let server = start().await;
    let long = "m".repeat(100_000);
    for route in ROUTES {
        let (status, message) = server
            .error(route, &body(route, &json!({"model": long})))
            .await;
        assert_eq!(status, 404);
        assert!(
            message.contains(&"m".repeat(200)) && message.len() < 400,
            "{route}"
        );
    }
    let previous = json!({"previous_response_id": long});
    let (status, message) = server.error(RESPONSES, &body(RESPONSES, &previous)).await;
    assert!(status == 400 && message.len() < 500, "{status}");
}

#[tokio::test]
async fn empty_id_of_a_previous_response_is_the_same_as_its_absence() {
    let server = start().await;
    let empty = json!({"previous_response_id": ""});
    let response = server.ok(RESPONSES, &body(RESPONSES, &empty)).await;
    assert_eq!(response["previous_response_id"], Value::Null);
}

#[tokio::test]
async fn number_of_alternatives_without_log_probabilities_is_accepted_by_responses() {
    let server = start().await;
    let response = server
        .ok(RESPONSES, &body(RESPONSES, &json!({"top_logprobs": 2})))
        .await;
    assert_eq!(response["top_logprobs"], 2);
    assert_eq!(response["output"][0]["content"][0]["logprobs"], json!([]));
    let many = body(RESPONSES, &json!({"top_logprobs": 21}));
    assert_eq!(server.error(RESPONSES, &many).await.0, 400);
}

#[tokio::test]
async fn thinking_budget_may_be_written_with_a_fraction_of_zero() {
    let server = start_reasoning().await;
    let thinking = |budget: Value| json!({"max_tokens": 24, "thinking": {"type": "enabled", "budget_tokens": budget}});
    for route in [MESSAGES, "/v1/messages/count_tokens"] {
        server
            .ok(route, &body(MESSAGES, &thinking(json!(8.0))))
            .await;
        let fraction = body(MESSAGES, &thinking(json!(8.5)));
        assert_eq!(server.error(route, &fraction).await.0, 400);
    }
}

#[tokio::test]
async fn empty_list_of_calls_is_accepted_in_every_message() {
    let server = start().await;
    for role in ["system", "user", "assistant"] {
        let messages = json!([{"role": role, "content": "x", "tool_calls": []}, {"role": "user", "content": "y"}]);
        server
            .ok(CHAT, &body(CHAT, &json!({"messages": messages})))
            .await;
    }
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([{"role": "user", "content": "x", "tool_calls": [call]}]);
    let (status, message) = server
        .error(CHAT, &body(CHAT, &json!({"messages": messages})))
        .await;
    assert!(
        status == 400 && message.contains("only allowed in assistant messages"),
        "{message}"
    );
}

#[tokio::test]
async fn schema_format_without_a_schema_is_any_json_object_with_a_warning() {
    let server = start().await;
    let nested = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": null}});
    let flat = json!({"type": "json_schema", "name": "x"});
    for (route, more, path) in [
        (CHAT, json!({"response_format": nested}), "response_format"),
        (
            CHAT,
            json!({"response_format": {"type": "json_schema"}}),
            "response_format",
        ),
        (RESPONSES, json!({"text": {"format": flat}}), "text.format"),
        (MESSAGES, json!({"output_format": flat}), "output_format"),
        (
            MESSAGES,
            json!({"output_config": {"format": flat}}),
            "output_format",
        ),
    ] {
        let response = server
            .request(route, &body(route, &more))
            .send()
            .await
            .unwrap();
        let warning = response.headers().get("warning").cloned();
        let text = response.text().await.unwrap();
        let warning = warning.unwrap_or_else(|| panic!("{route}: {text}"));
        let warning = warning.to_str().unwrap();
        assert!(
            warning.contains(&format!("{path} has no schema")),
            "{warning}"
        );
        let response: Value = serde_json::from_str(&text).unwrap();
        let content = match route {
            CHAT => &response["choices"][0]["message"]["content"],
            RESPONSES => &response["output"][0]["content"][0]["text"],
            _ => &response["content"][0]["text"],
        };
        assert!(
            content.as_str().unwrap().trim_start().starts_with('{'),
            "{response}"
        );
    }
    let wrong = json!({"text": {"format": {"type": "json_schema", "schema": "x"}}});
    assert_eq!(
        server.error(RESPONSES, &body(RESPONSES, &wrong)).await.0,
        400
    );
}

#[tokio::test]
async fn items_that_the_model_does_not_read_are_skipped_with_a_warning() {
    let server = start().await;
    let question = json!({"role": "user", "content": "Hi"});
    let mut responses = Vec::new();
    for item in [
        json!({"type": "computer_call_output", "call_id": "k", "output": {"type": "computer_screenshot"}}),
        json!({"type": "mcp_approval_response", "approval_request_id": "w", "approve": true}),
        json!({"type": "brand_new_item", "data": 1}),
    ] {
        let kind = item["type"].as_str().unwrap().to_owned();
        let more = json!({"input": [question, item, question]});
        let request = server.request(RESPONSES, &body(RESPONSES, &more));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{kind}");
        let warning = response.headers()["warning"].to_str().unwrap().to_owned();
        assert!(
            warning.contains(&format!("input[1] was ignored: items of the type {kind}")),
            "{warning}"
        );
        responses.push(response.json::<Value>().await.unwrap());
    }
    // A stored response with such an item can be continued.
    let next = json!({"previous_response_id": responses[0]["id"]});
    server.ok(RESPONSES, &body(RESPONSES, &next)).await;
    let nothing = json!({"input": [{"type": "compaction_trigger"}]});
    let (status, message) = server.error(RESPONSES, &body(RESPONSES, &nothing)).await;
    assert!(
        status == 400 && message.contains("no item that the model reads"),
        "{message}"
    );
}
