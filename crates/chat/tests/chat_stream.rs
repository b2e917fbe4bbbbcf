//! Completions of a model that a constraint makes recite a text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use mlxm_chat::constraint::Grammar;
use mlxm_chat::parsing::{ReasoningFormat, ToolFormat};
use mlxm_chat::{ChatCompletion, ChatModel, ChatOptions, ChatRequest, FormatOverride, ToolCall};
use mlxm_engine::{Engine, FinishReason, LengthCause, LoadOptions, Request, StopCause};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The test checkpoint with a context that is long enough for tool definitions.
fn checkpoint() -> TempDir {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden/llama-4bit");
    let copy = TempDir::new().unwrap();
    for file in std::fs::read_dir(golden).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let config = copy.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut fields: Value = serde_json::from_str(&text).unwrap();
    fields["max_position_embeddings"] = 4096.into();
    std::fs::write(config, fields.to_string()).unwrap();
    copy
}

/// A model whose calls have this syntax; `None` does not parse calls.
fn model(tools: Option<ToolFormat>) -> ChatModel {
    let directory = checkpoint();
    let options = LoadOptions {
        threads: Some(1),
        max_sequences: 2,
        ..LoadOptions::default()
    };
    let engine = Engine::load(directory.path(), &options).unwrap();
    let options = ChatOptions {
        format: FormatOverride {
            tools: Some(tools),
            reasoning: Some(Some(ReasoningFormat::Think)),
        },
        ..ChatOptions::default()
    };
    ChatModel::with_options(&engine, options)
}

fn request() -> ChatRequest {
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"content": {"type": "string"}}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    ChatRequest {
        messages: vec![json!({"role": "user", "content": "Hi"})],
        tools: vec![tool("write"), tool("read")],
        ..ChatRequest::default()
    }
}

/// A completion that consists of `text`, up to the limits.
fn recite(
    model: &ChatModel,
    request: &ChatRequest,
    text: &str,
    stop: &[&str],
    max_tokens: Option<usize>,
) -> ChatCompletion {
    let grammar = Grammar::Lark(format!("start: {}", Value::from(text)));
    let matcher = model.compiler().compile(&grammar).unwrap();
    let prompt = model.prompt(request).unwrap();
    let request = Request {
        constraint: Some(Box::new(matcher)),
        stop: stop.iter().map(ToString::to_string).collect(),
        max_tokens,
        ..Request::default()
    };
    let stream = model.submit(&prompt, request).unwrap();
    stream.collect_completion().unwrap()
}

fn reason(completion: &ChatCompletion) -> FinishReason {
    completion.finish.as_ref().unwrap().reason.clone()
}

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

#[test]
fn stop_strings_do_not_end_calls() {
    let qwen3_coder = model(Some(ToolFormat::Qwen3Coder));
    let text = "<tool_call>\n<function=write>\n<parameter=content>\none\n\ntwo\n</parameter>\n</function>\n</tool_call>";
    let completion = recite(&qwen3_coder, &request(), text, &["\n\n", "two"], None);
    let expected = call("write", r#"{"content": "one\n\ntwo"}"#);
    assert_eq!(completion.tool_calls, [expected]);
    assert_eq!(completion.content, "");
    assert_eq!(reason(&completion), FinishReason::ToolCalls);
}

#[test]
fn stop_strings_do_not_end_reasoning() {
    let hermes = model(Some(ToolFormat::Hermes));
    let text = "<think>Hm 1.\n\nHm 2.\n</think>\n\nThe answer.\n\nMore.";
    let completion = recite(&hermes, &request(), text, &["\n\n"], None);
    assert_eq!(completion.reasoning, "Hm 1.\n\nHm 2.");
    assert_eq!(completion.content, "The answer.");
    let stop = StopCause::StopString("\n\n".to_owned());
    assert_eq!(reason(&completion), FinishReason::Stop(stop));
    let metrics = completion.finish.unwrap().metrics;
    assert_eq!(metrics.generated_tokens, completion.tokens.len());
    assert!(metrics.prompt_tokens > 0 && !metrics.time_to_first_token.is_zero());
}

#[test]
fn completion_ends_after_the_first_call_without_parallel_calls() {
    let hermes = model(Some(ToolFormat::Hermes));
    let text = "<tool_call>\n{\"name\": \"read\", \"arguments\": {}}\n</tool_call>\n\
        <tool_call>\n{\"name\": \"write\", \"arguments\": {}}\n</tool_call>";
    let both = recite(&hermes, &request(), text, &[], None);
    assert_eq!(both.tool_calls, [call("read", "{}"), call("write", "{}")]);
    let request = ChatRequest {
        parallel_tool_calls: false,
        ..request()
    };
    let first = recite(&hermes, &request, text, &[], None);
    assert_eq!(first.tool_calls, [call("read", "{}")]);
    assert_eq!(reason(&first), FinishReason::ToolCalls);
    assert!(first.tokens.len() < both.tokens.len());
}

#[test]
fn truncated_call_is_content() {
    let hermes = model(Some(ToolFormat::Hermes));
    let text = "<tool_call>\n{\"name\": \"write\", \"arguments\": {\"content\": \"one two three four\"}}\n</tool_call>";
    let whole = recite(&hermes, &request(), text, &[], None);
    let max_tokens = whole.tokens.len() * 3 / 4;
    let truncated = recite(&hermes, &request(), text, &[], Some(max_tokens));
    assert!(truncated.tool_calls.is_empty());
    assert!(truncated.content.starts_with("{\"name\": \"write\","));
    assert!(text.contains(&truncated.content));
    let cause = LengthCause::MaxTokens;
    assert_eq!(reason(&truncated), FinishReason::Length(cause));
}

#[test]
fn calls_stay_in_the_content_without_a_parser() {
    let text = "<tool_call>\n{\"name\": \"read\", \"arguments\": {}}\n</tool_call>";
    let completion = recite(&model(None), &request(), text, &[], None);
    assert!(completion.tool_calls.is_empty());
    assert_eq!(completion.content, text);
}
