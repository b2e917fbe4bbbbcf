//! Tools and tool choices of chat completions, and the allowed tools of responses.

use serde_json::{Value, json};

use crate::support::{TestServer, chat, start_with_long_context};

const ROUTE: &str = "/v1/chat/completions";

/// A tool with one argument, which is always `x`.
fn tool(name: &str) -> Value {
    json!({"type": "function", "function": function(name)})
}

fn function(name: &str) -> Value {
    let parameters = json!({"type": "object", "properties": {"a": {"const": "x"}}, "required": ["a"],
        "additionalProperties": false});
    json!({"name": name, "parameters": parameters})
}

fn custom() -> Value {
    let grammar = json!({"syntax": "regex", "definition": "ab"});
    let custom = json!({"name": "edit", "description": "Edits.", "format": {"type": "grammar", "grammar": grammar}});
    json!({"type": "custom", "custom": custom})
}

/// Fields of a request for at most 100 tokens.
fn with(fields: Value) -> Value {
    let mut body = chat("Hi", json!({"max_tokens": 100}));
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The choice of a request, and the same put together from a stream.
async fn both(server: &TestServer, body: &Value) -> [Value; 2] {
    let whole = server.ok(ROUTE, body).await["choices"][0].clone();
    let mut body = body.clone();
    body["stream"] = true.into();
    let (mut call, mut function_call) = (json!({}), json!({}));
    let mut reason = Value::Null;
    for (_, data) in server.events(ROUTE, &body).await {
        let choice = &data["choices"][0];
        let delta = &choice["delta"];
        append(&mut function_call, &delta["function_call"]);
        append(&mut call, &delta["tool_calls"][0]);
        if choice["finish_reason"].is_string() {
            reason = choice["finish_reason"].clone();
        }
    }
    let mut message = json!({});
    if call != json!({}) {
        message["tool_calls"] = json!([call]);
    }
    if function_call != json!({}) {
        message["function_call"] = function_call;
    }
    [whole, json!({"message": message, "finish_reason": reason})]
}

/// Appends the strings of a delta, as clients do.
fn append(value: &mut Value, delta: &Value) {
    for (name, part) in delta.as_object().into_iter().flatten() {
        match part {
            Value::Object(_) => append(&mut value[name], part),
            Value::String(text) => {
                let before = value[name].as_str().unwrap_or_default();
                value[name] = format!("{before}{text}").into();
            }
            part => value[name] = part.clone(),
        }
    }
}

async fn warning(server: &TestServer, route: &str, body: &Value) -> String {
    let response = server.request(route, body).send().await.unwrap();
    let warning = response.headers().get("warning").cloned();
    assert_eq!(
        response.status().as_u16(),
        200,
        "{}",
        response.text().await.unwrap()
    );
    warning.map_or(String::new(), |warning| {
        warning.to_str().unwrap().to_owned()
    })
}

#[tokio::test]
async fn allowed_tools_restrict_the_calls_in_both_apis() {
    let server = start_with_long_context().await;
    let reference = json!({"type": "function", "function": {"name": "g"}});
    for allowed in [
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [reference]}}),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}),
    ] {
        let body = with(
            json!({"tools": [tool("f"), tool("g")], "tool_choice": allowed, "parallel_tool_calls": false}),
        );
        for choice in both(&server, &body).await {
            assert_eq!(
                choice["message"]["tool_calls"][0]["function"]["name"], "g",
                "{choice}"
            );
        }
    }
    let auto =
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [reference]}});
    server
        .ok(
            ROUTE,
            &with(json!({"tools": [tool("g")], "tool_choice": auto, "max_tokens": 2})),
        )
        .await;
    for tools in [json!([]), json!(null), json!([tool("unknown")])] {
        let choice =
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}});
        let body = with(json!({"tools": [tool("g")], "tool_choice": choice}));
        let (status, error) = server.post(ROUTE, &body).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!("tool_choice.allowed_tools.tools")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn ignored_hosted_tools_are_skipped_among_the_allowed_tools() {
    let server = start_with_long_context().await;
    let hosted = json!({"type": "web_search"});
    let flat = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    for (own, is_accepted) in [
        (vec![json!({"type": "function", "name": "f"})], true),
        (vec![], false),
    ] {
        let mut allowed = own;
        allowed.push(hosted.clone());
        let choice = json!({"type": "allowed_tools", "mode": "auto", "tools": allowed});
        let responses = json!({"input": "Hi", "max_output_tokens": 2, "tools": [flat, hosted], "tool_choice": choice});
        let nested = json!({"type": "allowed_tools", "allowed_tools": choice});
        let chat =
            with(json!({"tools": [tool("f"), hosted], "tool_choice": nested, "max_tokens": 2}));
        for (route, body) in [("/v1/responses", responses), (ROUTE, chat)] {
            let (status, error) = server.post(route, &body).await;
            assert_eq!(status == 200, is_accepted, "{route}: {error}");
        }
    }
}

