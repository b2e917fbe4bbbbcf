//! Number of dispatches of a forward pass.

use crate::support::{all_golden, complete, golden, options, prompt};
use mlxm_engine::{ActivationDtype, Engine, LoadOptions, Request};

/// Dispatches per forward pass, and the number of layers.
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
    complete(&engine, request);
    let counters = engine.counters();
    // The first step computes the whole prompt and samples the first token.
    assert_eq!((counters.steps, counters.tokens), (6, 45));
    assert_eq!(counters.dispatches % counters.steps, 0);
    (
        counters.dispatches / counters.steps,
        engine.info().layers as u64,
    )
}

#[test]
fn llama_layer_takes_six_dispatches() {
    for activation_dtype in [ActivationDtype::Int8, ActivationDtype::F32] {
        let (dispatches, layers) = per_step(&golden("llama-4bit"), activation_dtype);
        // The other five are embeddings, RoPE table, final norm, gathered rows and logits.
        assert_eq!(dispatches, 6 * layers + 5);
    }
}

#[test]
fn dense_layers_take_at_most_eight_dispatches() {
    for path in all_golden() {
        let (dispatches, layers) = per_step(&path, ActivationDtype::default());
        // Some models scale their embeddings, softcap their logits, or use two kinds of RoPE.
        assert!(
            dispatches <= 8 * layers + 8,
            "{}: {dispatches} for {layers} layers",
            path.display()
        );
    }
}
