//! Tests of the worker loop with a model whose forward passes wait for the test, so that the test can act during a step.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mlxm_kernels::{KernelError, Pass, Rows};

use super::Engine;
use crate::cancel::CancelToken;
use crate::error::{GenerationError, LoadError, RequestError};
use crate::forward::Model;
use crate::forward::Step;
use crate::options::LoadOptions;
use crate::request::{Event, Request};
use crate::sampling::SamplingParams;
use crate::{Generation, Priority};

/// Longer than any step takes: exceeding it is a failure.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A model whose forward passes wait until the test lets them continue.
struct GatedModel {
    model: Box<dyn Model>,
    /// Receives the tokens of every pass that starts.
    started: Sender<Vec<u32>>,
    /// A pass continues after a message, or if the sender was dropped.
    release: Receiver<()>,
    /// A pass over this token fails.
    fails_on: Option<u32>,
}

impl Model for GatedModel {
    fn forward(&self, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let tokens = step.tokens().to_vec();
        let failing = self.fails_on.is_some_and(|token| tokens.contains(&token));
        // Both fail once the test dropped its gate.
        let _ = self.started.send(tokens);
        let _ = self.release.recv();
        if failing {
            let (op, found) = ("gated model", "the token to fail on".into());
            return Err(KernelError::Activation { op, found });
        }
        self.model.forward(step)
    }

    fn logits(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        self.model.logits(rows, pass)
    }
}

/// Controls the forward passes of a [`GatedModel`]. Dropping it lets all passes continue.
struct Gate {
    started: Receiver<Vec<u32>>,
    release: Sender<()>,
}

impl Gate {
    /// Waits until a forward pass starts and returns its tokens.
    fn wait_for_pass(&self) -> Vec<u32> {
        self.started.recv_timeout(TIMEOUT).unwrap()
    }

