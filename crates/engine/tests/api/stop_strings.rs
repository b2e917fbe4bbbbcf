//! Stop strings.

use crate::support::{complete, golden, options};
use mlxm_engine::{Engine, FinishReason, LengthCause, Request, StopCause};

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

#[test]
fn finish_reason_reports_max_tokens_and_stop_string() {
    let engine = Engine::load(golden("llama-f16"), &options()).unwrap();
    let free = complete(&engine, request());
    assert_eq!(
        free.finished.reason,
        FinishReason::Length(LengthCause::MaxTokens)
    );
    assert_eq!(
        (free.tokens.len(), free.finished.metrics.generated_tokens),
        (40, 40)
    );
    assert_eq!(free.finished.metrics.prompt_tokens, 3);

    let characters: Vec<char> = free.text.chars().collect();
    let stop: String = characters[10..13].iter().collect();
    let stopped = complete(
        &engine,
        Request {
            stop: vec![stop.clone()],
            ..request()
        },
    );
    assert_eq!(
        stopped.finished.reason,
        FinishReason::Stop(StopCause::StopString(stop.clone()))
    );
    assert_eq!(stopped.text, free.text[..free.text.find(&stop).unwrap()]);
    assert_eq!(free.finished.tokens_past_text, 0);
}
