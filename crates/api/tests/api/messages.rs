//! `/v1/messages`.

use serde_json::{Value, json};

use crate::support::{
    load_options, serve_directory, server_options, start, start_reasoning, with_context_length,
};

const ROUTE: &str = "/v1/messages";

fn body(more: Value) -> Value {
    let mut body =
        json!({"model": "tiny", "max_tokens": 24, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn stream_has_the_anthropic_event_order_and_the_text_of_the_message() {
    let server = start().await;
    let message = server.ok(ROUTE, &body(json!({"temperature": 1.0}))).await;
    assert_eq!(
        (&message["type"], &message["role"]),
        (&json!("message"), &json!("assistant"))
    );
    let message = server.ok(ROUTE, &body(json!({}))).await;
    let events = server.events(ROUTE, &body(json!({"stream": true}))).await;
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert!(events.iter().all(|(name, data)| data["type"] == *name));
    names.dedup();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    let text: String = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str())
        .collect();
    assert_eq!(message["content"][0]["text"], text);
    let end = &events[events.len() - 2].1;
    assert_eq!(end["delta"]["stop_reason"], message["stop_reason"]);
    assert_eq!(
        end["usage"]["output_tokens"],
        message["usage"]["output_tokens"]
    );
}

#[tokio::test]
async fn message_start_and_message_delta_agree_on_the_prompt() {
    let directory = with_context_length("llama-4bit", 1024);
    let server = serve_directory(directory.path(), &load_options(), server_options()).await;
    let messages = json!([{"role": "user", "content": "one two ".repeat(30)}]);
    let request = body(json!({"stream": true, "messages": messages}));
    server.events(ROUTE, &request).await;
    let events = server.events(ROUTE, &request).await;
    assert_eq!(events[0].0, "message_start");
    let started = &events[0].1["message"]["usage"];
    let end = &events[events.len() - 2].1["usage"];
    for field in [
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ] {
        assert_eq!(started[field], end[field], "{field}");
    }
    assert!(started["cache_read_input_tokens"].as_u64() > Some(0));
}

#[tokio::test]
async fn prompt_is_the_same_as_that_of_a_chat_completion() {
    let server = start().await;
    let request = body(json!({"system": [{"type": "text", "text": "Be brief."}]}));
    let count = server.ok("/v1/messages/count_tokens", &request).await["input_tokens"].clone();
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    let tokens = server.ok("/tokenize", &json!({"messages": messages})).await;
    assert_eq!(count, tokens["count"]);
    let usage = server.ok(ROUTE, &request).await["usage"].clone();
    let read = usage["input_tokens"].as_u64().unwrap()
        + usage["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!(Some(read), count.as_u64());
}

#[tokio::test]
async fn trailing_assistant_message_is_continued() {
    let server = start().await;
    let messages =
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once upon"}]);
    let count = server
        .ok(
            "/v1/messages/count_tokens",
            &body(json!({"messages": messages})),
        )
        .await;
    let text = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nOnce upon";
    let tokens = server
        .ok(
            "/tokenize",
            &json!({"prompt": text, "add_special_tokens": false}),
        )
        .await;
    assert_eq!(count["input_tokens"], tokens["count"]);
}

#[tokio::test]
async fn thinking_stops_at_its_budget() {
    let server = start_reasoning().await;
    let ask = async |thinking: Value| {
        let more =
            json!({"max_tokens": 40, "temperature": 1.0, "stream": true, "thinking": thinking});
        let events = server.events(ROUTE, &body(more)).await;
        let deltas = |kind: &str| -> String {
            let deltas = events.iter().map(|(_, data)| &data["delta"]);
            deltas.filter_map(|delta| delta[kind].as_str()).collect()
        };
        (deltas("thinking"), deltas("text"))
    };
    for budget in [1, 8] {
        let enabled = json!({"type": "enabled", "budget_tokens": budget});
        let (thinking, text) = ask(enabled).await;
        let tokens = json!({"prompt": thinking, "add_special_tokens": false});
        let tokens = server.ok("/tokenize", &tokens).await;
        // Tokenizing the text again may give more tokens than were generated.
        let limit = budget * 3;
        assert!(tokens["count"].as_u64().unwrap() <= limit, "{thinking:?}");
        assert!(!text.is_empty(), "{thinking:?}");
        assert!(!text.contains("think>"), "{text:?}");
    }
    // The model may end its turn at once, so that a single request shows nothing.
    let mut is_unlimited = false;
    for _ in 0..20 {
        let (thinking, text) = ask(json!({"type": "adaptive"})).await;
        is_unlimited |= !thinking.is_empty() && text.is_empty();
    }
    assert!(is_unlimited);
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 24}});
    let (status, message) = server.error(ROUTE, &body(thinking)).await;
    assert_eq!(status, 400);
    assert!(message.contains("less than max_tokens"), "{message}");
}

#[tokio::test]
async fn errors_have_the_anthropic_format() {
    let server = start().await;
    let error_message = async |body: Value| {
        let (status, body) = server.post(ROUTE, &body).await;
        assert_eq!((status, &body["type"]), (400, &json!("error")), "{body}");
        assert_eq!(body["error"]["type"], "invalid_request_error");
        body["error"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        error_message(json!({"model": "tiny", "messages": []})).await,
        "max_tokens is missing"
    );
    assert!(
        error_message(body(json!({"messages": []})))
            .await
            .starts_with("messages is empty")
    );
    assert!(
        error_message(body(json!({"temperature": "hot"})))
            .await
            .starts_with("temperature:")
    );
    let schema = json!({"type": "array", "uniqueItems": true});
    let format = json!({"type": "json_schema", "schema": schema});
    assert!(
        error_message(body(json!({"output_format": format})))
            .await
            .starts_with("output_format: ")
    );
}