    /// Lets the started pass continue.
    fn release(&self) {
        self.release.send(()).unwrap();
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn options() -> LoadOptions {
    LoadOptions {
        threads: Some(2),
        ..LoadOptions::default()
    }
}

fn gated_engine(options: &LoadOptions, fails_on: Option<u32>) -> (Engine, Gate) {
    let (started_sender, started) = channel();
    let (release, release_receiver) = channel();
    let wrap = |model| -> Box<dyn Model> {
        Box::new(GatedModel {
            model,
            started: started_sender,
            release: release_receiver,
            fails_on,
        })
    };
    let engine = Engine::load_with(
        &golden("llama-4bit"),
        options,
        &CancelToken::default(),
        &|_| {},
        None,
        wrap,
    )
    .unwrap();
    (engine, Gate { started, release })
}

/// A request with a prompt of `len` tokens that starts with `first`.
fn request(first: u32, len: u32, max_tokens: usize) -> Request {
    Request {
        prompt: (0..len).map(|at| (first + at * 7) % 200).collect(),
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..Request::default()
    }
}

fn generated_tokens(generation: Generation) -> Result<Vec<u32>, GenerationError> {
    let mut tokens = Vec::new();
    for event in generation {
        if let Event::Token(token) = event? {
            tokens.push(token.id);
        }
    }
    Ok(tokens)
}

/// The tokens of each request when it runs alone.
fn run_alone(requests: &[Request]) -> Vec<Vec<u32>> {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    let run = |request: &Request| {
        let request = Request {
            no_prefix_cache: true,
            ..request.clone()
        };
        generated_tokens(engine.submit(request).unwrap()).unwrap()
    };
    requests.iter().map(run).collect()
}

#[test]
fn request_dropped_while_queued_is_removed_before_the_next_step() {
    let (engine, gate) = gated_engine(&options(), None);
    let _running = engine.submit(request(1, 3, 100)).unwrap();
    gate.wait_for_pass();
    let queued = engine.submit(request(2, 3, 100)).unwrap();
    assert_eq!(engine.stats().requests_waiting, 2);
    drop(queued);
    gate.release();
    assert_eq!(gate.wait_for_pass().len(), 1);
    let stats = engine.stats();
    assert_eq!((stats.requests_running, stats.requests_waiting), (1, 0));
}

#[test]
fn request_dropped_during_prefill_frees_its_blocks() {
    let options = LoadOptions {
        max_batch_tokens: 40,
        ..options()
    };
    let (engine, gate) = gated_engine(&options, None);
    let prefilling = engine.submit(request(1, 120, 100)).unwrap();
    assert_eq!(gate.wait_for_pass().len(), 40);
    gate.release();
    assert_eq!(gate.wait_for_pass().len(), 40);
    let stats = engine.stats();
    assert_eq!((stats.requests_running, stats.requests_waiting), (1, 0));
    assert_eq!(stats.groups[0].used_blocks, 2);
    assert_eq!(stats.groups[0].unfilled_tokens, 24);
    drop(prefilling);
    gate.release();
    assert!(engine.wait_until_idle(TIMEOUT));
    let stats = engine.stats();
    assert_eq!(stats.requests_running, 0);
    assert_eq!(stats.groups[0].used_blocks, 0);
    let counters = stats.counters;
    assert_eq!((counters.prompt_tokens, counters.generated_tokens), (80, 0));
}

#[test]
fn request_dropped_during_decode_frees_its_blocks() {
    let (engine, gate) = gated_engine(&options(), None);
    let mut decoding = engine.submit(request(1, 3, 100)).unwrap();
    for pass in 0..2 {
        gate.wait_for_pass();
        gate.release();
        if pass == 0 {
            assert!(matches!(decoding.next(), Some(Ok(Event::Started(_)))));
        }
        assert!(matches!(decoding.next(), Some(Ok(Event::Token(_)))));
    }
    gate.wait_for_pass();
    drop(decoding);
    gate.release();
    assert!(engine.wait_until_idle(TIMEOUT));
    let stats = engine.stats();
    assert_eq!(stats.groups[0].used_blocks, 0);
    assert_eq!(stats.counters.steps, 3);
}

#[test]
fn queue_rejects_when_full_and_accepts_after_a_request_finishes() {
    let options = LoadOptions {
        max_queued_requests: 2,
        ..options()
    };
    let (engine, gate) = gated_engine(&options, None);
    let first = engine.submit(request(1, 3, 2)).unwrap();
    gate.wait_for_pass();
    let _waiting = [2, 3].map(|first| engine.submit(request(first, 3, 2)).unwrap());
    let full = engine.submit(request(4, 3, 2)).unwrap_err();
    assert!(
        matches!(
            full,
            RequestError::QueueFull {
                waiting: 2,
                limit: 2
            }
        ),
        "{full}"
    );
    assert!(matches!(
        engine.token_logprobs(&[1, 2]),
        Err(RequestError::QueueFull { .. })
    ));
    gate.release();
    gate.wait_for_pass();
    gate.release();
    assert_eq!(generated_tokens(first).unwrap().len(), 2);
    let _fourth = engine.submit(request(4, 3, 2)).unwrap();
    assert!(engine.submit(request(5, 3, 2)).is_err());
}

#[test]
fn draining_engine_rejects_new_requests_and_finishes_running_ones() {
    let (engine, gate) = gated_engine(&options(), None);
    let running = engine.submit(request(1, 3, 2)).unwrap();
    gate.wait_for_pass();
    engine.drain();
    assert!(engine.stats().draining);
    for rejected in [
        engine.submit(request(2, 3, 2)).err(),
        engine.logits(&[1], None).err(),
    ] {
        assert!(matches!(rejected, Some(RequestError::Draining)));
    }
    assert!(!engine.wait_until_idle(Duration::ZERO));
    drop(gate);
    assert_eq!(generated_tokens(running).unwrap().len(), 2);
    assert!(engine.wait_until_idle(TIMEOUT));
}

#[test]
fn dropped_scoring_stops_after_the_running_chunk() {
    let (engine, gate) = gated_engine(&options(), None);
    let tokens: Vec<u32> = (0..60).collect();
    let mut scoring = engine.submit_logits(&tokens, Some(10)).unwrap();
    assert_eq!(gate.wait_for_pass().len(), 10);
    assert!(scoring.wait_timeout(Duration::ZERO).is_none());
    // Waits for the first one, and never starts.
    let waiting = engine.submit_token_logprobs(&tokens).unwrap();
    drop((scoring, waiting));
    gate.release();
    let next = engine.submit(request(100, 3, 1)).unwrap();
    assert_eq!(gate.wait_for_pass(), request(100, 3, 1).prompt);
    drop(gate);
    assert_eq!(generated_tokens(next).unwrap().len(), 1);
    assert!(engine.wait_until_idle(TIMEOUT));
    assert_eq!(engine.logits(&tokens, Some(10)).unwrap().rows, 60);
}

#[test]
fn cancelled_load_returns_an_error() {
    let cancel = CancelToken::default();
    cancel.cancel();
    let loaded = Engine::load_cancellable(golden("llama-4bit"), &options(), &cancel);
    assert!(matches!(loaded.err(), Some(LoadError::Cancelled)));
}

#[test]
fn cancel_all_ends_running_and_queued_requests() {
    let (engine, gate) = gated_engine(&options(), None);
    let running = engine.submit(request(1, 3, 100)).unwrap();
    let waiting = engine.submit(request(2, 3, 100)).unwrap();
    gate.wait_for_pass();
    engine.drain();
    engine.cancel_all();
    gate.release();
    assert!(engine.wait_until_idle(TIMEOUT));
    for generation in [running, waiting] {
        assert!(matches!(
            generated_tokens(generation),
            Err(GenerationError::Cancelled)
        ));
    }
    assert_eq!(engine.stats().groups[0].used_blocks, 0);
}

#[test]
fn request_that_fails_a_step_does_not_fail_others() {
    let options = LoadOptions {
        max_sequences: 3,
        ..options()
    };
    let requests = [request(1, 9, 12), request(2, 50, 12)];
    let expected = run_alone(&requests);
    let used = |token: &u32| {
        let prompts = requests.iter().map(|request| &request.prompt);
        prompts.chain(&expected).any(|used| used.contains(token))
    };
    let broken = (0..200).find(|token| !used(token)).unwrap();
    let (engine, gate) = gated_engine(&options, Some(broken));
    let [first, second] = requests;
    let first = engine.submit(first).unwrap();
    gate.wait_for_pass();
    let broken = Request {
        prompt: vec![5, broken, 6],
        ..request(0, 1, 12)
    };
    let broken = engine.submit(broken).unwrap();
    let second = engine.submit(second).unwrap();
    gate.release();
    assert_eq!(gate.wait_for_pass().len(), 1 + 3 + 50);
    drop(gate);
    assert!(matches!(
        generated_tokens(broken),
        Err(GenerationError::Compute(_))
    ));
    let found = [first, second].map(|generation| generated_tokens(generation).unwrap());
    assert_eq!(found.to_vec(), expected);
    assert!(engine.wait_until_idle(TIMEOUT));
    assert_eq!(engine.stats().groups[0].used_blocks, 0);
}

#[test]
fn high_priority_request_preempts_and_preempted_request_resumes() {
    let urgent = |priority, first| Request {
        priority,
        ..request(first, 40, 6)
    };
    let requests = [
        urgent(Priority::Low, 1),
        urgent(Priority::Normal, 2),
        urgent(Priority::High, 3),
    ];
    let expected = run_alone(&requests);
    let (engine, gate) = gated_engine(&options(), None);
    let [low, normal, high] = requests;
    let low = engine.submit(low).unwrap();
    assert_eq!(gate.wait_for_pass()[0], 1);
    let normal = engine.submit(normal).unwrap();
    let high = engine.submit(high).unwrap();
    gate.release();
    // The request of low priority has generated a token and is preempted.
    assert_eq!(gate.wait_for_pass()[0], 3);
    assert_eq!(engine.stats().requests_waiting, 2);
    drop(gate);
    let found = [low, normal, high].map(|generation| generated_tokens(generation).unwrap());
    assert_eq!(found.to_vec(), expected);
    assert_eq!(engine.counters().preemptions, 1);
}

#[test]
fn preemption_does_not_change_completions() {
    let options = LoadOptions {
        max_sequences: 6,
        max_batch_tokens: 48,
        kv_pool_tokens: Some(256),
        ..options()
    };
    let requests: Vec<Request> = [9, 90, 33, 70, 1, 45, 31, 12, 64]
        .into_iter()
        .zip(1..)
        .map(|(len, first)| Request {
            priority: [Priority::Low, Priority::High, Priority::Normal][first as usize % 3],
            sampling: SamplingParams {
                temperature: 1.0,
                top_k: 30,
                seed: Some(first.into()),
                ..SamplingParams::default()
            },
            ..request(first, len, 70)
        })
        .collect();
    let expected = run_alone(&requests);
    let (engine, gate) = gated_engine(&options, None);
    let submit = |request: &Request| engine.submit(request.clone()).unwrap();
    let first = submit(&requests[0]);
    gate.wait_for_pass();
    let others: Vec<Generation> = requests[1..].iter().map(submit).collect();
    drop(gate);
    let found: Vec<Vec<u32>> = std::iter::once(first)
        .chain(others)
        .map(|generation| generated_tokens(generation).unwrap())
        .collect();
    assert_eq!(found, expected);
    let stats = engine.stats();
    assert!(stats.counters.preemptions > 0);
    assert_eq!(stats.groups[0].blocks, 8);
    assert_eq!(stats.groups[0].used_blocks, 0);
}

#[test]
fn stats_count_tokens_steps_and_blocks() {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    let before = engine.stats();
    assert_eq!(before.counters, super::Counters::default());
    assert_eq!(before.groups.len(), engine.memory_plan().groups.len());
    assert_eq!(before.groups[0].free_blocks, before.groups[0].blocks);
    for _ in 0..2 {
        generated_tokens(engine.submit(request(1, 70, 5)).unwrap()).unwrap();
    }
    let stats = engine.stats();
    let counters = stats.counters;
    assert_eq!(counters.prompt_tokens, 70 + 6);
    assert_eq!(counters.generated_tokens, 10);
    assert_eq!(counters.tokens, 70 + 4 + 6 + 4);
    assert_eq!(counters.steps, 10);
    assert_eq!(counters.prefix_cache_query_tokens, 140);
    assert_eq!(counters.prefix_cache_hit_tokens, 64);
    assert!(counters.step_time > counters.forward_time);
    assert!(counters.longest_step <= counters.step_time);
    assert!(counters.longest_step >= counters.step_time / counters.steps as u32);
    assert!(!counters.forward_time.is_zero());
    let group = stats.groups[0];
    assert_eq!((group.used_blocks, group.cached_blocks), (0, 2));
    assert_eq!(group.blocks, group.cached_blocks + group.free_blocks);
}
