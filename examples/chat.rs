//! A conversation, one line at a time: `cargo run -p mlxm-examples --bin chat -- MODEL`.

use std::io::Write;

use anyhow::{Context, Result};
use mlxm_chat::{ChatCompletion, ChatModel, ChatRequest, GenerationParams};
use mlxm_engine::LoadOptions;
use serde_json::json;

fn main() -> Result<()> {
    let model = std::env::args().nth(1).context("usage: chat MODEL")?;
    let model = ChatModel::load(model, &LoadOptions::default())?;
    let mut messages = Vec::new();
    for line in std::io::stdin().lines() {
        messages.push(json!({"role": "user", "content": line?}));
        // The prompt is the whole conversation; the prefix cache holds the part that was computed before.
        let params = GenerationParams {
            max_tokens: Some(64),
            ..GenerationParams::default()
        };
        let request = ChatRequest {
            messages: messages.clone(),
            params,
            ..ChatRequest::default()
        };
        let mut completion = ChatCompletion::default();
        for chunk in model.generate(&request)? {
            let chunk = chunk?;
            print!("{}", chunk.text);
            std::io::stdout().flush()?;
            completion.push(chunk);
        }
        println!();
        messages.push(json!({"role": "assistant", "content": completion.content}));
    }
    Ok(())
}
