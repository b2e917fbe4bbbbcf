//! Answers that have to have a form, through the public handle.

use crate::support::{answer, collect, golden, options, prompt};
use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError, SamplingParams};
use mlxm_engine::{Engine, Event, FinishReason, GenerationError, LoadOptions, Request, StopCause};

/// One of a few tokens at each place, then the end; or a failure where nothing is left to choose.
struct Script {
    choices: Vec<Vec<u32>>,
    at: usize,
}

impl Script {
    fn boxed(choices: &[&[u32]]) -> Box<dyn Constraint> {
        let choices = choices.iter().map(|tokens| tokens.to_vec()).collect();
        Box::new(Self { choices, at: 0 })
    }
}

impl Constraint for Script {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let allowed = &self.choices[self.at];
        if allowed.is_empty() {
            return Err(ConstraintError("nothing is left".into()));
        }
        for (logit, token) in logits.iter_mut().zip(0..) {
            if !allowed.contains(&token) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError> {
        assert!(self.choices[self.at].contains(&token));
        self.at += 1;
        Ok(if self.at == self.choices.len() {
            Acceptance::Terminated
        } else {
            Acceptance::Continue
        })
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self {
            choices: self.choices.clone(),
            at: self.at,
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
    let answer = answer(&engine, request);
    assert_eq!(
        answer.finished.reason,
        FinishReason::Stop(StopCause::ConstraintComplete)
    );
    assert_eq!(answer.finished.reason.as_str(), "stop");
    assert!(matches!(answer.tokens[..], [7, 30 | 31, 8]));
    assert_eq!(
        answer.text,
        engine.tokenizer().decode(&answer.tokens, true),
        "nothing may stay behind"
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
    let answer = answer(&engine, request);
    assert_eq!(answer.tokens, [7]);
    assert_eq!(
        answer.finished.reason,
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
    let answer = answer(&engine, request);
    assert_eq!(answer.tokens, [7, 8]);
    assert_eq!(answer.finished.reason.as_str(), "length");
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
    let token = |request| match engine.submit(request).unwrap().next() {
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
    let alone = answer(&engine, first.clone());
    let crowd: Vec<_> = (1..9)
        .map(|seed| {
            let copy = Request {
                sampling: request(seed).sampling,
                ..first.clone()
            };
            engine.submit(copy).unwrap()
        })
        .collect();
    let crowd: Vec<_> = crowd.into_iter().map(collect).collect();
    assert_eq!(crowd[0].tokens, alone.tokens);
    for answer in &crowd {
        assert_eq!(
            answer.finished.reason,
            FinishReason::Stop(StopCause::ConstraintComplete)
        );
        assert_eq!(answer.tokens.len(), 4);
        assert!(answer.tokens.iter().all(|token| choices.contains(token)));
    }
    assert!(crowd.iter().any(|answer| answer.tokens != alone.tokens));
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
    let alone = answer(&engine, other.clone());
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
                Ok(Event::Token(_)),
                Ok(Event::Token(_)),
                Err(GenerationError::Constraint(_))
            ]
        ),
        "{events:?}"
    );
    assert_eq!(together.tokens, alone.tokens);
}
