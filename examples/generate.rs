//! Completes a prompt: `cargo run -p mlxm-examples --bin generate -- MODEL "Once upon a time"`.

use std::io::Write;

use anyhow::{Result, bail};
use mlxm_engine::{Engine, Event, LoadOptions, Request};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt] = arguments.as_slice() else {
        bail!("usage: generate MODEL PROMPT");
    };
    let engine = Engine::load(model, &LoadOptions::default())?;
    let mut request = Request {
        prompt: engine.tokenizer().encode(prompt, true)?,
        max_tokens: Some(64),
        ..Request::default()
    };
    request.sampling.temperature = 0.8;
    request.sampling.top_p = 0.95;
    request.sampling.seed = Some(1);

    print!("{prompt}");
    for event in engine.submit(request)? {
        match event? {
            Event::Prefill(_) | Event::Started(_) => {}
            Event::Token(token) => print!("{}", token.text),
            Event::Finished(end) => {
                let speed = end.metrics.generation_tokens_per_second();
                let reason = end.reason.as_str();
                println!("{}\n({reason}, {speed:.0} tokens per second)", end.text);
            }
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
