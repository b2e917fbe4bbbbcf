//! Prefix cache hits over HTTP.

use serde_json::{Value, json};

use crate::support::{TestServer, load_options, server_options, start_with};

const FIRST: &str = "How many are there in all? Count them, please: ";
/// Tokens of the first completion.
const LENGTH: u64 = 70;

async fn complete(server: &TestServer, prompt: &str, seven: &Value) -> (String, u64, u64) {
    // The bias makes the completion a run of sevens, which is tokenized to the same tokens again.
    let body = json!({"model": "tiny", "prompt": prompt, "max_tokens": LENGTH, "ignore_eos": true,
        "logit_bias": {seven.to_string(): 12}});
    let body = server.ok("/v1/completions", &body).await;
    let usage = &body["usage"];
    (
        body["choices"][0]["text"].as_str().unwrap().to_owned(),
        usage["prompt_tokens"].as_u64().unwrap(),
        usage["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap(),
    )
}

#[tokio::test]
async fn second_turn_reuses_the_first_turn_and_has_the_same_output() {
    for model in [
        "llama-4bit",
        "gemma3-window-8",
        "phi3-longrope",
        "qwen3-6bit-mixed",
        "starcoder2-5bit",
    ] {
        let server = start_with(model, &load_options(), server_options()).await;
        let seven = json!({"prompt": "7", "add_special_tokens": false});
        let seven = server.ok("/tokenize", &seven).await["tokens"].clone();
        let seven = seven.as_array().unwrap().last().unwrap();
        let (completion, prompt_tokens, cached) = complete(&server, FIRST, seven).await;
        assert_eq!(cached, 0);
        let second = format!("{FIRST}{completion} And now?");
        let (warm, _, cached) = complete(&server, &second, seven).await;
        // All full blocks of the first turn; its last token is not computed.
        assert!(
            cached >= (prompt_tokens + LENGTH - 1) / 32 * 32,
            "{model}: {cached} of {prompt_tokens} + {LENGTH}"
        );

        let fresh = start_with(model, &load_options(), server_options()).await;
        let (cold, _, cached) = complete(&fresh, &second, seven).await;
        assert_eq!(cached, 0);
        assert_eq!(cold, warm, "{model}");
    }
}

#[tokio::test]
async fn billing_header_does_not_prevent_cache_hits_unless_it_is_kept() {
    let text = |nonce: u32| {
        format!("x-anthropic-billing-header: cch={nonce};\nYou answer questions about the weather.")
    };
    let body = |nonce: u32| {
        json!({"model": "tiny", "max_tokens": 2, "system": text(nonce),
            "messages": [{"role": "user", "content": "Will it rain? Say yes or no."}]})
    };
    for keep_billing_header in [false, true] {
        let mut options = server_options();
        options.keep_billing_header = keep_billing_header;
        let server = start_with("llama-4bit", &load_options(), options).await;
        let mut cached = Vec::new();
        for nonce in [11111, 22222] {
            let usage = server.ok("/v1/messages", &body(nonce)).await["usage"].clone();
            cached.push(usage["cache_read_input_tokens"].as_u64().unwrap());
        }
        assert_eq!(cached[0], 0);
        // The tokens before the nonce are shared in any case.
        assert_eq!(cached[1] >= 64, !keep_billing_header, "{cached:?}");
    }
}

#[tokio::test]
async fn cache_is_shared_only_by_requests_with_the_same_salt() {
    let server = start_with("llama-4bit", &load_options(), server_options()).await;
    let prompt =
        "How many are there in all? Count them, please, one by one, and then say it twice.";
    let cached = async |salt: Value| {
        let body = json!({"model": "tiny", "prompt": prompt, "max_tokens": 1, "cache_salt": salt});
        let body = server.ok("/v1/completions", &body).await;
        body["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(cached(json!("ann")).await, 0);
    assert_eq!(cached(json!("bo")).await, 0);
    assert_eq!(cached(json!(null)).await, 0);
    assert!(cached(json!("ann")).await >= 32);
}
