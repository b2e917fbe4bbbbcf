//! Changing the number of compute threads.

use mlxm_engine::{Engine, Event, Request, RequestError};

use crate::support::{complete, golden, options};

fn request(max_tokens: usize) -> Request {
    Request {
        prompt: (1..60).collect(),
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        no_prefix_cache: true,
        ..Request::default()
    }
}

#[test]
fn completions_do_not_depend_on_the_number_of_threads() {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    assert_eq!(engine.stats().threads, 1);
    let expected = complete(&engine, request(20));
    for threads in [3, 2, 2, 1] {
        engine.set_threads(threads).unwrap();
        assert_eq!(complete(&engine, request(20)).tokens, expected.tokens);
        assert_eq!(engine.stats().threads, threads);
    }
}

#[test]
fn threads_change_during_a_generation() {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    let expected = complete(&engine, request(40)).tokens;
    let mut tokens = Vec::new();
    for event in engine.submit(request(40)).unwrap() {
        if let Event::Token(token) = event.unwrap() {
            engine.set_threads(1 + tokens.len() % 3).unwrap();
            tokens.push(token.id);
        }
    }
    assert_eq!(tokens, expected);
}

#[test]
fn zero_threads_are_rejected() {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    assert!(matches!(
        engine.set_threads(0),
        Err(RequestError::Invalid(_))
    ));
}
