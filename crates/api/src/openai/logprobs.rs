//! Log-probabilities in the shapes of the protocol.

use mlxm_engine::sampling::TokenLogprob;
use serde_json::{Value, json};

use crate::server::Model;

/// The entry of a token in a chat.
pub fn in_chat(model: &Model, logprob: &TokenLogprob) -> Value {
    let mut entry = token(model, logprob.token, logprob.logprob);
    let top = logprob
        .top
        .iter()
        .map(|(id, logprob)| token(model, *id, *logprob));
    entry["top_logprobs"] = top.collect();
    entry
}

fn token(model: &Model, id: u32, logprob: f32) -> Value {
    let bytes = model.token_bytes(id);
    json!({"token": String::from_utf8_lossy(&bytes), "logprob": finite(logprob), "bytes": bytes})
}

/// JSON has no negative infinity.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// The lists of a completion; `offset` is where the first token's text begins.
pub fn in_completion(model: &Model, logprobs: &[TokenLogprob], mut offset: usize) -> Value {
    let mut tokens = Vec::new();
    let mut offsets = Vec::new();
    for logprob in logprobs {
        let text = String::from_utf8_lossy(&model.token_bytes(logprob.token)).into_owned();
        offsets.push(offset);
        offset += text.chars().count();
        tokens.push(text);
    }
    let top = logprobs.iter().map(|logprob| {
        let named = logprob.top.iter().map(|(id, logprob)| {
            let text = String::from_utf8_lossy(&model.token_bytes(*id)).into_owned();
            (text, Value::from(finite(*logprob)))
        });
        Value::Object(named.collect())
    });
    json!({
        "tokens": tokens,
        "token_logprobs": logprobs.iter().map(|logprob| finite(logprob.logprob)).collect::<Vec<_>>(),
        "top_logprobs": top.collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}
