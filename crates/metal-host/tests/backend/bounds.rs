//! How far a result may be from the exact one if rounding is the only reason.
//!
//! A rounding to f32 changes a value by at most 2^-24 of it. Roundings are independent of each other, and their errors about
//! uniform: those of `n` roundings have a standard deviation of at most 2^-24 √(n / 3). Bounds are 6.9 times as much, which is
//! 2^-24 · 4 √n. By chance no result exceeds it, also on machines whose vectors have another width and add in another order.
//!
//! Functions tell how much of their bound the largest deviation of the tests is.

use mlxm_kernels::KvCacheDtype;

/// Relative to a value that is rounded `count` times.
pub fn roundings(count: usize) -> f32 {
    4.0 * (f32::EPSILON / 2.0) * (count as f32).sqrt()
}

/// For two results, each of which is within `bound` of the exact one.
pub fn of_both(bound: f32) -> f32 {
    std::f32::consts::SQRT_2 * bound
}

/// Of a sum of products, relative to the root of the sum of their squares, which is the size of a sum of products with random
/// signs. After `i` of `n` additions it has √(i / n) of that, so that their roundings are as n / 2 of the result. The values
/// of a weight are rounded up to 8 times before, among others when they are scaled and when the bias is added. 0.65.
pub fn sum(products: usize) -> f32 {
    roundings(roundings_of_sum(products))
}

fn roundings_of_sum(products: usize) -> usize {
    products / 2 + 8
}

/// Roundings of a value that is normalized with `size` others, and then rotated. After `i` of `n` additions the sum of
/// squares has i / n of its end, so that their roundings are as n / 3, and half the relative error is left by the root. 0.21.
pub fn roundings_of_norm(size: usize) -> usize {
    size / 12 + 12
}

/// Of attention, relative to the largest result of the row. A score is a sum of `key_dim` products that is rounded again when
/// the largest score is subtracted; its error is the relative error of its weight, so that roundings count `variance` times
/// if that is the variance of scores. Roundings of the score itself are relative to it: the largest scores are 4 standard
/// deviations from 0, which counts 16 times, and a usual one is 2, which counts 4 times for the `of_query` roundings of query
/// and key each. Sums over positions, at most 1024 at a time, are rounded once for each in numerator and denominator. 0.47.
pub fn attention(variance: usize, key_dim: usize, of_query: usize, positions: usize) -> f32 {
    roundings(roundings_of_attention(
        variance, key_dim, of_query, positions,
    ))
}

fn roundings_of_attention(
    variance: usize,
    key_dim: usize,
    of_query: usize,
    positions: usize,
) -> usize {
    variance * (key_dim / 2 + 2 * 16 + 8 * of_query) + positions.min(1024)
}

/// Of attention on two backends whose keys and values differ by rounding errors of f32 before they are stored: those that are
/// next to a boundary are stored as neighbours.
///
/// Relative to the element, neighbours differ by 2^-10 for halves; codes differ by 1/127 of the largest in their run. A score
/// changes by no more than that as long as scale · query · key is below 1, a weight by at most a quarter of it, and the result
/// by that times the difference of two values, at most twice the largest. 0.13 for halves; no code of the tests differs.
pub fn stored_as_neighbours(dtype: KvCacheDtype) -> f32 {
    match dtype {
        KvCacheDtype::F32 => 0.0,
        KvCacheDtype::F16 => 1.0 / 1024.0 / 2.0,
        KvCacheDtype::Int8 => 1.0 / 127.0 / 2.0,
    }
}

/// Of logits on two backends for the same reason, relative to their range. Each layer adds the result of its attention to the
/// hidden state. The largest deviation in tests is 0.8 of it for halves and 0.6 for codes.
pub fn logits_of_neighbours(dtype: KvCacheDtype, layers: usize) -> f32 {
    stored_as_neighbours(dtype) * (layers as f32).sqrt() / 6.0
}

/// Of logits of small models, relative to their range, which is about 6 standard deviations. A layer computes four products
/// of at most `width` columns one after the other, with up to four norms, and attention: queries and keys, output, gate and
/// up, down. 0.65, for gemma2.
pub fn logits(architecture: &str, layers: usize, width: usize) -> f32 {
    // Norms of these multiply by 1 + weight, which is about 2 in tests: scores are four times as large.
    let doubles = architecture.starts_with("gemma") || architecture == "plamo3";
    let variance = if doubles { 2 * 16 } else { 2 };
    let attention = roundings_of_attention(variance, 64, 0, 128);
    let of_layer = 4 * (roundings_of_sum(width) + roundings_of_norm(width)) + attention;
    roundings(layers * of_layer) / 6.0
}

/// Fails for a deviation that is larger than its bound, or not a number.
#[track_caller]
pub fn check(deviation: f32, bound: f32, what: impl FnOnce() -> String) {
    assert!(
        deviation <= bound,
        "{deviation:.1e} is more than {bound:.1e}: {}",
        what()
    );
}
