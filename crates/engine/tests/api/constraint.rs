//! Constrained sampling.

use crate::support::{collect, complete, golden, options, prompt};
use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError, SamplingParams};
use mlxm_engine::{Engine, Event, FinishReason, GenerationError, LoadOptions, Request, StopCause};

/// Allows the listed tokens at each position, then terminates. Fails at a position without tokens.
struct Script {
    choices: Vec<Vec<u32>>,
    position: usize,
}

impl Script {
    fn boxed(choices: &[&[u32]]) -> Box<dyn Constraint> {
        let choices = choices.iter().map(|tokens| tokens.to_vec()).collect();
        Box::new(Self {
            choices,
            position: 0,
        })
    }
}

impl Constraint for Script {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let allowed = &self.choices[self.position];
        if allowed.is_empty() {
            return Err(ConstraintError("no token is allowed".into()));
        }
        for (logit, token) in logits.iter_mut().zip(0..) {
            if !allowed.contains(&token) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError> {
        assert!(self.choices[self.position].contains(&token));
        self.position += 1;
        Ok(if self.position == self.choices.len() {
            Acceptance::Terminated
        } else {
            Acceptance::Continue
        })
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self {
            choices: self.choices.clone(),
            position: self.position,
        })
    }
}

fn engine() -> Engine {
    let options = LoadOptions {
        max_sequences: 8,
        ..options()
    };
    Engine::load(golden("llama-4bit"), &options).unwrap()
}

#[test]
fn generation_finishes_when_its_constraint_terminates() {
    let engine = engine();
    let request = Request {
        prompt: prompt(1, 20, engine.info().vocab_size),
        constraint: Some(Script::boxed(&[&[7], &[30, 31], &[8]])),
        ignore_eos: true,
        ..Request::default()
    };
    let completion = complete(&engine, request);
    assert_eq!(
        completion.finished.reason,
        FinishReason::Stop(StopCause::ConstraintComplete)
    );
    assert_eq!(completion.finished.reason.as_str(), "stop");
    assert!(matches!(completion.tokens[..], [7, 30 | 31, 8]));
    assert_eq!(
        completion.text,
        engine.tokenizer().decode(&completion.tokens, true),
        "no text may be missing"
    );
}

#[test]
fn constraint_overrides_ignore_eos() {
    let engine = engine();
    let end = engine.info().eos_token_ids[0];
    let request = Request {
        prompt: prompt(1, 20, engine.info().vocab_size),
        constraint: Some(Script::boxed(&[&[7], &[end], &[9]])),
        ignore_eos: true,
        sampling: SamplingParams {
            logit_bias: [(end, 100.0)].into(),
            ..SamplingParams::default()
        },
        ..Request::default()
    };
    let completion = complete(&engine, request);
    assert_eq!(completion.tokens, [7]);
    assert_eq!(
        completion.finished.reason,
        FinishReason::Stop(StopCause::EndOfSequence(end))
    );
}

#[test]
fn constrained_generation_reports_length_at_max_tokens() {
    let engine = engine();
    let request = Request {
        prompt: prompt(1, 20, engine.info().vocab_size),
        constraint: Some(Script::boxed(&[&[7], &[8], &[9]])),
        max_tokens: Some(2),
        ..Request::default()
    };
    let completion = complete(&engine, request);
    assert_eq!(completion.tokens, [7, 8]);
    assert_eq!(completion.finished.reason.as_str(), "length");
}

#[test]
fn logit_bias_cannot_override_the_mask_and_logprobs_ignore_it() {
    let engine = engine();
    let prompt = prompt(2, 20, engine.info().vocab_size);
    let request = |logit_bias, constraint| Request {
        prompt: prompt.clone(),
        constraint,
        max_tokens: Some(1),
        ignore_eos: true,
        sampling: SamplingParams {
            logit_bias,
            logprobs: Some(3),
            ..SamplingParams::default()
        },
        ..Request::default()
    };
    let token = |request| match engine.submit(request).unwrap().nth(1) {
        Some(Ok(Event::Token(token))) => token,
        other => panic!("{other:?}"),
    };
    let free = token(request([].into(), None));
    let forbidden = free.id;
    let other = if forbidden == 7 { 8 } else { 7 };
    let bound = token(request(
        [].into(),
        Some(Script::boxed(&[&[other], &[other]])),
    ));
    assert_eq!(bound.id, other);
    let logprob = bound.logprob.unwrap();
    assert_eq!(logprob.top, free.logprob.unwrap().top);
    let mut sequence = prompt.clone();
    sequence.push(other);
    let expected = *engine.token_logprobs(&sequence).unwrap().last().unwrap();
    assert!(
        (logprob.logprob - expected).abs() < 1e-4,
        "{} and {expected}",
        logprob.logprob
    );

    let biased = token(request(
        [(forbidden, 100.0)].into(),
        Some(Script::boxed(&[&[other], &[other]])),
    ));
    assert_eq!(biased.id, other);
}

#[test]
fn cloned_requests_have_independent_constraints() {
    let engine = engine();
    let choices: Vec<u32> = (20..60).collect();
    let request = |seed| Request {
        prompt: prompt(3, 20, engine.info().vocab_size),
        constraint: Some(Script::boxed(&[&choices, &choices, &choices, &choices])),
        sampling: SamplingParams {
            temperature: 1.5,
            seed: Some(seed),
            ..SamplingParams::default()
        },
        ..Request::default()
    };
    let first = request(1);
    let alone = complete(&engine, first.clone());
    let batch: Vec<_> = (1..9)
        .map(|seed| {
            let copy = Request {
                sampling: request(seed).sampling,
                ..first.clone()
            };
            engine.submit(copy).unwrap()
        })
        .collect();
    let batch: Vec<_> = batch.into_iter().map(collect).collect();
    assert_eq!(batch[0].tokens, alone.tokens);
    for completion in &batch {
        assert_eq!(
            completion.finished.reason,
            FinishReason::Stop(StopCause::ConstraintComplete)
        );
        assert_eq!(completion.tokens.len(), 4);
        assert!(
            completion
                .tokens
                .iter()
                .all(|token| choices.contains(token))
        );
    }
    assert!(
        batch
            .iter()
            .any(|completion| completion.tokens != alone.tokens)
    );
}

#[test]
fn failing_constraint_does_not_fail_others() {
    let engine = engine();
    let other = Request {
        prompt: prompt(4, 20, engine.info().vocab_size),
        max_tokens: Some(16),
        ignore_eos: true,
        ..Request::default()
    };
    let alone = complete(&engine, other.clone());
    let failing = engine
        .submit(Request {
            prompt: prompt(5, 20, engine.info().vocab_size),
            constraint: Some(Script::boxed(&[&[7], &[8], &[]])),
            ..Request::default()
        })
        .unwrap();
    let together = collect(engine.submit(other).unwrap());
    let events: Vec<_> = failing.collect();
    assert!(
        matches!(
            events[..],
            [
                Ok(Event::Started(_)),
                Ok(Event::Token(_)),
                Ok(Event::Token(_)),
                Err(GenerationError::Constraint(_))
            ]
        ),
        "{events:?}"
    );
    assert_eq!(together.tokens, alone.tokens);
}