#[tokio::test]
async fn calls_of_custom_tools_have_an_input() {
    let server = start_with_long_context().await;
    for choice in [
        json!("required"),
        json!({"type": "custom", "custom": {"name": "edit"}}),
    ] {
        let body =
            with(json!({"tools": [custom()], "tool_choice": choice, "parallel_tool_calls": false}));
        for choice in both(&server, &body).await {
            let call = &choice["message"]["tool_calls"][0];
            assert_eq!(call["type"], "custom", "{choice}");
            assert_eq!(call["custom"], json!({"name": "edit", "input": "ab"}));
            assert!(call["id"].as_str().unwrap().starts_with("call_"));
            assert_eq!(call.get("function"), None);
            assert_eq!(choice["finish_reason"], "tool_calls");
            let history = json!([
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": "done"},
            ]);
            server
                .ok(
                    ROUTE,
                    &with(json!({"messages": history, "tools": [custom()], "max_tokens": 2})),
                )
                .await;
        }
    }
    let mixed = with(
        json!({"tools": [tool("f"), custom()], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    );
    for choice in both(&server, &mixed).await {
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(
            (&call["type"], &call["function"]["name"]),
            (&json!("function"), &json!("f"))
        );
    }
    let unnamed = with(json!({"tools": [{"type": "custom", "custom": {"name": "a b"}}]}));
    let (status, error) = server.post(ROUTE, &unnamed).await;
    assert_eq!(
        (status, &error["error"]["param"]),
        (400, &json!("tools[0].custom.name"))
    );
}

#[tokio::test]
async fn hosted_tools_are_ignored_unless_the_request_depends_on_them() {
    let server = start_with_long_context().await;
    let hosted = json!({"type": "web_search"});
    let body = with(json!({"tools": [tool("f"), hosted], "max_tokens": 2}));
    let warning = warning(&server, ROUTE, &body).await;
    assert!(
        warning.contains("tools[1] was ignored: web_search"),
        "{warning}"
    );
    for fields in [
        json!({"tools": [hosted]}),
        json!({"tools": [tool("f"), hosted], "tool_choice": hosted}),
    ] {
        assert_eq!(server.error(ROUTE, &with(fields)).await.0, 400);
    }
    let untyped = with(json!({"tools": [{"function": function("f")}]}));
    let (_, message) = server.error(ROUTE, &untyped).await;
    assert_eq!(message, "tools[0].type must be function or custom");
}

#[tokio::test]
async fn deprecated_functions_are_tools_and_their_call_is_a_function_call() {
    let server = start_with_long_context().await;
    let functions = json!([function("f"), function("g")]);
    let body = with(json!({"functions": functions, "function_call": {"name": "g"}}));
    for choice in both(&server, &body).await {
        let call = &choice["message"]["function_call"];
        assert_eq!(call["name"], "g", "{choice}");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"a": "x"}));
        assert_eq!(choice["finish_reason"], "function_call");
        assert_eq!(choice["message"].get("tool_calls"), None);
        let history = json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "function_call": call},
            {"role": "function", "name": "g", "content": "1"},
        ]);
        let next = with(json!({"messages": history, "functions": functions, "max_tokens": 2}));
        server.ok(ROUTE, &next).await;
    }
    for choice in ["auto", "none"] {
        server
            .ok(
                ROUTE,
                &with(json!({"function_call": choice, "max_tokens": 2})),
            )
            .await;
        let with_functions =
            json!({"functions": functions, "function_call": choice, "max_tokens": 2});
        server.ok(ROUTE, &with(with_functions)).await;
    }
    // The prompt is that of the same tools.
    let rendered = server
        .ok("/apply-template", &with(json!({"functions": functions})))
        .await;
    let tools = with(json!({"tools": [tool("f"), tool("g")]}));
    assert_eq!(
        rendered["prompt"],
        server.ok("/apply-template", &tools).await["prompt"]
    );
    for (fields, param) in [
        (json!({"functions": [{"name": "a b"}]}), "functions[0].name"),
        (
            json!({"functions": functions, "tools": [tool("f")]}),
            "functions",
        ),
        (
            json!({"functions": functions, "function_call": 1}),
            "function_call",
        ),
    ] {
        let (status, error) = server.post(ROUTE, &with(fields)).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!(param)),
            "{error}"
        );
    }
}
