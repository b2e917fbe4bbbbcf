//! The loop of the engine step by step: a model that waits to be let go makes every moment of a step one that a test
//! can act in.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels};

use super::Engine;
use crate::error::{GenerationError, RequestError};
use crate::forward::Model;
use crate::forward::Step;
use crate::options::LoadOptions;
use crate::request::{Event, Request};
use crate::sampling::SamplingParams;
use crate::{Generation, Priority};

/// More than any step takes; waiting so long is a failure.
const LONG: Duration = Duration::from_mins(2);

/// A model whose forward passes the test lets through one by one.
struct Gated {
    model: Box<dyn Model>,
    /// Told of the tokens of every pass that begins.
    begun: Sender<Vec<u32>>,
    /// One message lets one pass through; without a sender, all pass.
    passes: Receiver<()>,
    /// A pass over this token fails.
    fails_on: Option<u32>,
}

impl Model for Gated {
    fn forward(&self, step: &mut Step<'_>) -> Result<Tensor, KernelError> {
        let tokens = step.tokens().to_vec();
        let failing = self.fails_on.is_some_and(|token| tokens.contains(&token));
        // The test may have seen enough, and then no longer listens or holds passes back.
        let _ = self.begun.send(tokens);
        let _ = self.passes.recv();
        if failing {
            let (op, found) = ("gate", "the token to fail on".into());
            return Err(KernelError::Activation { op, found });
        }
        self.model.forward(step)
    }

    fn logits(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        self.model.logits(rows, kernels)
    }
}

struct Gate {
    begun: Receiver<Vec<u32>>,
    pass: Sender<()>,
}

impl Gate {
    /// Waits until a forward pass begins; its tokens.
    fn begun(&self) -> Vec<u32> {
        self.begun.recv_timeout(LONG).unwrap()
    }

