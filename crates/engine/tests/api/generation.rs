//! Generation, prefix caching and scoring.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::support::{Completion, all_golden, collect, complete, golden, options, prompt};
use futures_core::Stream;
use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{
    Engine, Event, FinishReason, LengthCause, LoadOptions, Request, RequestError, StopCause,
};

fn engine(name: &str) -> Engine {
    Engine::load(golden(name), &options()).unwrap()
}

fn request(prompt: Vec<u32>, max_tokens: usize) -> Request {
    Request {
        prompt,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..Request::default()
    }
}

fn sampled(prompt: Vec<u32>, seed: u64) -> Request {
    let sampling = SamplingParams {
        temperature: 1.0,
        top_k: 40,
        seed: Some(seed),
        ..SamplingParams::default()
    };
    Request {
        sampling,
        ..request(prompt, 24)
    }
}

#[test]
fn generation_is_batch_invariant() {
    for path in all_golden() {
        let options = LoadOptions {
            max_sequences: 8,
            max_batch_tokens: 40,
            ..options()
        };
        let engine = Engine::load(&path, &options).unwrap();
        let vocab_size = engine.info().vocab_size;
        // Shorter and longer than a block, a step and any window.
        let requests: Vec<Request> = [1, 3, 31, 33, 70, 90, 12, 45]
            .iter()
            .enumerate()
            .map(|(index, &len)| Request {
                no_prefix_cache: true,
                ..sampled(prompt(index as u64, len, vocab_size), index as u64)
            })
            .collect();
        let alone: Vec<Vec<u32>> = requests
            .iter()
            .map(|request| complete(&engine, request.clone()).tokens)
            .collect();
        let batch: Vec<_> = requests
            .iter()
            .map(|request| engine.submit(request.clone()).unwrap())
            .collect();
        let together: Vec<Vec<u32>> = batch
            .into_iter()
            .map(|generation| collect(generation).tokens)
            .collect();
        assert_eq!(alone, together, "{}", path.display());
    }
}

#[test]
fn promote_huge_pages_does_not_change_completions() {
    let engine = engine("llama-4bit");
    let before = complete(&engine, request(vec![1, 2, 3], 16)).tokens;
    let during = engine.submit(request(vec![1, 2, 3], 16)).unwrap();
    engine.promote_huge_pages().unwrap();
    assert_eq!(collect(during).tokens, before);
    assert_eq!(complete(&engine, request(vec![1, 2, 3], 16)).tokens, before);
    engine.promote_huge_pages().unwrap();
}

#[test]
fn prefix_cache_hit_does_not_change_the_completion() {
    for path in all_golden() {
        let engine = Engine::load(&path, &options()).unwrap();
        let first = prompt(7, 70, engine.info().vocab_size);
        let turn = complete(&engine, request(first.clone(), 16));
        assert_eq!(turn.finished.metrics.cached_tokens, 0);

        // The next turn of a conversation: prompt, completion and new tokens.
        let mut second = first;
        second.extend(&turn.tokens);
        second.extend(prompt(8, 9, engine.info().vocab_size));
        let cached = complete(&engine, request(second.clone(), 16));
        let uncached = complete(
            &engine,
            Request {
                no_prefix_cache: true,
                ..request(second, 16)
            },
        );
        assert_eq!(
            cached.finished.metrics.cached_tokens,
            64,
            "{}",
            path.display()
        );
        assert_eq!(uncached.finished.metrics.cached_tokens, 0);
        assert_eq!(cached.tokens, uncached.tokens, "{}", path.display());
    }
}

#[test]
fn prefix_cache_includes_generated_tokens() {
    for path in all_golden() {
        let engine = Engine::load(&path, &options()).unwrap();
        let vocab_size = engine.info().vocab_size;
        let first = prompt(9, 40, vocab_size);
        let turn = complete(&engine, request(first.clone(), 60));
        let mut second = first;
        second.extend(&turn.tokens);
        second.extend(prompt(10, 9, vocab_size));
        let cached = complete(&engine, request(second.clone(), 16));
        // All of the 40 + 60 tokens except the last were computed: three full blocks, two of which have generated tokens.
        let metrics = cached.finished.metrics;
        assert_eq!(metrics.cached_tokens, 96, "{}", path.display());
        let uncached = Request {
            no_prefix_cache: true,
            ..request(second.clone(), 16)
        };
        assert_eq!(cached.tokens, complete(&engine, uncached).tokens);
        let salted = Request {
            cache_salt: 1,
            ..request(second, 16)
        };
        let salted = complete(&engine, salted);
        assert_eq!(salted.finished.metrics.cached_tokens, 0);
        assert_eq!(salted.tokens, cached.tokens);
    }
}

#[test]
fn same_seed_reproduces_and_other_seed_differs() {
    let engine = engine("llama-f16");
    let tokens = |seed| complete(&engine, sampled(vec![5, 6, 7], seed)).tokens;
    assert_eq!(tokens(1), tokens(1));
    assert_ne!(tokens(1), tokens(2));
}

