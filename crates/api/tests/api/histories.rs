//! Every route renders the histories of its API with templates of every kind.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    TestServer, load_options, serve_directory, server_options, with_context_length,
};

/// The small templates of the chat crate's tests, each with the restrictions of a real one.
const TEMPLATES: [&str; 12] = [
    "channels",
    "chatml",
    "deepseek",
    "first_system",
    "gemma2",
    "ignores_system",
    "kimi",
    "lfm2",
    "llama3",
    "ministral",
    "mistral",
    "parts",
];

async fn start(template: &str) -> (tempfile::TempDir, TestServer) {
    let directory = with_context_length("llama-4bit", 4096);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../chat/tests/history/templates")
        .join(format!("{template}.jinja"));
    std::fs::copy(source, directory.path().join("chat_template.jinja")).unwrap();
    let server = serve_directory(directory.path(), &load_options(), server_options()).await;
    (directory, server)
}

fn openai_tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"v": {"type": "string"}}}}})
}

/// Two calls, their results and a user's text, after a later system message.
fn openai_messages() -> Value {
    let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            call("call_0123456789abcdef", "{\"v\": \"first\"}".into()),
            call("toolu_1", "{\"v\": ".into()),
            call("x", "".into()),
        ]},
        {"role": "tool", "tool_call_id": "call_0123456789abcdef", "content": "result-1"},
        {"role": "tool", "tool_call_id": "toolu_1", "content": null},
        {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "result-3"}]},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": null},
        {"role": "developer", "content": "A note."},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "again"}]},
    ])
}

#[tokio::test]
async fn chat_completions_accept_every_history() {
    for template in TEMPLATES {
        let (_directory, server) = start(template).await;
        for more in [
            json!({"tools": [openai_tool()]}),
            json!({"tools": [openai_tool()], "tool_choice": "none"}),
            json!({}),
        ] {
            let mut body = more;
            body["messages"] = openai_messages();
            let rendered = server.ok("/apply-template", &body).await;
            let prompt = rendered["prompt"].as_str().unwrap();
            for text in [
                "Be brief.",
                "Be kind.",
                "question",
                "first",
                "result-1",
                "result-3",
                "go on",
                "A note.",
                "again",
            ] {
                assert!(
                    prompt.contains(text),
                    "{template}: no {text:?} in {prompt:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn anthropic_messages_accept_every_history() {
    let messages = json!([
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": ""},
            {"type": "tool_use", "id": "toolu_a", "name": "f", "input": {"v": "1"}},
            {"type": "tool_use", "id": "b", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_a", "content": "result-1"},
            {"type": "tool_result", "tool_use_id": "b"},
            {"type": "text", "text": "go on"},
        ]},
        {"role": "system", "content": "A note."},
    ]);
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    for template in TEMPLATES {
        let (_directory, server) = start(template).await;
        for more in [
            json!({"tools": [tool]}),
            json!({"tools": [tool], "tool_choice": {"type": "none"}}),
            json!({}),
        ] {
            let mut body = json!({"model": "tiny", "system": "Be brief.", "messages": messages});
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            let count = server.ok("/v1/messages/count_tokens", &body).await;
            assert!(count["input_tokens"].as_u64().unwrap() > 0, "{template}");
        }
    }
}

#[tokio::test]
async fn responses_accept_every_history() {
    let input = json!([
        {"role": "user", "content": "question"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{\"v\": \"1\"}"},
        {"type": "function_call", "call_id": "call_b", "name": "f", "arguments": "{\"v\": "},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {"type": "function_call_output", "call_id": "call_a", "output": "result-1"},
        {"type": "function_call_output", "call_id": "call_b", "output": null},
        {"role": "developer", "content": "A note."},
    ]);
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}});
    for template in TEMPLATES {
        let (_directory, server) = start(template).await;
        for tools in [json!([tool]), json!([])] {
            let body = json!({
                "model": "tiny", "instructions": "Be brief.", "input": input, "tools": tools, "max_output_tokens": 1, "store": false,
            });
            server.ok("/v1/responses", &body).await;
        }
    }
}
