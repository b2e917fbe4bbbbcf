//! Answers that have to have a form.

use serde_json::{Value, json};

use crate::support::{
    Running, chat, content, load_options, serve_folder, server_options, start, stretched,
};

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
async fn json_fulfils_its_schema_streamed_or_not() {
    let server = start().await;
    let schema = json!({"type": "object", "properties": {"name": {"enum": ["Ann", "Bo"]}, "age": {"type": "integer",
        "minimum": 1, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    for seed in 0..6 {
        let mut body = chat(
            "Who?",
            json!({"response_format": format, "temperature": 1.5, "seed": seed}),
        );
        let whole = server.ok(ROUTE, &body).await;
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        let person: Value = serde_json::from_str(content(&whole)).unwrap();
        assert!(["Ann", "Bo"].contains(&person["name"].as_str().unwrap()));
        assert!((1..100).contains(&person["age"].as_i64().unwrap()));
        body["stream"] = true.into();
        let events = server.events(ROUTE, &body).await;
        let deltas = events
            .iter()
            .filter_map(|(_, data)| data["choices"][0]["delta"]["content"].as_str());
        assert_eq!(deltas.collect::<String>(), content(&whole));
    }
}

#[tokio::test]
async fn expressions_and_grammars_hold_too() {
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
async fn what_cannot_be_enforced_is_refused_by_name() {
    let server = start().await;
    for (schema, named) in [
        (json!({"type": "object", "not": {"required": ["x"]}}), "not"),
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
    let regex = json!({"type": "regex", "regex": "[0-9]+"});
    let both = json!({"response_format": regex, "tools": tools()});
    let (status, message) = server.refused(ROUTE, &chat("x", both)).await;
    assert_eq!(status, 400);
    assert!(message.contains("may only request JSON"), "{message}");
    // A stop string would leave half of what was promised.
    let cut = json!({"response_format": {"type": "json_object"}, "stop": ["}"]});
    let (status, body) = server.post(ROUTE, &chat("x", cut)).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("stop")));
}

/// Descriptions of tools take more room than the usual checkpoint has.
async fn start_long() -> Running {
    let folder = stretched("llama-4bit", 2048);
    serve_folder(folder.path(), &load_options(), server_options()).await
}

#[tokio::test]
async fn a_call_is_made_when_one_is_required() {
    let server = start_long().await;
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
async fn a_named_tool_is_called_in_both_protocols_streamed_or_not() {
    let server = start_long().await;
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
    let answer = server.ok("/v1/messages", &body).await;
    assert_eq!(answer["stop_reason"], "tool_use");
    assert_eq!(answer["content"][0]["type"], "tool_use");
    assert!(answer["content"][0]["input"]["city"].is_string());
}

#[tokio::test]
async fn with_tools_an_answer_is_a_call_or_has_its_form() {
    let server = start_long().await;
    let schema = json!({"type": "object", "properties": {"sky": {"enum": ["blue", "grey"]}}, "required": ["sky"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "sky", "schema": schema}});
    let (mut calls, mut forms) = (0, 0);
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
            let answer: Value = serde_json::from_str(content(&body)).unwrap();
            assert!(["blue", "grey"].contains(&answer["sky"].as_str().unwrap()));
            forms += 1;
        }
    }
    assert!(calls > 0 && forms > 0, "{calls} calls, {forms} forms");
    // What must be called leaves no room for a form.
    let more = json!({"tools": tools(), "tool_choice": "required", "response_format": format});
    let body = server.ok(ROUTE, &chat("Weather?", more)).await;
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls", "{body}");
}
