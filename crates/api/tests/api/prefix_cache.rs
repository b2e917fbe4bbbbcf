//! Texts that go on where an earlier one ended.

use serde_json::{Value, json};

use crate::support::{Running, load_options, server_options, start_with};

const FIRST: &str = "How many are there in all? Count them, please: ";
/// Tokens of the first answer.
const LENGTH: u64 = 70;

async fn complete(server: &Running, prompt: &str, seven: &Value) -> (String, u64, u64) {
    // The answer is a run of sevens, which stay what they are when they come back as text.
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
async fn a_second_turn_starts_where_the_first_ended_and_says_the_same() {
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
        let (answer, asked, cached) = complete(&server, FIRST, seven).await;
        assert_eq!(cached, 0);
        let second = format!("{FIRST}{answer} And now?");
        let (warm, _, cached) = complete(&server, &second, seven).await;
        // All whole blocks of the first turn but the one that its last token may have left open.
        assert!(
            cached >= (asked + LENGTH - 1) / 32 * 32,
            "{model}: {cached} of {asked} + {LENGTH}"
        );

        let fresh = start_with(model, &load_options(), server_options()).await;
        let (cold, _, cached) = complete(&fresh, &second, seven).await;
        assert_eq!(cached, 0);
        assert_eq!(cold, warm, "{model}");
    }
}

#[tokio::test]
async fn what_a_client_changes_with_every_request_does_not_spoil_the_cache() {
    let text = |nonce: u32| {
        format!("x-anthropic-billing-header: cch={nonce};\nYou answer questions about the weather.")
    };
    let body = |nonce: u32| {
        json!({"model": "tiny", "max_tokens": 2, "system": text(nonce),
            "messages": [{"role": "user", "content": "Will it rain? Say yes or no."}]})
    };
    for keeps in [false, true] {
        let mut options = server_options();
        options.keep_billing_header = keeps;
        let server = start_with("llama-4bit", &load_options(), options).await;
        let mut cached = Vec::new();
        for nonce in [11111, 22222] {
            let usage = server.ok("/v1/messages", &body(nonce)).await["usage"].clone();
            cached.push(usage["cache_read_input_tokens"].as_u64().unwrap());
        }
        assert_eq!(cached[0], 0);
        // What stands before the nonce is shared in any case.
        assert_eq!(cached[1] >= 64, !keeps, "{cached:?}");
    }
}

#[tokio::test]
async fn only_requests_with_the_same_salt_share_the_cache() {
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
