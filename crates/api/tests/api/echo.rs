//! `echo` of `/v1/completions`: the prompt in the text and in the log-probabilities.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    TestServer, load_options, serve_directory, server_options, start, with_context_length,
};

const ROUTE: &str = "/v1/completions";
const PROMPT: &str = "a <|im_start|>user <|im_end|> b";

/// The default checkpoint with a tokenizer that adds `<|endoftext|>` at the start of texts.
fn with_first_token() -> TempDir {
    let directory = with_context_length("llama-4bit", 256);
    let path = directory.path().join("tokenizer.json");
    let mut tokenizer: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let token = "<|endoftext|>";
    let added = tokenizer["added_tokens"].as_array().unwrap();
    let id = added
        .iter()
        .find(|added| added["content"] == token)
        .unwrap()["id"]
        .clone();
    let first = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [first, text("A")],
        "pair": [first, text("A"), text("B")],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    });
    std::fs::write(path, tokenizer.to_string()).unwrap();
    directory
}

async fn start_with_first_token() -> TestServer {
    let directory = with_first_token();
    serve_directory(directory.path(), &load_options(), server_options()).await
}

fn body(prompt: &str, more: Value) -> Value {
    let mut body = json!({"prompt": prompt, "echo": true, "ignore_eos": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Checks that the lists of a choice agree with its text: the tokens spell it, and each starts after the one before.
fn check_lists(choice: &Value) {
    let lists = &choice["logprobs"];
    let tokens: Vec<&str> = lists["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let text = choice["text"].as_str().unwrap();
    assert_eq!(tokens.concat(), text);
    let mut offset = 0;
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(lists["text_offset"][at], offset, "{lists}");
        offset += token.chars().count();
    }
    for list in ["token_logprobs", "top_logprobs"] {
        assert_eq!(lists[list].as_array().unwrap().len(), tokens.len());
    }
}

#[tokio::test]
async fn echo_without_tokens_returns_the_prompt_and_generates_nothing() {
    for server in [start().await, start_with_first_token().await] {
        for logprobs in [json!(null), json!(0), json!(2)] {
            for streams in [false, true] {
                let more = json!({"max_tokens": 0, "logprobs": logprobs, "n": 2, "stream": streams,
                    "stream_options": {"include_usage": true}});
                let request = body(PROMPT, more);
                let (choices, usage) = if streams {
                    let events = server.events(ROUTE, &request).await;
                    let choices = events
                        .iter()
                        .filter(|(_, data)| data["choices"][0].is_object());
                    let choices: Vec<Value> = choices
                        .map(|(_, data)| data["choices"][0].clone())
                        .collect();
                    let usage = events.iter().find(|(_, data)| data["usage"].is_object());
                    (choices, usage.unwrap().1["usage"].clone())
                } else {
                    let response = server.ok(ROUTE, &request).await;
                    let choices = response["choices"].as_array().unwrap().clone();
                    (choices, response["usage"].clone())
                };
                assert_eq!(choices.len(), 2);
                assert_eq!(usage["completion_tokens"], 0);
                assert_eq!(usage["total_tokens"], usage["prompt_tokens"]);
                for choice in &choices {
                    assert_eq!(choice["text"], PROMPT);
                    assert_eq!(choice["finish_reason"], "length");
                    if logprobs.is_null() {
                        assert_eq!(choice["logprobs"], Value::Null);
                    } else {
                        check_lists(choice);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn no_tokens_without_echo_are_rejected() {
    let server = start().await;
    for echo in [json!(false), json!(null)] {
        let request = body("x", json!({"echo": echo, "max_tokens": 0}));
        let (status, message) = server.error(ROUTE, &request).await;
        assert_eq!(status, 400);
        assert!(message.contains("max_tokens is 0"), "{message}");
    }
}

#[tokio::test]
async fn echo_has_the_special_tokens_of_the_prompt_but_not_those_that_the_tokenizer_adds() {
    let tokens = start()
        .await
        .engine
        .tokenizer()
        .encode(PROMPT, true)
        .unwrap();
    for server in [start().await, start_with_first_token().await] {
        let added = server
            .engine
            .tokenizer()
            .encode(PROMPT, true)
            .unwrap()
            .len()
            - tokens.len();
        let more = json!({"max_tokens": 3, "logprobs": 1, "temperature": 0});
        let choice = server.ok(ROUTE, &body(PROMPT, more)).await["choices"][0].clone();
        let text = choice["text"].as_str().unwrap();
        assert!(text.starts_with(PROMPT), "{text}");
        let lists = &choice["logprobs"];
        assert_eq!(lists["tokens"].as_array().unwrap().len(), tokens.len() + 3);
        // Only the very first token has no log-probability.
        assert_eq!(lists["token_logprobs"][0].is_null(), added == 0);
        assert!(lists["token_logprobs"][1].is_number());
        let streamed = server
            .events(
                ROUTE,
                &body(PROMPT, json!({"max_tokens": 3, "stream": true})),
            )
            .await;
        assert_eq!(streamed[0].1["choices"][0]["text"], PROMPT);
        // Token ids are echoed as they are.
        let mut request = body("", json!({"max_tokens": 0, "logprobs": 0}));
        request["prompt"] = json!(tokens);
        let choice = server.ok(ROUTE, &request).await["choices"][0].clone();
        assert_eq!(choice["text"], PROMPT);
        check_lists(&choice);
    }
}

#[tokio::test]
async fn empty_prompt_needs_a_tokenizer_that_adds_a_token() {
    let request = |prompt: Value| json!({"prompt": prompt, "max_tokens": 2});
    let server = start_with_first_token().await;
    for prompt in [json!(""), json!(["", "x"])] {
        server.ok(ROUTE, &request(prompt)).await;
    }
    let echoed = server
        .ok(ROUTE, &body("", json!({"max_tokens": 0, "logprobs": 1})))
        .await;
    assert_eq!(echoed["choices"][0]["text"], "");
    let server = start().await;
    for (prompt, path) in [
        (json!(""), "prompt"),
        (json!(["x", ""]), "prompt[1]"),
        (json!([[1], []]), "prompt[1]"),
    ] {
        let (status, error) = server.post(ROUTE, &request(prompt)).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!(path)),
            "{error}"
        );
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("adds no token at the start")
        );
    }
    for absent in [request(json!(null)), json!({"max_tokens": 2})] {
        let (status, message) = server.error(ROUTE, &absent).await;
        assert_eq!(status, 400);
        assert!(
            message.starts_with("prompt is missing: give a string"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn best_of_must_not_ask_for_more_completions_than_are_returned() {
    let server = start().await;
    let messages = json!([{"role": "user", "content": "Hi"}]);
    for route in [ROUTE, "/v1/chat/completions"] {
        let request = |n: Value, best_of: Value| json!({"prompt": "x", "messages": messages, "max_tokens": 2, "n": n, "best_of": best_of});
        for (n, best_of) in [
            (json!(null), 1),
            (json!(2), 1),
            (json!(2), 2),
            (json!(1), 1),
        ] {
            server.ok(route, &request(n, json!(best_of))).await;
        }
        server.ok(route, &request(json!(2), json!(null))).await;
        for (n, best_of) in [
            (json!(null), 2),
            (json!(2), 3),
            (json!(3), 2),
            (json!(1), 0),
        ] {
            let (status, error) = server.post(route, &request(n, json!(best_of))).await;
            assert_eq!(
                (status, &error["error"]["param"]),
                (400, &json!("best_of")),
                "{error}"
            );
        }
    }
}
