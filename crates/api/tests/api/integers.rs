//! Integers beyond 64 bits in request bodies: the model reads all digits of those in arguments of calls and in schemas of tools,
//! as with Python; everywhere else they are numbers.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    TestServer, load_options, serve_directory, server_options, start, start_with_long_context,
    with_context_length,
};

/// As a double, 1e20.
const DIGITS: &str = "99999999999999999999";
const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

/// Serves a template whose error is the conversation and the tools, if a message is `show`.
async fn start_showing() -> (TempDir, TestServer) {
    let directory = with_context_length("llama-4bit", 4096);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../chat/tests/history/templates")
        .join("chatml.jinja");
    let source = std::fs::read_to_string(source).unwrap();
    let show = "{%- if 'show' in (messages | tojson) %}{{ raise_exception((messages | tojson) + (tools | tojson)) }}{% endif %}";
    let template = directory.path().join("chat_template.jinja");
    std::fs::write(template, format!("{show}{source}")).unwrap();
    let server = serve_directory(directory.path(), &load_options(), server_options()).await;
    (directory, server)
}

/// Status and body of the response to a body with the number `digits` for each `N`.
async fn post(server: &TestServer, route: &str, body: &str, digits: &str) -> (u16, Value) {
    let request = server.request(route, &Value::Null);
    let response = request
        .body(body.replace('N', digits))
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// The message of an error.
async fn error(server: &TestServer, route: &str, body: &str, digits: &str) -> String {
    let (status, body) = post(server, route, body, digits).await;
    assert_eq!(status, 400, "{body}");
    body["error"]["message"].as_str().unwrap().to_owned()
}

const SCHEMA: &str = r#"{"type": "object", "properties": {"n": {
    "type": "integer", "minimum": -N, "maximum": N, "default": N, "enum": [N]
}}}"#;

/// The route and the body of a conversation with a call and a tool, for each API. The last message is `show`.
fn conversations() -> [(&'static str, String); 5] {
    let chat = format!(
        r#"{{"messages": [{{"role": "user", "content": "question"}},
            {{"role": "assistant", "content": null, "tool_calls": [
                {{"id": "a", "type": "function", "function": {{"name": "f", "arguments": {{"n": N}}}}}}]}},
            {{"role": "tool", "tool_call_id": "a", "content": "result"}}, {{"role": "user", "content": "show"}}],
            "tools": [{{"type": "function", "function": {{"name": "f", "parameters": {SCHEMA}}}}}]}}"#
    );
    let messages = format!(
        r#"{{"max_tokens": 4, "messages": [{{"role": "user", "content": "question"}},
            {{"role": "assistant", "content": [{{"type": "tool_use", "id": "a", "name": "f", "input": {{"n": N}}}}]}},
            {{"role": "user", "content": [{{"type": "tool_result", "tool_use_id": "a", "content": "result"}}]}},
            {{"role": "user", "content": "show"}}],
            "tools": [{{"name": "f", "input_schema": {SCHEMA}}}]}}"#
    );
    let responses = format!(
        r#"{{"input": [{{"role": "user", "content": "question"}},
            {{"type": "custom_tool_call", "call_id": "a", "name": "f", "input": {{"n": N}}}},
            {{"type": "custom_tool_call_output", "call_id": "a", "output": "result"}},
            {{"role": "user", "content": "show"}}],
            "tools": [{{"type": "function", "name": "f", "parameters": {SCHEMA}}}]}}"#
    );
    [
        (CHAT, chat.clone()),
        ("/apply-template", chat),
        (MESSAGES, messages.clone()),
        ("/v1/messages/count_tokens", messages),
        (RESPONSES, responses),
    ]
}

#[tokio::test]
async fn templates_print_all_digits_of_arguments_and_schemas() {
    let (_directory, server) = start_showing().await;
    for digits in [DIGITS.to_owned(), "9".repeat(400)] {
        for (route, body) in conversations() {
            let shown = error(&server, route, &body, &digits).await;
            for text in [
                format!("{{\"n\": {digits}}}"),
                format!("\"minimum\": -{digits}, \"maximum\": {digits}, "),
                format!("\"default\": {digits}, \"enum\": [{digits}]"),
            ] {
                assert!(shown.contains(&text), "{route}: no {text} in {shown}");
            }
        }
    }
}

#[tokio::test]
async fn objects_of_clients_are_not_integers() {
    let (_directory, server) = start_showing().await;
    let object = r#"{"__integer__": "99999999999999999999"}"#;
    for (route, body) in conversations() {
        let body = body.replace("{\"n\": N}", &format!("{{\"n\": [{object}, N]}}"));
        let shown = error(&server, route, &body, DIGITS).await;
        let text = format!("{{\"n\": [{object}, {DIGITS}]}}");
        assert!(shown.contains(&text), "{route}: no {text} in {shown}");
    }
}

