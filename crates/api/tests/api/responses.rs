//! `/v1/responses`.

use serde_json::{Value, json};

use crate::support::{
    TestServer, load_options, serve_directory, server_options, start, start_reasoning,
    with_context_length,
};

pub const ROUTE: &str = "/v1/responses";

pub fn body(input: &str, more: Value) -> Value {
    let mut body = json!({"model": "tiny", "max_output_tokens": 16, "input": input});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub async fn json_of(server: &TestServer, route: &str) -> (u16, Value) {
    let (status, text) = server.get(route).await;
    (status, serde_json::from_str(&text).unwrap())
}

pub async fn send(server: &TestServer, method: reqwest::Method, route: &str) -> (u16, Value) {
    let url = format!("{}{route}", server.url);
    let request = reqwest::Client::new().request(method, url);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

pub fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"]
        .as_str()
        .unwrap()
}

/// A response without ids, times and cache statistics.
fn without_volatile_fields(response: &Value) -> Value {
    let mut response = response.clone();
    for name in ["id", "created_at", "completed_at"] {
        response[name] = Value::Null;
    }
    for item in response["output"].as_array_mut().unwrap() {
        item["id"] = Value::Null;
    }
    response["usage"]["input_tokens_details"] = Value::Null;
    response
}

#[tokio::test]
async fn response_has_the_output_and_usage_of_a_chat_completion() {
    let server = start().await;
    let request = body(
        "Hi",
        json!({"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "me"}),
    );
    let response = server.ok(ROUTE, &request).await;
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    let chat = json!({"model": "tiny", "max_tokens": 16, "messages": messages});
    let chat = server.ok("/v1/chat/completions", &chat).await;
    assert_eq!(text(&response), chat["choices"][0]["message"]["content"]);
    assert_eq!(
        response["usage"]["input_tokens"],
        chat["usage"]["prompt_tokens"]
    );
    assert_eq!(
        response["usage"]["output_tokens"],
        chat["usage"]["completion_tokens"]
    );
    assert_eq!(
        response["usage"]["total_tokens"],
        chat["usage"]["total_tokens"]
    );
    assert_eq!(response["object"], "response");
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(response["metadata"], json!({"a": "b"}));
    assert_eq!(response["user"], "me");
    let message = &response["output"][0];
    assert_eq!(
        (&message["type"], &message["role"]),
        (&json!("message"), &json!("assistant"))
    );
    assert_eq!(message["content"][0]["annotations"], json!([]));
    let truncated = chat["choices"][0]["finish_reason"] == "length";
    let (status, details) = if truncated {
        ("incomplete", json!({"reason": "max_output_tokens"}))
    } else {
        ("completed", Value::Null)
    };
    assert_eq!(
        (&response["status"], &response["incomplete_details"]),
        (&json!(status), &details)
    );
}

#[tokio::test]
async fn response_that_ends_with_a_stop_string_is_completed() {
    let server = start().await;
    let whole = server.ok(ROUTE, &body("Hi", json!({}))).await;
    let stop: String = text(&whole).chars().skip(2).take(2).collect();
    let response = server.ok(ROUTE, &body("Hi", json!({"stop": stop}))).await;
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][0]["status"], "completed");
    assert!(response["completed_at"].as_u64() >= response["created_at"].as_u64());
    let end = text(&whole).find(&stop).unwrap();
    assert_eq!(text(&response), &text(&whole)[..end]);
}

#[tokio::test]
async fn stream_has_the_openai_event_order_and_ends_with_the_response() {
    let server = start().await;
    let more = json!({"include": ["message.output_text.logprobs"], "top_logprobs": 2});
    let whole = server.ok(ROUTE, &body("Hi", more.clone())).await;
    let mut request = body("Hi", more);
    request["stream"] = true.into();
    let events = server.events(ROUTE, &request).await;
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!(data["type"], *name);
        assert_eq!(data["sequence_number"], number);
    }
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ];
    assert_eq!(names, expected);
    let deltas = || {
        events
            .iter()
            .filter(|(name, _)| name == "response.output_text.delta")
    };
    let streamed: String = deltas()
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(streamed, text(&whole));
    let logprobs: Vec<&Value> = deltas()
        .flat_map(|(_, data)| data["logprobs"].as_array().unwrap())
        .collect();
    let all = whole["output"][0]["content"][0]["logprobs"]
        .as_array()
        .unwrap();
    assert_eq!(logprobs, all.iter().collect::<Vec<_>>());
    assert_eq!(all.len(), 16);
    assert_eq!(all[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(events[0].1["response"]["status"], "in_progress");
    let last = &events.last().unwrap().1["response"];
    assert_eq!(
        without_volatile_fields(last),
        without_volatile_fields(&whole)
    );
    let id = last["id"].as_str().unwrap();
    assert_eq!(
        json_of(&server, &format!("{ROUTE}/{id}")).await,
        (200, last.clone())
    );
}

#[tokio::test]
async fn unsupported_fields_are_rejected_by_name() {
    let server = start().await;
    let cases = [
        (json!({"background": true}), "background"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0]"),
        (
            json!({"tool_choice": {"type": "file_search"}}),
            "tool_choice",
        ),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "x", "schema": 1}}}),
            "text.format.schema",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input[0]",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0]",
        ),
        (json!({"input": 1}), "input"),
        (json!({"input": []}), "input"),
        (json!({"temperature": "hot"}), "temperature"),
        (
            json!({"prompt_cache_options": {"prewarm": true}}),
            "prompt_cache_options.prewarm",
        ),
    ];
    for (more, param) in cases {
        let (status, error) = server.post(ROUTE, &body("Hi", more)).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!(param)),
            "{error}"
        );
    }
    let stored = server
        .ok(
            ROUTE,
            &body("Hi", json!({"background": false, "truncation": "disabled"})),
        )
        .await;
    let route = format!("{ROUTE}/{}", stored["id"].as_str().unwrap());
    assert_eq!(
        json_of(&server, &format!("{route}?stream=true")).await.0,
        400
    );
    assert_eq!(
        json_of(&server, &format!("{route}/input_items?limit=101"))
            .await
            .0,
        400
    );
    assert_eq!(
        json_of(&server, &format!("{route}/input_items?limit=1&limit=2"))
            .await
            .0,
        400
    );
    assert_eq!(
        send(&server, reqwest::Method::POST, &format!("{route}/cancel"))
            .await
            .0,
        400
    );
    assert_eq!(json_of(&server, &format!("{ROUTE}/%ff")).await.0, 400);
}

