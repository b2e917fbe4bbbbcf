//! Precision of the cache types.

use proptest::prelude::*;

use super::{Sequence, sequence, write};
use crate::{
    AttentionSpec, CpuOptions, Kernels, KvCache, KvCacheDtype, KvShape, Mask,
    cpu::{
        simd::{Isa, LANES, SimdLevel, multiversion},
        tests::support::{Noise, every_level},
    },
};

multiversion! {
    narrow [] [] (from: &[f32; LANES], to: &mut [u16; LANES]) = narrow_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn narrow_with<I: Isa>(from: &[f32; LANES], to: &mut [u16; LANES]) {
    // SAFETY: the CPU supports `I` by the contract of this function; both arrays have sixteen values.
    unsafe { I::store_f16(to.as_mut_ptr(), I::load(from.as_ptr())) }
}

proptest! {
    #[test]
    fn store_f16_rounds_to_nearest_and_saturates(bits: [u32; LANES], exponents: [i32; LANES]) {
        let small = std::array::from_fn(|lane| {
            // Around the smallest and the largest half-precision values.
            let sign_and_digits = bits[lane] & 0x807f_ffff;
            f32::from_bits(sign_and_digits | ((exponents[lane].rem_euclid(48) + 97) as u32) << 23)
        });
        for values in [bits.map(f32::from_bits), small] {
            for level in SimdLevel::available() {
                let mut found = [0; LANES];
                // SAFETY: the CPU supports `level`.
                unsafe { narrow(level, &values, &mut found) };
                for (value, found) in values.iter().zip(found) {
                    let found = half::f16::from_bits(found);
                    if value.is_nan() {
                        prop_assert!(found.is_nan());
                    } else {
                        let expected = half::f16::from_f32(value.clamp(-65504.0, 65504.0));
                        prop_assert_eq!(found.to_bits(), expected.to_bits(), "{:?}: {}", level, value);
                    }
                }
            }
        }
    }

    #[test]
    fn kv_cache_elements_stay_within_the_documented_error(
        key_dim in 1_usize..100, value_dim in 1_usize..100, magnitude in -20_i32..12, seed: u64,
    ) {
        for dtype in KvCacheDtype::ALL {
            let mut cache = cache(dtype, key_dim, value_dim);
            let mut noise = Noise(seed);
            let mut elements = |count| -> Vec<f32> {
                noise.floats(count).iter().map(|x| x * (f32::from(2_u8)).powi(magnitude)).collect()
            };
            let (key, value) = (elements(2 * key_dim), elements(2 * value_dim));
            write(&mut cache, 5, &key, &value);
            for head in 0..2 {
                let key = &key[head * key_dim..][..key_dim];
                let found: Vec<f32> = (0..key_dim).map(|e| cache.on_cpu("test").unwrap().key(0, head, 5, e)).collect();
                check(dtype, key, &found);
                let value = &value[head * value_dim..][..value_dim];
                let found: Vec<f32> = (0..value_dim).map(|e| cache.on_cpu("test").unwrap().value(0, head, 5, e)).collect();
                check(dtype, value, &found);
            }
        }
    }
}

fn cache(dtype: KvCacheDtype, key_dim: usize, value_dim: usize) -> KvCache {
    let kernels = Kernels::cpu(CpuOptions {
        threads: Some(1),
        ..CpuOptions::default()
    });
    let shape = KvShape {
        blocks: 1,
        block_size: 32,
        kv_heads: 2,
        key_dim,
        value_dim,
    };
    KvCache::new(&kernels, shape, dtype).unwrap()
}

fn check(dtype: KvCacheDtype, expected: &[f32], found: &[f32]) {
    for (expected, found) in expected.chunks(32).zip(found.chunks(32)) {
        let largest = expected
            .iter()
            .fold(0.0, |largest: f32, x| largest.max(x.abs()));
        for (expected, found) in expected.iter().zip(found) {
            let bar = match dtype {
                KvCacheDtype::F32 => 0.0,
                // Half of the distance between subnormal values is a bound of its own.
                KvCacheDtype::F16 => (expected.abs() / 2048.0).max(2.0_f32.powi(-25)),
                KvCacheDtype::Int8 => largest / 252.0,
            };
            let error = (expected - found).abs();
            assert!(
                error <= bar,
                "{dtype}: {found} for {expected}, off by {error}"
            );
        }
    }
}

#[test]
fn kv_cache_keeps_non_finite_values_detectable() {
    for (value, dtype, expected) in [
        (f32::INFINITY, KvCacheDtype::F16, 65504.0),
        (-1e9, KvCacheDtype::F16, -65504.0),
        (f32::NAN, KvCacheDtype::F16, f32::NAN),
        (f32::NAN, KvCacheDtype::Int8, f32::NAN),
        (f32::INFINITY, KvCacheDtype::Int8, f32::NAN),
        (f32::MAX, KvCacheDtype::Int8, f32::MAX),
    ] {
        let mut cache = cache(dtype, 64, 64);
        let mut elements = vec![1.0; 128];
        elements[70] = value;
        write(&mut cache, 0, &elements, &elements);
        for found in [
            cache.on_cpu("test").unwrap().key(0, 1, 0, 6),
            cache.on_cpu("test").unwrap().value(0, 1, 0, 6),
        ] {
            let close = (found / expected - 1.0).abs() < 0.01;
            assert!(
                close || found.is_nan() && expected.is_nan(),
                "{dtype}: {found} for {value}"
            );
        }
        assert!(!cache.on_cpu("test").unwrap().value(0, 0, 0, 6).is_nan());
    }
}

/// Normally distributed values: sums of uniform ones.
fn normal(noise: &mut Noise, count: usize) -> Vec<f32> {
    let uniform = noise.floats(12 * count);
    uniform
        .chunks_exact(12)
        .map(|x| x.iter().sum::<f32>() / 2.0)
        .collect()
}

#[test]
fn attention_error_stays_within_the_documented_bound() {
    for dim in [64, 128] {
        let spec = AttentionSpec {
            heads: 4,
            kv_heads: 2,
            head_dim: dim,
            value_dim: dim,
            scale: 1.0 / (dim as f32).sqrt(),
            softcap: None,
            window: None,
            sinks: None,
        };
        let sequences: Vec<Sequence> = KvCacheDtype::ALL
            .iter()
            .map(|dtype| {
                let mut sequence = sequence(spec.clone(), *dtype, 32, 512, 1);
                let mut noise = Noise(7);
                for position in 0..512 {
                    let slot = sequence.blocks[position / 32] as usize * 32 + position % 32;
                    let (key, value) = (normal(&mut noise, 2 * dim), normal(&mut noise, 2 * dim));
                    write(&mut sequence.cache, slot, &key, &value);
                }
                sequence.q = normal(&mut noise, 512 * 4 * dim);
                sequence
            })
            .collect();
        for cpu in every_level() {
            let run = |sequence: &Sequence| sequence.run(Some(&cpu), 256..512, Mask::Causal);
            let exact = run(&sequences[0]);
            for (sequence, bar) in sequences[1..].iter().zip([0.0005, 0.015]) {
                let found = run(sequence);
                let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
                    values.map(|x| f64::from(x).powi(2)).sum()
                };
                let error = squares(&mut found.iter().zip(&exact).map(|(a, b)| a - b));
                let error = (error / squares(&mut exact.iter().copied())).sqrt();
                let dtype = sequence.cache.dtype();
                assert!(error > 0.0 && error < bar, "{dtype}, {dim}: {error}");
            }
        }
    }
}