#[tokio::test]
async fn conversations_with_long_integers_are_completed() {
    let (_directory, server) = start_showing().await;
    for (route, body) in conversations() {
        let body = body.replace("\"show\"", "\"go on\"");
        let limit = match route {
            RESPONSES => "\"max_output_tokens\": 4",
            _ => "\"max_tokens\": 4",
        };
        let body = body.replace("\"max_tokens\": 4, ", "");
        let body = body.replacen('{', &format!("{{{limit}, "), 1);
        let (status, response) = post(&server, route, &body, DIGITS).await;
        assert_eq!(status, 200, "{route}: {response}");
    }
}

#[tokio::test]
async fn stored_items_show_numbers_and_keep_the_digits() {
    let (_directory, server) = start_showing().await;
    let (route, body) = conversations()[4].clone();
    let body = body.replace("\"show\"", "\"go on\"");
    let body = body.replacen('{', "{\"max_output_tokens\": 1, ", 1);
    let (status, response) = post(&server, route, &body, DIGITS).await;
    assert_eq!(status, 200, "{response}");
    let number = json!(1e20);
    let properties = &response["tools"][0]["parameters"]["properties"];
    assert_eq!(properties["n"]["maximum"], number);
    assert_eq!(properties["n"]["enum"], json!([number]));
    let id = response["id"].as_str().unwrap();
    let (status, items) = server
        .get(&format!("{RESPONSES}/{id}/input_items?order=asc"))
        .await;
    assert_eq!(status, 200, "{items}");
    let items: Value = serde_json::from_str(&items).unwrap();
    assert_eq!(items["data"][1]["input"], json!({"n": number}));

    let next = json!({"previous_response_id": id, "input": "show"}).to_string();
    let shown = error(&server, RESPONSES, &next, DIGITS).await;
    assert!(shown.contains(&format!("{{\"n\": {DIGITS}}}")), "{shown}");
}

#[tokio::test]
async fn schemas_with_long_integers_constrain_calls() {
    let server = start_with_long_context().await;
    let tool = r#"{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
        "properties": {"n": {"type": "integer", "minimum": 7, "maximum": N}}, "required": ["n"]}}}"#;
    let body = format!(
        r#"{{"messages": [{{"role": "user", "content": "Hi"}}], "tools": [{tool}], "tool_choice": "required",
            "parallel_tool_calls": false, "seed": 1, "max_tokens": 200}}"#
    );
    for digits in [DIGITS.to_owned(), "9".repeat(400)] {
        let (status, response) = post(&server, CHAT, &body, &digits).await;
        assert_eq!(status, 200, "{response}");
        let choice = &response["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{response}");
        let arguments = choice["message"]["tool_calls"][0]["function"]["arguments"].as_str();
        let arguments: Value = serde_json::from_str(arguments.unwrap()).unwrap();
        assert!(arguments["n"].as_i64().unwrap() >= 7, "{arguments}");
    }
}

#[tokio::test]
async fn other_fields_have_numbers() {
    let server = start().await;
    let call = r#"{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"n": 99999999999999999999}}}]}"#;
    let user = r#"{"role": "user", "content": "Hi"}"#;
    let schema =
        r#"{"type": "json_schema", "json_schema": {"schema": {"type": "integer", "minimum": N}}}"#;
    for field in [
        "\"seed\": N".to_owned(),
        "\"max_tokens\": N".to_owned(),
        "\"temperature\": -N".to_owned(),
        "\"n\": N".to_owned(),
        "\"tools\": N".to_owned(),
        "\"tools\": [N]".to_owned(),
        "\"messages\": [N]".to_owned(),
        "\"stop\": N".to_owned(),
        format!("\"response_format\": {schema}"),
    ] {
        let messages = if field.starts_with("\"messages\"") {
            String::new()
        } else {
            format!("\"messages\": [{user}, {call}, {user}], ")
        };
        let body = format!("{{{messages}{field}}}");
        let long = error(&server, CHAT, &body, DIGITS).await;
        let short = error(&server, CHAT, &body, "1e20").await;
        assert_eq!(long, short, "{field}");
    }
    let body = format!("{{\"messages\": [{user}], \"seed\": N}}");
    let message = error(&server, CHAT, &body, "99999999999999999999").await;
    assert!(
        message.starts_with("seed: ") && message.contains("a whole number"),
        "{message}"
    );
    for number in ["1e400".to_owned(), "NaN".to_owned(), "9".repeat(400)] {
        let message = error(&server, CHAT, &body, &number).await;
        assert!(
            message.starts_with("the request body is not JSON: "),
            "{message}"
        );
    }
    let message = error(&server, CHAT, "N", DIGITS).await;
    assert_eq!(message, "the request body must be a JSON object");
}