#[tokio::test]
async fn text_format_is_enforced_and_invalid_schemas_are_rejected() {
    let server = start().await;
    let ask = async |format: Value| {
        server
            .post(
                ROUTE,
                &body(
                    "Who?",
                    json!({"text": {"format": format}, "max_output_tokens": 100}),
                ),
            )
            .await
    };
    let schema = json!({"type": "object", "properties": {"name": {"enum": ["Ann", "Bo"]}}, "required": ["name"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "person", "strict": true, "schema": schema});
    let (status, response) = ask(format.clone()).await;
    assert_eq!(
        (status, &response["status"]),
        (200, &json!("completed")),
        "{response}"
    );
    assert_eq!(response["text"]["format"], format);
    let person: Value = serde_json::from_str(text(&response)).unwrap();
    assert!(["Ann", "Bo"].contains(&person["name"].as_str().unwrap()));
    let unsupported = json!({"type": "json_schema", "name": "x", "schema": {"not": {}}});
    let (status, error) = ask(unsupported).await;
    assert_eq!(
        (status, &error["error"]["param"]),
        (400, &json!("text.format")),
        "{error}"
    );
    assert!(
        !error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("response_format")
    );
}

#[tokio::test]
async fn tool_calls_are_items_with_and_without_streaming() {
    let directory = with_context_length("llama-4bit", 2048);
    let server = serve_directory(directory.path(), &load_options(), server_options()).await;
    let parameters = json!({"type": "object", "properties": {"city": {"enum": ["Bern", "Rome"]}}, "required": ["city"],
        "additionalProperties": false});
    let tool = json!({"type": "function", "name": "weather", "description": "Of a city", "parameters": parameters, "strict": true});
    let more = json!({
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": false,
        "max_output_tokens": 200,
    });
    let response = server.ok(ROUTE, &body("Weather?", more.clone())).await;
    assert_eq!(response["status"], "completed", "{response}");
    assert_eq!(response["tools"], json!([tool]));
    let [call] = response["output"].as_array().unwrap().as_slice() else {
        panic!("one call: {response}");
    };
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("weather"))
    );
    assert!(call["id"].as_str().unwrap().starts_with("fc_"));
    assert!(call["call_id"].as_str().unwrap().starts_with("call_"));
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(["Bern", "Rome"].contains(&arguments["city"].as_str().unwrap()));

    let mut request = body("Weather?", more);
    request["stream"] = true.into();
    let events = server.events(ROUTE, &request).await;
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(names, expected);
    let deltas = events
        .iter()
        .filter(|(name, _)| name == "response.function_call_arguments.delta");
    let joined: String = deltas
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(joined, call["arguments"].as_str().unwrap());

    // The result of the call continues the stored response.
    let result = json!([{"type": "function_call_output", "call_id": call["call_id"], "output": "27 degrees"}]);
    let mut next = body("", json!({"previous_response_id": response["id"]}));
    next["input"] = result;
    let next = server.ok(ROUTE, &next).await;
    let (_, items) = json_of(
        &server,
        &format!(
            "{ROUTE}/{}/input_items?order=asc",
            next["id"].as_str().unwrap()
        ),
    )
    .await;
    let kinds: Vec<&Value> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["type"])
        .collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output"]);
}

#[tokio::test]
async fn reasoning_is_a_separate_item() {
    let server = start_reasoning().await;
    let response = server
        .ok(ROUTE, &body("Hi", json!({"ignore_eos": true})))
        .await;
    let item = &response["output"][0];
    assert_eq!(
        (&item["type"], &item["summary"]),
        (&json!("reasoning"), &json!([])),
        "{response}"
    );
    assert_eq!(item["content"][0]["type"], "reasoning_text");
    assert_eq!(
        response["usage"]["output_tokens_details"]["reasoning_tokens"],
        16
    );
    let events = server
        .events(
            ROUTE,
            &body("Hi", json!({"stream": true, "ignore_eos": true})),
        )
        .await;
    let deltas = events
        .iter()
        .filter(|(name, _)| name == "response.reasoning_text.delta");
    let reasoning: String = deltas
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(reasoning, text(&response));
}
