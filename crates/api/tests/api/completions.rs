//! `/v1/completions`, `/tokenize` and `/detokenize`.

use serde_json::{Value, json};

use crate::support::start;

const ROUTE: &str = "/v1/completions";

#[tokio::test]
async fn prompts_are_text_or_tokens_one_or_many() {
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
async fn a_stream_says_what_the_whole_answer_says() {
    let server = start().await;
    let mut body = json!({"model": "tiny", "prompt": "Once", "max_tokens": 20, "n": 2, "temperature": 0.9, "seed": 1,
        "echo": true, "ignore_eos": true});
    let whole = server.ok(ROUTE, &body).await;
    body["stream"] = true.into();
    let events = server.events(ROUTE, &body).await;
    for choice in whole["choices"].as_array().unwrap() {
        let mine = events
            .iter()
            .map(|(_, data)| &data["choices"][0])
            .filter(|other| other["index"] == choice["index"]);
        let text: String = mine.filter_map(|choice| choice["text"].as_str()).collect();
        assert_eq!(text, choice["text"].as_str().unwrap());
        assert!(text.starts_with("Once"));
    }
    assert_ne!(whole["choices"][0]["text"], whole["choices"][1]["text"]);
}

#[tokio::test]
async fn log_probabilities_have_the_older_shape() {
    let server = start().await;
    let body = json!({"model": "tiny", "prompt": "Once", "max_tokens": 6, "logprobs": 2, "ignore_eos": true});
    let logprobs = server.ok(ROUTE, &body).await["choices"][0]["logprobs"].clone();
    for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[list].as_array().unwrap().len(), 6, "{list}");
    }
    assert_eq!(logprobs["text_offset"][0], 0);
}

#[tokio::test]
async fn an_echoed_prompt_has_log_probabilities_too() {
    let server = start().await;
    let text = "Once upon a time there was a number, and it was not alone: there were others.";
    let tokens = server.engine.tokenizer().encode(text, true).unwrap();
    let scored = server.engine.token_logprobs(&tokens).unwrap();
    let mut body = json!({"model": "tiny", "prompt": text, "max_tokens": 3, "logprobs": 2, "echo": true,
        "ignore_eos": true, "temperature": 0.0});
    // The second time the cache holds the prompt, which then still has to be computed.
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
    let (status, message) = server.refused(ROUTE, &body).await;
    assert_eq!(status, 400);
    assert!(message.contains("not supported in a stream"), "{message}");
}

#[tokio::test]
async fn tokens_become_the_text_they_came_from() {
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
