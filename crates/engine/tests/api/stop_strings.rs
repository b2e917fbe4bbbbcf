//! Stop strings.

use crate::support::{complete, golden, options};
use mlxm_engine::{Engine, Request};

fn request() -> Request {
    Request {
        prompt: vec![1, 2, 3],
        max_tokens: Some(40),
        ignore_eos: true,
        ..Request::default()
    }
}

#[test]
fn tokens_past_text_are_those_of_the_stop_string() {
    let engine = Engine::load(golden("llama-f16"), &options()).unwrap();
    let tokenizer = engine.tokenizer();
    let free = complete(&engine, request());
    // Stop strings that begin and end within tokens, and one at the start of the text.
    let characters: Vec<char> = free.text.chars().collect();
    for range in [0..3, 10..13, 11..12, 14..20] {
        let stop: String = characters[range].iter().collect();
        let stopped = complete(
            &engine,
            Request {
                stop: vec![stop.clone()],
                ..request()
            },
        );
        let kept = stopped.tokens.len() - stopped.finished.tokens_past_text;
        let decode = |count: usize| tokenizer.decode(&stopped.tokens[..count], true);
        assert!(decode(kept).starts_with(&stopped.text), "{stop:?}");
        assert!(
            kept == 0 || !decode(kept - 1).starts_with(&stopped.text),
            "{stop:?}: {stopped:?}"
        );
    }
}
