//! Keys and values in fewer bits: what it saves and what it changes.

use crate::support::{all_golden, answer, options, prompt};
use mlxm_engine::{ActivationDtype, Engine, KvCacheDtype, LoadOptions, Request, inspect};

fn with(kv_cache_dtype: KvCacheDtype) -> LoadOptions {
    LoadOptions {
        activation_dtype: ActivationDtype::F32,
        kv_cache_dtype: Some(kv_cache_dtype),
        ..options()
    }
}

/// The smallest cosine between rows of logits of the two types.
fn least_cosine(path: &std::path::Path, kv_cache_dtype: KvCacheDtype) -> f64 {
    let logits = |kv_cache_dtype| {
        let engine = Engine::load(path, &with(kv_cache_dtype)).unwrap();
        // In chunks, so that most of what is attended to has been in the cache for long.
        let tokens = prompt(3, 100, engine.info().vocab_size);
        engine.logits(&tokens, Some(7)).unwrap()
    };
    let (exact, narrow) = (logits(KvCacheDtype::F32), logits(kv_cache_dtype));
    exact
        .values
        .chunks_exact(exact.vocab_size)
        .zip(narrow.values.chunks_exact(exact.vocab_size))
        .map(|(a, b)| {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum()
            };
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        })
        // Not `f64::min`, which would pass over a NaN.
        .fold(
            1.0,
            |least, cosine| if cosine >= least { least } else { cosine },
        )
}

#[test]
fn logits_stay_close() {
    for path in all_golden() {
        // The worst row of a random model, whose scores are far apart.
        for (kv_cache_dtype, bar) in [(KvCacheDtype::F16, 0.999_999), (KvCacheDtype::Int8, 0.995)] {
            let cosine = least_cosine(&path, kv_cache_dtype);
            assert!(
                cosine >= bar,
                "{} {kv_cache_dtype}: {cosine}",
                path.display()
            );
        }
    }
}

#[test]
fn greedy_completions_match_between_f16_and_f32_cache() {
    for path in all_golden() {
        let tokens = |kv_cache_dtype| {
            let engine = Engine::load(&path, &with(kv_cache_dtype)).unwrap();
            let request = Request {
                prompt: prompt(11, 40, engine.info().vocab_size),
                max_tokens: Some(12),
                ignore_eos: true,
                ..Request::default()
            };
            answer(&engine, request).tokens
        };
        assert_eq!(
            tokens(KvCacheDtype::F32),
            tokens(KvCacheDtype::F16),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_plan_shrinks_with_the_type() {
    for path in all_golden() {
        let plan = |kv_cache_dtype| inspect(&path, &with(kv_cache_dtype)).unwrap().1;
        let [f32, f16, int8] = KvCacheDtype::ALL.map(plan);
        assert_eq!(f32.kv_cache_dtype, KvCacheDtype::F32);
        assert_eq!(2 * f16.kv_pool_bytes, f32.kv_pool_bytes);
        assert_eq!(2 * f16.kv_bytes_per_token, f32.kv_bytes_per_token);
        // A byte, and two of scale for 32.
        assert_eq!(
            int8.kv_bytes_per_token * 32 * 4,
            f32.kv_bytes_per_token * 34
        );
        assert_eq!(
            f32.total_bytes - f16.total_bytes,
            f32.kv_pool_bytes - f16.kv_pool_bytes
        );
    }
}

#[test]
fn exact_arithmetic_keeps_f32_unless_told_otherwise() {
    let exact = LoadOptions {
        activation_dtype: ActivationDtype::F32,
        ..options()
    };
    assert_eq!(exact.kv_cache_dtype(), KvCacheDtype::F32);
    assert_eq!(
        with(KvCacheDtype::Int8).kv_cache_dtype(),
        KvCacheDtype::Int8
    );
    assert_eq!(LoadOptions::default().kv_cache_dtype(), KvCacheDtype::F16);
}
