//! Chats with a model, one line per message: `cargo run -p mlxm-examples --bin chat -- MODEL`.

use std::io::Write;

use anyhow::{Context, Result, anyhow};
use mlxm_chat::ChatModel;
use mlxm_chat::template::RenderOptions;
use mlxm_engine::{Engine, Event, LoadOptions, Request};
use serde_json::json;

fn main() -> Result<()> {
    let model = std::env::args().nth(1).context("usage: chat MODEL")?;
    let engine = Engine::load(model, &LoadOptions::default())?;
    let chat = ChatModel::from_engine(&engine);
    let template = chat.template().map_err(|error| anyhow!("{error}"))?;
    let options = RenderOptions {
        add_generation_prompt: true,
        ..RenderOptions::default()
    };
    let mut messages = Vec::new();
    for line in std::io::stdin().lines() {
        messages.push(json!({"role": "user", "content": line?}));
        // The prompt is the whole conversation; earlier turns are in the prefix cache.
        let request = Request {
            prompt: template.apply(&messages, &options, engine.tokenizer())?,
            max_tokens: Some(64),
            ..Request::default()
        };
        let mut response = String::new();
        for event in engine.submit(request)? {
            let text = match event? {
                Event::Token(token) => token.text,
                Event::Finished(end) => end.text + "\n",
            };
            print!("{text}");
            std::io::stdout().flush()?;
            response.push_str(&text);
        }
        messages.push(json!({"role": "assistant", "content": response.trim_end()}));
    }
    Ok(())
}
