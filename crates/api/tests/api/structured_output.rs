//! Structured output and forced tool calls.

use serde_json::{Value, json};

use crate::support::{chat, content, start, start_with_long_context};

const ROUTE: &str = "/v1/chat/completions";

fn tools() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"enum": ["Bern", "Rome"]}}, "required": ["city"],
        "additionalProperties": false});
    let empty = json!({"type": "object", "properties": {}, "additionalProperties": false});
    json!([
        {"type": "function", "function": {"name": "weather", "parameters": city}},
        {"type": "function", "function": {"name": "now", "parameters": empty}},
    ])
}

#[tokio::test]
async fn json_matches_its_schema_with_and_without_streaming() {
    let server = start().await;
    let schema = json!({"type": "object", "properties": {"name": {"enum": ["Ann", "Bo"]}, "age": {"type": "integer",
        "minimum": 1, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    for seed in 0..6 {
        let mut body = chat(
            "Who?",
            json!({"response_format": format, "temperature": 1.5, "seed": seed}),
        );
        let completion = server.ok(ROUTE, &body).await;
        assert_eq!(completion["choices"][0]["finish_reason"], "stop");
        let person: Value = serde_json::from_str(content(&completion)).unwrap();
        assert!(["Ann", "Bo"].contains(&person["name"].as_str().unwrap()));
        assert!((1..100).contains(&person["age"].as_i64().unwrap()));
        body["stream"] = true.into();
        let events = server.events(ROUTE, &body).await;
        let deltas = events
            .iter()
            .filter_map(|(_, data)| data["choices"][0]["delta"]["content"].as_str());
        assert_eq!(deltas.collect::<String>(), content(&completion));
    }
}

#[tokio::test]
async fn output_matches_regular_expressions_and_grammars() {
    let server = start().await;
    let ask = async |format: Value| {
        let body = chat(
            "Say it",
            json!({"response_format": format, "temperature": 1.0, "seed": 1}),
        );
        content(&server.ok(ROUTE, &body).await).to_owned()
    };
    let date = ask(json!({"type": "regex", "regex": "[0-9]{4}-[0-9]{2}"})).await;
    assert!(date.len() == 7 && date.as_bytes()[4] == b'-', "{date}");
    let word = ask(json!({"type": "grammar", "grammar": "start: \"yes\" | \"no\""})).await;
    assert!(word == "yes" || word == "no", "{word}");
}

#[tokio::test]
async fn unenforceable_formats_are_rejected_by_name() {
    let server = start().await;
    for (schema, named) in [
        (
            json!({"type": "array", "contains": {"type": "null"}}),
            "contains",
        ),
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (json!({"type": "integer", "minimum": 5, "maximum": 3}), "m"),
    ] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let (status, body) = server
            .post(ROUTE, &chat("x", json!({"response_format": format})))
            .await;
        assert_eq!(
            (status, &body["error"]["param"]),
            (400, &json!("response_format")),
            "{body}"
        );
        assert!(
            body["error"]["message"].as_str().unwrap().contains(named),
            "{body}"
        );
    }
}

#[tokio::test]
async fn stop_strings_do_not_end_structured_output_or_calls() {
    let server = start_with_long_context().await;
    let schema = json!({"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "sky", "schema": schema}});
    let with_stop = json!({"response_format": format, "stop": ["blue", "}"]});
    let body = server.ok(ROUTE, &chat("x", with_stop)).await;
    let value: Value = serde_json::from_str(content(&body)).unwrap();
    assert_eq!(value, json!({"sky": "blue"}));

    let with_stop = json!({"tools": tools(), "tool_choice": "required", "parallel_tool_calls": false, "stop": ["\"", "}"]});
    let body = server.ok(ROUTE, &chat("Weather?", with_stop)).await;
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
    let arguments = &choice["message"]["tool_calls"][0]["function"]["arguments"];
    let arguments: Value = serde_json::from_str(arguments.as_str().unwrap()).unwrap();
    assert!(arguments.is_object());
}

#[tokio::test]
async fn json_object_enforces_a_schema() {
    let server = start().await;
    let schema = json!({"enum": ["red", "blue"]});
    let format = json!({"type": "json_object", "schema": schema});
    let body = chat("Color?", json!({"response_format": format}));
    let response = server.ok(ROUTE, &body).await;
    let color = content(&response);
    assert!(["\"red\"", "\"blue\""].contains(&color), "{color}");
}

#[tokio::test]
async fn regex_applies_to_content_if_no_tool_is_called() {
    let server = start_with_long_context().await;
    for seed in 0..4 {
        let regex = json!({"type": "regex", "regex": "yes|no"});
        let more =
            json!({"tools": tools(), "response_format": regex, "temperature": 1.0, "seed": seed});
        let body = server.ok(ROUTE, &chat("Weather?", more)).await;
        let choice = &body["choices"][0];
        if choice["finish_reason"] == "stop" {
            let word = choice["message"]["content"].as_str().unwrap();
            assert!(word == "yes" || word == "no", "{body}");
        }
    }
}

#[tokio::test]
async fn required_tool_choice_forces_a_valid_call() {
    let server = start_with_long_context().await;
    for seed in 0..4 {
        let more = json!({"tools": tools(), "tool_choice": "required", "temperature": 1.0, "seed": seed,
            "parallel_tool_calls": false});
        let body = server.ok(ROUTE, &chat("Weather?", more)).await;
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(
            (calls.len(), &choice["message"]["content"]),
            (1, &Value::Null)
        );
        let function = &calls[0]["function"];
        let arguments: Value =
            serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        match function["name"].as_str().unwrap() {
            "weather" => assert!(["Bern", "Rome"].contains(&arguments["city"].as_str().unwrap())),
            other => assert_eq!((other, arguments), ("now", json!({}))),
        }
    }
}

#[tokio::test]
async fn named_tool_is_called_in_both_apis() {
    let server = start_with_long_context().await;
    let choice = json!({"type": "function", "function": {"name": "now"}});
    let more = json!({"tools": tools(), "tool_choice": choice, "parallel_tool_calls": false, "stream": true});
    let events = server.events(ROUTE, &chat("Time?", more)).await;
    let calls = events.iter().filter_map(|(_, data)| {
        data["choices"][0]["delta"]["tool_calls"][0]["function"].as_object()
    });
    let calls: Vec<_> = calls.collect();
    assert_eq!(calls[0]["name"], "now");
    let arguments: String = calls
        .iter()
        .filter_map(|call| call["arguments"].as_str())
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        json!({})
    );

    let tool = json!({"name": "weather", "input_schema": tools()[0]["function"]["parameters"]});
    let body = json!({"model": "tiny", "max_tokens": 200, "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [tool], "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": true}});
    let message = server.ok("/v1/messages", &body).await;
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["content"][0]["type"], "tool_use");
    assert!(message["content"][0]["input"]["city"].is_string());
}

#[tokio::test]
async fn named_tool_is_called_once_and_without_parameters_has_no_arguments() {
    let server = start_with_long_context().await;
    for parameters in [
        None,
        Some(Value::Null),
        Some(json!({})),
        Some(json!({"type": "object"})),
        Some(json!({"type": "object", "properties": {}})),
    ] {
        let mut function = json!({"name": "get_time", "description": "x"});
        if let Some(parameters) = &parameters {
            function["parameters"] = parameters.clone();
        }
        let choice = json!({"type": "function", "function": {"name": "get_time"}});
        let more =
            json!({"tools": [{"type": "function", "function": function}], "tool_choice": choice});
        let body = server.ok(ROUTE, &chat("Time?", more)).await;
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), 1, "{body}");
        assert_eq!(calls[0]["function"]["arguments"], "{}");
    }
}

#[tokio::test]
async fn required_call_is_not_repeated() {
    let server = start_with_long_context().await;
    let more = json!({"tools": [tools()[1]], "tool_choice": "required"});
    let body = server.ok(ROUTE, &chat("Time?", more)).await;
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
    assert_eq!(
        choice["message"]["tool_calls"].as_array().unwrap().len(),
        1,
        "{body}"
    );
}

#[tokio::test]
async fn schema_errors_name_the_tool_in_the_fields_of_each_api() {
    let server = start_with_long_context().await;
    let bad = json!({"type": "object", "properties": {"n": {"enum": []}}, "required": ["n"]});
    let function = |parameters: &Value| json!({"name": "bad", "parameters": parameters});
    let tools = json!([tools()[1], {"type": "function", "function": function(&bad)}]);
    let chat_body = chat("x", json!({"tools": tools, "tool_choice": "required"}));
    let messages = json!({"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "good", "input_schema": {"type": "object"}}, {"name": "bad", "input_schema": bad}],
        "tool_choice": {"type": "any"}});
    let responses = json!({"model": "tiny", "input": "x", "tool_choice": "required", "tools": [
        {"type": "function", "name": "good", "parameters": {"type": "object"}},
        {"type": "function", "name": "bad", "parameters": bad}]});
    for (route, body, path) in [
        (ROUTE, chat_body, "tools[1].function.parameters"),
        ("/v1/messages", messages, "tools[1].input_schema"),
        ("/v1/responses", responses, "tools[1].parameters"),
    ] {
        let (status, message) = server.error(route, &body).await;
        assert_eq!(status, 400, "{route}: {message}");
        assert!(
            message.contains(path) && message.contains("bad"),
            "{route}: {message}"
        );
    }
}

#[tokio::test]
async fn completion_with_tools_is_a_call_or_matches_its_format() {
    let server = start_with_long_context().await;
    let schema = json!({"type": "object", "properties": {"sky": {"enum": ["blue", "grey"]}}, "required": ["sky"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "sky", "schema": schema}});
    let (mut calls, mut matching) = (0, 0);
    for seed in 0..16 {
        let more = json!({"tools": tools(), "response_format": format, "temperature": 1.5, "seed": seed,
            "parallel_tool_calls": false});
        let body = server.ok(ROUTE, &chat("Weather?", more)).await;
        let choice = &body["choices"][0];
        if choice["finish_reason"] == "tool_calls" {
            assert_eq!(choice["message"]["content"], Value::Null);
            calls += 1;
        } else {
            assert_eq!(choice["finish_reason"], "stop", "{body}");
            let value: Value = serde_json::from_str(content(&body)).unwrap();
            assert!(["blue", "grey"].contains(&value["sky"].as_str().unwrap()));
            matching += 1;
        }
    }
    assert!(
        calls > 0 && matching > 0,
        "{calls} calls, {matching} matching"
    );
    // A required call takes precedence over the format.
    let more = json!({"tools": tools(), "tool_choice": "required", "response_format": format});
    let body = server.ok(ROUTE, &chat("Weather?", more)).await;
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls", "{body}");
}
