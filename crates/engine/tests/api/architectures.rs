//! Every architecture with random weights: results do not depend on what else is computed, nor on the cache.

use mlxm_engine::models::supported;
use mlxm_engine::{ActivationDtype, BLOCK_SIZE, Engine, LoadOptions, Request};
use mlxm_engine::{QuantMode, QuantSpec};
use tempfile::TempDir;

use crate::support::{collect, complete, options, prompt};

fn load(folder: &TempDir, activation_dtype: ActivationDtype) -> Engine {
    let options = LoadOptions {
        activation_dtype,
        max_sequences: 4,
        // Prompts are computed in parts, together with rows of other sequences.
        max_batch_tokens: 24,
        ..options()
    };
    Engine::load(folder.path(), &options).unwrap()
}

fn write(model_type: &str, bits: Option<u32>) -> TempDir {
    let folder = TempDir::new().unwrap();
    let spec = bits.map(|bits| QuantSpec {
        mode: QuantMode::Affine,
        group_size: 32,
        bits,
    });
    let config = mlxm_testmodel::config(model_type);
    mlxm_testmodel::write(folder.path(), &config, 7, &|_| spec);
    folder
}

fn requests(vocab_size: usize) -> Vec<Request> {
    let request = |seed: u64| Request {
        // The first block is the same, so that later requests find it in the prefix cache.
        prompt: [
            prompt(1, BLOCK_SIZE, vocab_size),
            prompt(seed, 5 + 9 * usize::try_from(seed).unwrap(), vocab_size),
        ]
        .concat(),
        max_tokens: Some(8),
        ignore_eos: true,
        ..Request::default()
    };
    (0..4).map(request).collect()
}

/// Tokens alone without a cache, alone with cached prefixes, and together.
fn assert_invariant(model_type: &str, bits: Option<u32>, activation_dtype: ActivationDtype) {
    let folder = write(model_type, bits);
    let engine = load(&folder, activation_dtype);
    let requests = requests(engine.info().vocab_size);
    let alone: Vec<Vec<u32>> = requests
        .iter()
        .map(|request| complete(&load(&folder, activation_dtype), request.clone()).tokens)
        .collect();
    let submitted: Vec<_> = requests
        .iter()
        .map(|request| engine.submit(request.clone()).unwrap())
        .collect();
    let together: Vec<Vec<u32>> = submitted.into_iter().map(|g| collect(g).tokens).collect();
    assert_eq!(together, alone, "{model_type}, {bits:?} bits: batched");
    let cached: Vec<Vec<u32>> = requests
        .iter()
        .map(|request| complete(&engine, request.clone()).tokens)
        .collect();
    assert_eq!(cached, alone, "{model_type}, {bits:?} bits: cached");
    let ids = &requests[2].prompt;
    let whole = engine.logits(ids, None).unwrap().values;
    for chunk in [1, 3, 7, BLOCK_SIZE - 1, BLOCK_SIZE + 1] {
        let chunked = engine.logits(ids, Some(chunk)).unwrap().values;
        let same = whole
            .iter()
            .zip(&chunked)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{model_type}, {bits:?} bits: chunks of {chunk}");
    }
}

#[test]
fn every_architecture_is_invariant_with_dense_weights() {
    for model_type in supported() {
        assert_invariant(model_type, None, ActivationDtype::F32);
    }
}

#[test]
fn every_architecture_is_invariant_with_quantized_weights() {
    for model_type in supported() {
        assert_invariant(model_type, Some(4), ActivationDtype::Int8);
    }
}