#[test]
fn logits_do_not_depend_on_the_chunk_size() {
    for path in all_golden() {
        let engine = Engine::load(&path, &options()).unwrap();
        let tokens = prompt(3, 80, engine.info().vocab_size);
        let whole = engine.logits(&tokens, None).unwrap();
        assert_eq!(
            (whole.rows, whole.values.len()),
            (80, 80 * whole.vocab_size)
        );
        for chunk in [1, 3, 7, 31, 32, 33] {
            assert_eq!(
                engine.logits(&tokens, Some(chunk)).unwrap(),
                whole,
                "{} chunk {chunk}",
                path.display()
            );
        }
    }
}

#[test]
fn token_logprobs_match_the_logits() {
    let engine = engine("llama-f16");
    let tokens = prompt(4, 70, engine.info().vocab_size);
    let logits = engine.logits(&tokens, None).unwrap();
    let scored = engine.token_logprobs(&tokens).unwrap();
    assert_eq!(scored.len(), tokens.len() - 1);
    for (position, logprob) in scored.iter().enumerate() {
        let row = &logits.values[position * logits.vocab_size..][..logits.vocab_size];
        let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
        let expected = f64::from(row[tokens[position + 1] as usize]) - sum.ln();
        assert!((f64::from(*logprob) - expected).abs() < 1e-5);
    }
}

#[test]
fn greedy_token_is_the_argmax_of_the_logits() {
    let engine = engine("llama-4bit");
    let tokens = prompt(5, 20, engine.info().vocab_size);
    let logits = engine.logits(&tokens, None).unwrap();
    let last = &logits.values[19 * logits.vocab_size..];
    let best = (0..last.len())
        .max_by(|&a, &b| last[a].total_cmp(&last[b]))
        .unwrap();
    let request = Request {
        sampling: SamplingParams {
            logprobs: Some(3),
            ..SamplingParams::default()
        },
        ..request(tokens, 1)
    };
    let mut events = engine.submit(request).unwrap();
    assert!(matches!(events.next(), Some(Ok(Event::Started(_)))));
    let Some(Ok(Event::Token(token))) = events.next() else {
        panic!("no token")
    };
    assert_eq!(token.id as usize, best);
    let logprob = token.logprob.unwrap();
    assert_eq!(logprob.top.len(), 3);
    assert_eq!(logprob.top[0].0, token.id);
    assert!(logprob.top[0].1 >= logprob.top[1].1 && logprob.top[1].1 >= logprob.top[2].1);
}

#[test]
fn end_of_sequence_token_finishes_without_text() {
    let engine = engine("llama-f16");
    let eos = engine.info().eos_token_ids[0];
    let bias = SamplingParams {
        logit_bias: [(eos, 100.0)].into(),
        ..SamplingParams::default()
    };
    let completion = complete(
        &engine,
        Request {
            sampling: bias,
            ignore_eos: false,
            ..request(vec![1, 2, 3], 40)
        },
    );
    assert_eq!(
        completion.finished.reason,
        FinishReason::Stop(StopCause::EndOfSequence(eos))
    );
    assert_eq!(completion.text, "");
    assert_eq!(completion.finished.metrics.generated_tokens, 1);
}

#[test]
fn generation_finishes_at_the_context_length() {
    let options = LoadOptions {
        context_length: Some(48),
        ..options()
    };
    let engine = Engine::load(golden("llama-f16"), &options).unwrap();
    let full = complete(
        &engine,
        Request {
            max_tokens: None,
            ..request(vec![1, 2, 3], 0)
        },
    );
    assert_eq!(
        full.finished.reason,
        FinishReason::Length(LengthCause::ContextLength)
    );
    assert_eq!(full.tokens.len(), 45);
}

#[test]
fn dropped_generation_frees_its_slot() {
    let engine = engine("llama-f16");
    let abandoned = engine
        .submit(Request {
            max_tokens: None,
            ..request(vec![1, 2, 3], 0)
        })
        .unwrap();
    drop(abandoned);
    // With one sequence at a time, this one starts after the other was removed.
    assert_eq!(complete(&engine, request(vec![1, 2, 3], 4)).tokens.len(), 4);
}

#[test]
fn requests_beyond_max_sequences_are_queued() {
    let engine = engine("llama-4bit");
    let alone = complete(&engine, request(vec![9, 8, 7], 8)).tokens;
    let waiting: Vec<_> = (0..5)
        .map(|_| engine.submit(request(vec![9, 8, 7], 8)).unwrap())
        .collect();
    for generation in waiting {
        assert_eq!(collect(generation).tokens, alone);
    }
}

#[test]
fn generation_outlives_its_engine_handle() {
    let generation = engine("llama-f16")
        .submit(request(vec![1, 2, 3], 12))
        .unwrap();
    assert_eq!(collect(generation).tokens.len(), 12);
}

