//! How many operations a forward pass takes.

use crate::support::{all_golden, answer, golden, options, prompt};
use mlxm_engine::{ActivationDtype, Engine, LoadOptions, Request};

/// Operations per forward pass, all kinds of rows together.
fn per_step(path: &std::path::Path, activation_dtype: ActivationDtype) -> (u64, u64) {
    let options = LoadOptions {
        activation_dtype,
        ..options()
    };
    let engine = Engine::load(path, &options).unwrap();
    let request = Request {
        prompt: prompt(5, 40, engine.info().vocab_size),
        max_tokens: Some(6),
        ignore_eos: true,
        ..Request::default()
    };
    answer(&engine, request);
    let counters = engine.counters();
    // The prompt fits one step and gives the first token.
    assert_eq!((counters.steps, counters.tokens), (6, 45));
    assert_eq!(counters.dispatches % counters.steps, 0);
    (
        counters.dispatches / counters.steps,
        engine.info().layers as u64,
    )
}

#[test]
fn a_plain_layer_takes_six() {
    for activation_dtype in [ActivationDtype::Int8, ActivationDtype::F32] {
        let (dispatches, layers) = per_step(&golden("llama-4bit"), activation_dtype);
        // Besides the layers: embeddings, angles, final norm, the rows that are sampled, logits.
        assert_eq!(dispatches, 6 * layers + 5);
    }
}

#[test]
fn no_dense_layer_takes_more_than_eight() {
    for path in all_golden() {
        let (dispatches, layers) = per_step(&path, ActivationDtype::default());
        // Some scale their embeddings, cap their logits, or rotate in two ways.
        assert!(
            dispatches <= 8 * layers + 8,
            "{}: {dispatches} for {layers} layers",
            path.display()
        );
    }
}
