//! Data types of the KV cache: size and accuracy.

use crate::support::{all_golden, complete, options, prompt};
use mlxm_engine::{ActivationDtype, Engine, KvCacheDtype, LoadOptions, Request, inspect};

fn with_cache_dtype(kv_cache_dtype: KvCacheDtype) -> LoadOptions {
    LoadOptions {
        activation_dtype: ActivationDtype::F32,
        kv_cache_dtype: Some(kv_cache_dtype),
        ..options()
    }
}

/// The smallest cosine similarity between a row of logits with this type and the same row with f32.
fn min_cosine(path: &std::path::Path, kv_cache_dtype: KvCacheDtype) -> f64 {
    let logits = |kv_cache_dtype| {
        let engine = Engine::load(path, &with_cache_dtype(kv_cache_dtype)).unwrap();
        // In chunks, so that attention reads most keys and values from the cache.
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
        // Not `f64::min`, which ignores NaN.
        .fold(1.0, |min, cosine| if cosine >= min { min } else { cosine })
}

#[test]
fn logits_are_close_to_those_with_f32_cache() {
    for path in all_golden() {
        for (kv_cache_dtype, threshold) in
            [(KvCacheDtype::F16, 0.999_999), (KvCacheDtype::Int8, 0.995)]
        {
            let cosine = min_cosine(&path, kv_cache_dtype);
            assert!(
                cosine >= threshold,
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
            let engine = Engine::load(&path, &with_cache_dtype(kv_cache_dtype)).unwrap();
            let request = Request {
                prompt: prompt(11, 40, engine.info().vocab_size),
                max_tokens: Some(12),
                ignore_eos: true,
                ..Request::default()
            };
            complete(&engine, request).tokens
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
fn memory_plan_depends_on_the_cache_dtype() {
    for path in all_golden() {
        let plan = |kv_cache_dtype| inspect(&path, &with_cache_dtype(kv_cache_dtype)).unwrap().1;
        let [f32, f16, int8] = KvCacheDtype::ALL.map(plan);
        assert_eq!(f32.kv_cache_dtype, KvCacheDtype::F32);
        assert_eq!(2 * f16.kv_pool_bytes, f32.kv_pool_bytes);
        assert_eq!(2 * f16.kv_bytes_per_token, f32.kv_bytes_per_token);
        // One byte per value, and an f16 scale for every 32 values.
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
fn cache_dtype_defaults_to_f32_with_f32_activations() {
    let f32_activations = LoadOptions {
        activation_dtype: ActivationDtype::F32,
        ..options()
    };
    assert_eq!(f32_activations.kv_cache_dtype(), KvCacheDtype::F32);
    assert_eq!(
        with_cache_dtype(KvCacheDtype::Int8).kv_cache_dtype(),
        KvCacheDtype::Int8
    );
    assert_eq!(LoadOptions::default().kv_cache_dtype(), KvCacheDtype::F16);
}