#[test]
fn started_event_precedes_the_first_token_and_agrees_with_the_metrics() {
    let engine = engine("llama-f16");
    let tokens: Vec<u32> = (1..100).collect();
    complete(&engine, request(tokens.clone(), 2));
    let mut events = engine.submit(request(tokens, 3)).unwrap();
    let Some(Ok(Event::Started(started))) = events.next() else {
        panic!("the first event is not `Started`")
    };
    let rest: Vec<Event> = events.map(Result::unwrap).collect();
    assert!(rest.iter().all(|event| !matches!(event, Event::Started(_))));
    let Some(Event::Finished(finished)) = rest.last() else {
        panic!("the last event is not `Finished`")
    };
    let metrics = finished.metrics;
    assert!(started.cached_tokens > 0);
    assert_eq!(started.prompt_tokens, metrics.prompt_tokens);
    assert_eq!(started.cached_tokens, metrics.cached_tokens);
    assert_eq!(started.queue_time, metrics.queue_time);
    assert_eq!(started.time_to_first_token, metrics.time_to_first_token);
}

#[test]
fn generation_is_a_stream() {
    let engine = engine("llama-f16");
    let mut polled = pin!(engine.submit(request(vec![1, 2, 3], 6)).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut tokens = Vec::new();
    loop {
        match polled.as_mut().poll_next(&mut context) {
            Poll::Ready(Some(event)) => {
                if let Event::Token(token) = event.unwrap() {
                    tokens.push(token.id);
                }
            }
            Poll::Ready(None) => break,
            Poll::Pending => std::thread::yield_now(),
        }
    }
    assert_eq!(tokens, complete(&engine, request(vec![1, 2, 3], 6)).tokens);
}

#[test]
fn next_timeout_returns_pending_until_an_event() {
    let engine = engine("llama-f16");
    let mut generation = engine.submit(request(vec![1, 2, 3], 3)).unwrap();
    let mut events = 0;
    loop {
        match generation.next_timeout(Duration::from_millis(1)) {
            mlxm_engine::Poll::Event(event) => {
                event.unwrap();
                events += 1;
            }
            mlxm_engine::Poll::Pending => {}
            mlxm_engine::Poll::Finished => break,
        }
    }
    // The start, three tokens and the end.
    assert_eq!(events, 5);
}

#[test]
fn submit_rejects_invalid_requests() {
    let options = LoadOptions {
        context_length: Some(64),
        ..options()
    };
    let engine = Engine::load(golden("llama-f16"), &options).unwrap();
    let submit_error = |request: Request| {
        engine
            .submit(request)
            .map(collect)
            .map(|completion: Completion| completion.tokens)
            .unwrap_err()
    };

    assert!(matches!(
        submit_error(Request::default()),
        RequestError::EmptyPrompt
    ));
    let error = submit_error(request(vec![1; 64], 1));
    assert!(
        matches!(
            error,
            RequestError::PromptTooLong {
                prompt_tokens: 64,
                context_length: 64
            }
        ),
        "{error}"
    );
    let error = submit_error(request(vec![1, 2, 1_000_000], 1));
    assert!(
        matches!(
            error,
            RequestError::TokenOutOfRange {
                id: 1_000_000,
                position: 2,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        submit_error(request(vec![1], 0))
            .to_string()
            .contains("max_tokens")
    );
    assert!(
        submit_error(Request {
            stop: vec![String::new()],
            ..request(vec![1], 1)
        })
        .to_string()
        .contains("stop")
    );
    for (name, sampling) in [
        (
            "temperature",
            SamplingParams {
                temperature: f32::NAN,
                ..SamplingParams::default()
            },
        ),
        (
            "top_p",
            SamplingParams {
                top_p: 1.5,
                ..SamplingParams::default()
            },
        ),
        (
            "min_p",
            SamplingParams {
                min_p: -0.1,
                ..SamplingParams::default()
            },
        ),
        (
            "repetition_penalty",
            SamplingParams {
                repetition_penalty: 0.0,
                ..SamplingParams::default()
            },
        ),
    ] {
        let error = submit_error(Request {
            sampling,
            ..request(vec![1], 1)
        });
        assert!(error.to_string().contains(name), "{error}");
    }
    // The engine continues to work.
    assert_eq!(complete(&engine, request(vec![1], 2)).tokens.len(), 2);
}

#[test]
fn scoring_rejects_invalid_tokens() {
    let options = LoadOptions {
        context_length: Some(64),
        ..options()
    };
    let engine = Engine::load(golden("llama-f16"), &options).unwrap();
    assert!(engine.logits(&[1; 64], None).is_ok());
    assert!(matches!(
        engine.logits(&[1; 65], None),
        Err(RequestError::PromptTooLong { .. })
    ));
    assert!(matches!(
        engine.logits(&[], None),
        Err(RequestError::EmptyPrompt)
    ));
    assert!(matches!(
        engine.logits(&[1], Some(0)),
        Err(RequestError::Invalid(_))
    ));
    assert!(matches!(
        engine.token_logprobs(&[1, 1_000_000]),
        Err(RequestError::TokenOutOfRange { .. })
    ));
}
