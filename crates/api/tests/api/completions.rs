//! `/v1/completions`, `/tokenize` and `/detokenize`.

use serde_json::{Value, json};

use crate::support::start;

const ROUTE: &str = "/v1/completions";

#[tokio::test]
async fn prompts_are_strings_or_token_ids_one_or_several() {
    let server = start().await;
    let tokens = server
        .ok("/tokenize", &json!({"prompt": "Once upon"}))
        .await["tokens"]
        .clone();
    let ask = async |prompt: Value| {
        server
            .ok(
                ROUTE,
                &json!({"model": "tiny", "prompt": prompt, "max_tokens": 8}),
            )
            .await
    };
    let text = ask(json!("Once upon")).await;
    assert_eq!(ask(tokens.clone()).await["choices"], text["choices"]);
    let many = ask(json!(["Once upon", "The end"])).await;
    assert_eq!(many["choices"][0]["text"], text["choices"][0]["text"]);
    assert_eq!(many["choices"].as_array().unwrap().len(), 2);
    assert_eq!(
        ask(json!([tokens, tokens])).await["choices"][1]["text"],
        text["choices"][0]["text"]
    );
    let usage = &many["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(usage["prompt_tokens"].as_u64().unwrap() + 16)
    );
}

#[tokio::test]
async fn stream_has_the_text_of_the_completion() {
    let server = start().await;
    let mut body = json!({"model": "tiny", "prompt": "Once", "max_tokens": 20, "n": 2, "temperature": 0.9, "seed": 1,
        "echo": true, "ignore_eos": true});
    let completion = server.ok(ROUTE, &body).await;
    body["stream"] = true.into();
    let events = server.events(ROUTE, &body).await;
    for choice in completion["choices"].as_array().unwrap() {
        let chunks = events
            .iter()
            .map(|(_, data)| &data["choices"][0])
            .filter(|other| other["index"] == choice["index"]);
        let text: String = chunks
            .filter_map(|choice| choice["text"].as_str())
            .collect();
        assert_eq!(text, choice["text"].as_str().unwrap());
        assert!(text.starts_with("Once"));
    }
    assert_ne!(
        completion["choices"][0]["text"],
        completion["choices"][1]["text"]
    );
}

#[tokio::test]
async fn logprobs_have_the_format_of_the_completions_api() {
    let server = start().await;
    let body = json!({"model": "tiny", "prompt": "Once", "max_tokens": 6, "logprobs": 2, "ignore_eos": true});
    let logprobs = server.ok(ROUTE, &body).await["choices"][0]["logprobs"].clone();
    for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[list].as_array().unwrap().len(), 6, "{list}");
    }
    assert_eq!(logprobs["text_offset"][0], 0);
}

#[tokio::test]
async fn logprobs_end_where_the_text_ends_after_a_stop_string() {
    let server = start().await;
    let more = json!({"max_tokens": 20, "temperature": 0.0, "ignore_eos": true});
    let with = |fields: Value| {
        let mut body = more.clone();
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let prompt = json!({"model": "tiny", "prompt": "Once", "logprobs": 1});
    let messages =
        json!({"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "logprobs": true});
    let chat_route = "/v1/chat/completions";
    for (route, fields, text) in [
        (ROUTE, prompt, "/text"),
        (chat_route, messages, "/message/content"),
    ] {
        let entries = |choice: &Value| {
            let logprobs = &choice["logprobs"];
            let list = logprobs["content"].as_array();
            list.or(logprobs["tokens"].as_array()).map_or(0, Vec::len)
        };
        let mut body = with(fields);
        let free = server.ok(route, &body).await["choices"][0].clone();
        assert_eq!(entries(&free), 20);
        let characters: Vec<char> = free
            .pointer(text)
            .unwrap()
            .as_str()
            .unwrap()
            .chars()
            .collect();
        let stop: String = characters[8..12].iter().collect();
        body["stop"] = json!([stop]);
        let stopped = server.ok(route, &body).await;
        let (choice, usage) = (&stopped["choices"][0], &stopped["usage"]);
        let kept = entries(choice);
        assert!(kept > 0 && (kept as u64) < usage["completion_tokens"].as_u64().unwrap());
        body["stream"] = true.into();
        let events = server.events(route, &body).await;
        let streamed: usize = events
            .iter()
            .map(|(_, data)| entries(&data["choices"][0]))
            .sum();
        assert_eq!(streamed, kept, "{route}");
    }
}

#[tokio::test]
async fn echo_with_logprobs_scores_the_prompt() {
    let server = start().await;
    let text = "Once upon a time there was a number, and it was not alone: there were others.";
    let tokens = server.engine.tokenizer().encode(text, true).unwrap();
    let scored = server.engine.token_logprobs(&tokens).unwrap();
    let mut body = json!({"model": "tiny", "prompt": text, "max_tokens": 3, "logprobs": 2, "echo": true,
        "ignore_eos": true, "temperature": 0.0});
    // The second time the prompt is in the prefix cache, but still has to be scored.
    for _ in 0..2 {
        let choice = server.ok(ROUTE, &body).await["choices"][0].clone();
        let lists = &choice["logprobs"];
        for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(
                lists[list].as_array().unwrap().len(),
                tokens.len() + 3,
                "{list}"
            );
        }
        assert_eq!(lists["token_logprobs"][0], Value::Null);
        assert_eq!(lists["top_logprobs"][0], Value::Null);
        for (at, expected) in scored.iter().enumerate() {
            let found = lists["token_logprobs"][at + 1].as_f64().unwrap();
            assert!(
                (found - f64::from(*expected)).abs() < 1e-4,
                "{found} {expected}"
            );
            let top = lists["top_logprobs"][at + 1].as_object().unwrap();
            let best = top
                .values()
                .filter_map(Value::as_f64)
                .fold(f64::MIN, f64::max);
            assert!(best >= found - 1e-6, "{top:?}");
        }
        let joined: String = lists["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(joined, choice["text"].as_str().unwrap());
        let greedy = lists["token_logprobs"].as_array().unwrap().last().unwrap();
        assert!(greedy.as_f64().unwrap() <= 0.0);
    }
    body["stream"] = true.into();
    let (status, message) = server.error(ROUTE, &body).await;
    assert_eq!(status, 400);
    assert!(message.contains("not supported in a stream"), "{message}");
}

#[tokio::test]
async fn detokenize_inverts_tokenize() {
    let server = start().await;
    let text = "Grüße, 世界!";
    let tokens = server.ok("/tokenize", &json!({"prompt": text})).await;
    assert_eq!(
        tokens["count"].as_u64().unwrap() as usize,
        tokens["tokens"].as_array().unwrap().len()
    );
    let back = server
        .ok("/detokenize", &json!({"tokens": tokens["tokens"]}))
        .await;
    assert_eq!(back["prompt"], text);
}