    /// Lets the pass that has begun through.
    fn pass(&self) {
        self.pass.send(()).unwrap();
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

fn gated(options: &LoadOptions, fails_on: Option<u32>) -> (Engine, Gate) {
    let (begun, begun_here) = channel();
    let (pass, passes) = channel();
    let wrap = |model| -> Box<dyn Model> {
        Box::new(Gated {
            model,
            begun,
            passes,
            fails_on,
        })
    };
    let engine = Engine::load_with(&golden("llama-4bit"), options, wrap).unwrap();
    let gate = Gate {
        begun: begun_here,
        pass,
    };
    (engine, gate)
}

/// A prompt of `len` tokens that begins with `first`.
fn request(first: u32, len: u32, max_tokens: usize) -> Request {
    Request {
        prompt: (0..len).map(|at| (first + at * 7) % 200).collect(),
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..Request::default()
    }
}

fn tokens(generation: Generation) -> Result<Vec<u32>, GenerationError> {
    let mut tokens = Vec::new();
    for event in generation {
        if let Event::Token(token) = event? {
            tokens.push(token.id);
        }
    }
    Ok(tokens)
}

/// What each request generates when it has an engine to itself.
fn alone(requests: &[Request]) -> Vec<Vec<u32>> {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    let answer = |request: &Request| {
        let request = Request {
            no_prefix_cache: true,
            ..request.clone()
        };
        tokens(engine.submit(request).unwrap()).unwrap()
    };
    requests.iter().map(answer).collect()
}

#[test]
fn request_dropped_while_queued_is_removed_before_the_next_step() {
    let (engine, gate) = gated(&options(), None);
    let _running = engine.submit(request(1, 3, 100)).unwrap();
    gate.begun();
    let queued = engine.submit(request(2, 3, 100)).unwrap();
    assert_eq!(engine.stats().requests_waiting, 2);
    drop(queued);
    gate.pass();
    assert_eq!(gate.begun().len(), 1);
    let report = engine.stats();
    assert_eq!((report.requests_running, report.requests_waiting), (1, 0));
}

#[test]
fn request_dropped_during_prefill_frees_its_blocks() {
    let options = LoadOptions {
        max_batch_tokens: 40,
        ..options()
    };
    let (engine, gate) = gated(&options, None);
    let prefilling = engine.submit(request(1, 120, 100)).unwrap();
    assert_eq!(gate.begun().len(), 40);
    gate.pass();
    assert_eq!(gate.begun().len(), 40);
    let report = engine.stats();
    assert_eq!((report.requests_running, report.requests_waiting), (1, 0));
    assert_eq!(report.groups[0].used_blocks, 2);
    assert_eq!(report.groups[0].unused_slots, 24);
    drop(prefilling);
    gate.pass();
    assert!(engine.wait_until_idle(LONG));
    let report = engine.stats();
    assert_eq!(report.requests_running, 0);
    assert_eq!(report.groups[0].used_blocks, 0);
    let counters = report.counters;
    assert_eq!((counters.prompt_tokens, counters.generated_tokens), (80, 0));
}

#[test]
fn request_dropped_during_decode_frees_its_blocks() {
    let (engine, gate) = gated(&options(), None);
    let mut decoding = engine.submit(request(1, 3, 100)).unwrap();
    for _ in 0..2 {
        gate.begun();
        gate.pass();
        assert!(matches!(decoding.next(), Some(Ok(Event::Token(_)))));
    }
    gate.begun();
    drop(decoding);
    gate.pass();
    assert!(engine.wait_until_idle(LONG));
    let report = engine.stats();
    assert_eq!(report.groups[0].used_blocks, 0);
    assert_eq!(report.counters.steps, 3);
}

#[test]
fn queue_rejects_when_full_and_accepts_after_a_request_finishes() {
    let options = LoadOptions {
        max_queued_requests: 2,
        ..options()
    };
    let (engine, gate) = gated(&options, None);
    let first = engine.submit(request(1, 3, 2)).unwrap();
    gate.begun();
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
    gate.pass();
    gate.begun();
    gate.pass();
    assert_eq!(tokens(first).unwrap().len(), 2);
    let _fourth = engine.submit(request(4, 3, 2)).unwrap();
    assert!(engine.submit(request(5, 3, 2)).is_err());
}

#[test]
fn draining_engine_rejects_new_requests_and_finishes_running_ones() {
    let (engine, gate) = gated(&options(), None);
    let running = engine.submit(request(1, 3, 2)).unwrap();
    gate.begun();
    engine.drain();
    assert!(engine.stats().draining);
    for refused in [
        engine.submit(request(2, 3, 2)).err(),
        engine.logits(&[1], None).err(),
    ] {
        assert!(matches!(refused, Some(RequestError::Draining)));
    }
    assert!(!engine.wait_until_idle(Duration::ZERO));
    drop(gate);
    assert_eq!(tokens(running).unwrap().len(), 2);
    assert!(engine.wait_until_idle(LONG));
}

#[test]
fn cancel_all_ends_running_and_queued_requests() {
    let (engine, gate) = gated(&options(), None);
    let running = engine.submit(request(1, 3, 100)).unwrap();
    let waiting = engine.submit(request(2, 3, 100)).unwrap();
    gate.begun();
    engine.drain();
    engine.cancel_all();
    gate.pass();
    assert!(engine.wait_until_idle(LONG));
    for generation in [running, waiting] {
        assert!(matches!(
            tokens(generation),
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
    let expected = alone(&requests);
    let used = |token: &u32| {
        let prompts = requests.iter().map(|request| &request.prompt);
        prompts.chain(&expected).any(|used| used.contains(token))
    };
    let broken = (0..200).find(|token| !used(token)).unwrap();
    let (engine, gate) = gated(&options, Some(broken));
    let [first, second] = requests;
    let first = engine.submit(first).unwrap();
    gate.begun();
    let broken = Request {
        prompt: vec![5, broken, 6],
        ..request(0, 1, 12)
    };
    let broken = engine.submit(broken).unwrap();
    let second = engine.submit(second).unwrap();
    gate.pass();
    assert_eq!(gate.begun().len(), 1 + 3 + 50);
    drop(gate);
    assert!(matches!(tokens(broken), Err(GenerationError::Compute(_))));
    let found = [first, second].map(|generation| tokens(generation).unwrap());
    assert_eq!(found.to_vec(), expected);
    assert!(engine.wait_until_idle(LONG));
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
    let expected = alone(&requests);
    let (engine, gate) = gated(&options(), None);
    let [low, normal, high] = requests;
    let low = engine.submit(low).unwrap();
    assert_eq!(gate.begun()[0], 1);
    let normal = engine.submit(normal).unwrap();
    let high = engine.submit(high).unwrap();
    gate.pass();
    // The low one has a token by now and gives its place away.
    assert_eq!(gate.begun()[0], 3);
    assert_eq!(engine.stats().requests_waiting, 2);
    drop(gate);
    let found = [low, normal, high].map(|generation| tokens(generation).unwrap());
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
    let expected = alone(&requests);
    let (engine, gate) = gated(&options, None);
    let submit = |request: &Request| engine.submit(request.clone()).unwrap();
    let first = submit(&requests[0]);
    gate.begun();
    let others: Vec<Generation> = requests[1..].iter().map(submit).collect();
    drop(gate);
    let found: Vec<Vec<u32>> = std::iter::once(first)
        .chain(others)
        .map(|generation| tokens(generation).unwrap())
        .collect();
    assert_eq!(found, expected);
    let report = engine.stats();
    assert!(report.counters.preemptions > 0);
    assert_eq!(report.groups[0].blocks, 8);
    assert_eq!(report.groups[0].used_blocks, 0);
}

#[test]
fn stats_count_tokens_steps_and_blocks() {
    let engine = Engine::load(golden("llama-4bit"), &options()).unwrap();
    let before = engine.stats();
    assert_eq!(before.counters, super::Counters::default());
    assert_eq!(before.groups.len(), engine.memory_plan().groups.len());
    assert_eq!(before.groups[0].free_blocks, before.groups[0].blocks);
    for _ in 0..2 {
        tokens(engine.submit(request(1, 70, 5)).unwrap()).unwrap();
    }
    let report = engine.stats();
    let counters = report.counters;
    assert_eq!(counters.prompt_tokens, 70 + 6);
    assert_eq!(counters.generated_tokens, 10);
    assert_eq!(counters.tokens, 70 + 4 + 6 + 4);
    assert_eq!(counters.steps, 10);
    assert_eq!(counters.prefix_cache_query_tokens, 140);
    assert_eq!(counters.prefix_cache_hit_tokens, 64);
    assert!(counters.step_time > counters.forward_time);
    assert!(!counters.forward_time.is_zero());
    let group = report.groups[0];
    assert_eq!((group.used_blocks, group.cached_blocks), (0, 2));
    assert_eq!(group.blocks, group.cached_blocks + group.free_blocks);
}
