//! Operations on a whole row of logits: maxima, sum of exponentials, sampling.
//!
//! The loops are written for auto-vectorization and use only operations that all CPUs round identically, so the same logits and
//! seed give the same token on every machine.

#![expect(
    clippy::inline_always,
    reason = "the code must be inlined into the functions with target features"
)]

use super::SamplingError;

/// Tokens per block.
const BLOCK: usize = 128;
/// Independent accumulators per block, for vectorization.
const LANES: usize = 16;

/// Compiles a function for several instruction sets and selects one at run time. All versions do the same operations in the same
/// order, so the results are identical.
macro_rules! multiversion {
    ($(#[$document:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$document])*
        fn $name($($argument: $type),*) -> $result {
            #[inline(always)]
            fn generic($($argument: $type),*) -> $result $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $type),*) -> $result {
                    generic($($argument),*)
                }
                #[target_feature(enable = "avx512f")]
                fn avx512($($argument: $type),*) -> $result {
                    generic($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the CPU has the target feature.
                    return unsafe { avx512($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the CPU has the target feature.
                    return unsafe { avx2($($argument),*) };
                }
            }
            generic($($argument),*)
        }
    };
}

/// `e^x` for `x ≤ 0` with a relative error below 2e-7. 0 below -87, close to where f32 underflows.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // 1.5 · 2^23: adding it rounds to the nearest integer, which is then in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts. The product of `n` and the first part is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const LOWEST: f32 = -87.0;
    let inside = if x > LOWEST { x } else { LOWEST };
    let rounded = inside * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let rest = (inside - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor series of e^x for |x| ≤ ln 2 / 2, with an error below 6e-9.
    let mut tail = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        tail = factor + rest * tail;
    }
    let power = 1.0 + (rest + rest * rest * tail);
    let power_of_two = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST {
        0.0
    } else {
        power * power_of_two
    }
}

/// The largest logit of a row and of each of its blocks.
#[derive(Debug)]
pub(super) struct BlockMaxima {
    /// The most probable token; of equally probable ones, the lowest id.
    pub token: u32,
    /// Its logit.
    pub largest: f32,
    /// The largest logit of each block.
    blocks: Vec<f32>,
}

impl BlockMaxima {
    /// # Errors
    /// When a logit is not a number or positive infinity, or all are negative infinity.
    pub fn new(logits: &[f32]) -> Result<Self, SamplingError> {
        let mut blocks = vec![f32::NEG_INFINITY; logits.len().div_ceil(BLOCK)];
        if !block_maxima(logits, &mut blocks)
            && let Some(token) = logits.iter().position(|&logit| !is_valid(logit))
        {
            return Err(SamplingError::InvalidLogit {
                token: token as u32,
                value: logits[token],
            });
        }
        let largest = blocks.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if largest == f32::NEG_INFINITY {
            return Err(SamplingError::NothingAllowed);
        }
        let first = |values: &[f32]| values.iter().position(|&value| value == largest);
        let start = first(&blocks).unwrap_or_default() * BLOCK;
        let within = first(&logits[start..]).unwrap_or_default();
        Ok(Self {
            token: (start + within) as u32,
            largest,
            blocks,
        })
    }

    /// A lower bound of the `count`-th largest logit: the `count`-th largest block maximum.
    pub fn top_k_lower_bound(&self, count: usize) -> f32 {
        let mut blocks = self.blocks.clone();
        match count.checked_sub(1).filter(|&last| last < blocks.len()) {
            Some(last) => *blocks.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1,
            None => f32::NEG_INFINITY,
        }
    }

    /// Calls `visit(token, logit, min_logit)` for each token with at least `min_logit`. `visit` returns the `min_logit` for the
    /// following tokens.
    pub fn visit_at_least(
        &self,
        logits: &[f32],
        mut min_logit: f32,
        mut visit: impl FnMut(u32, f32, f32) -> f32,
    ) {
        for ((block, maximum), start) in logits
            .chunks(BLOCK)
            .zip(&self.blocks)
            .zip((0..).step_by(BLOCK))
        {
            if *maximum >= min_logit {
                for (&logit, token) in block.iter().zip(start..) {
                    if logit >= min_logit {
                        min_logit = visit(token, logit, min_logit);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn is_valid(logit: f32) -> bool {
    logit < f32::INFINITY
}

multiversion! {
    /// Computes the largest logit of each block. Returns whether no logit is NaN or positive infinity.
    fn block_maxima(logits: &[f32], maxima: &mut [f32]) -> bool {
        let mut invalid = [0u32; LANES];
        for (block, maximum) in logits.chunks(BLOCK).zip(maxima) {
            let mut lanes = [f32::NEG_INFINITY; LANES];
            for chunk in block.chunks(LANES) {
                for ((lane, invalid), &logit) in lanes.iter_mut().zip(&mut invalid).zip(chunk) {
                    *lane = if logit > *lane { logit } else { *lane };
                    *invalid |= u32::from(!is_valid(logit));
                }
            }
            *maximum = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
        }
        invalid.iter().all(|&invalid| invalid == 0)
    }
}

multiversion! {
    /// For each block, the sum of `exp((logit - largest) * inverse_temperature)`.
    fn block_sum_exp(logits: &[f32], largest: f32, inverse_temperature: f32) -> Vec<f64> {
        let mut sums = Vec::with_capacity(logits.len().div_ceil(BLOCK));
        for block in logits.chunks(BLOCK) {
            let mut lanes = [0.0f32; LANES];
            for chunk in block.chunks(LANES) {
                for (lane, &logit) in lanes.iter_mut().zip(chunk) {
                    *lane += exp((logit - largest) * inverse_temperature);
                }
            }
            sums.push(lanes.into_iter().map(f64::from).sum());
        }
        sums
    }
}

/// Sum of `exp(logit - largest)` over the vocabulary.
pub(super) fn sum_exp(logits: &[f32], largest: f32) -> f64 {
    block_sum_exp(logits, largest, 1.0).into_iter().sum()
}

/// Samples a token at this temperature, with `uniform` in `[0, 1)`.
pub(super) fn sample_categorical(
    logits: &[f32],
    largest: f32,
    temperature: f32,
    uniform: f64,
) -> u32 {
    // Must be finite: it is multiplied by 0 for the largest logit.
    let inverse_temperature = 1.0 / temperature.max(1e-30);
    let block_sum_exp = block_sum_exp(logits, largest, inverse_temperature);
    let target = uniform * block_sum_exp.iter().sum::<f64>();
    let (block, before) = search_cumulative(target, 0.0, block_sum_exp.into_iter());
    let start = block * BLOCK;
    let inside = logits[start..].iter().take(BLOCK);
    let weights = inside.map(|&logit| f64::from(exp((logit - largest) * inverse_temperature)));
    let (within, _) = search_cumulative(target, before, weights);
    (start + within) as u32
}

/// Index of the first of `weights` at which the cumulative sum, starting with `sum`, exceeds `target`, and the sum before it. If
/// rounding prevents that, the last index with a positive weight.
fn search_cumulative(
    target: f64,
    mut sum: f64,
    weights: impl Iterator<Item = f64>,
) -> (usize, f64) {
    let mut found = (0, sum);
    for (at, weight) in weights.enumerate().filter(|&(_, weight)| weight > 0.0) {
        found = (at, sum);
        sum += weight;
        if sum > target {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_is_accurate_and_exact_at_its_limits() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-87.1), 0.0);
        for step in 0..870_000 {
            let x = step as f32 * -1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2e-7, "{error} at {x}");
        }
    }

    fn logits() -> impl Strategy<Value = Vec<f32>> {
        let distinct = prop::collection::vec(-20.0..20.0f32, 1..600);
        let repeated = prop::sample::select(&[-1.0, 0.0, 2.0, f32::NEG_INFINITY][..]);
        prop_oneof![distinct, prop::collection::vec(repeated, 1..600)]
    }

    proptest! {
        #[test]
        fn block_maxima_find_the_first_largest_logit(logits in logits()) {
            let expected = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = logits.iter().position(|&logit| logit == expected).unwrap() as u32;
            let maxima = BlockMaxima::new(&logits).map(|maxima| (maxima.token, maxima.largest));
            if expected == f32::NEG_INFINITY {
                prop_assert_eq!(maxima, Err(SamplingError::NothingAllowed));
            } else {
                prop_assert_eq!(maxima, Ok((first, expected)));
            }
        }

        #[test]
        fn error_names_the_first_invalid_logit(
            mut logits in logits(),
            at in prop::collection::vec(0..600usize, 1..4),
            value in prop::sample::select(&[f32::NAN, f32::INFINITY][..]),
        ) {
            for at in &at {
                let len = logits.len();
                logits[at % len] = value;
            }
            let first = at.iter().map(|at| at % logits.len()).min().unwrap() as u32;
            let result = BlockMaxima::new(&logits);
            let named = matches!(result, Err(SamplingError::InvalidLogit { token, .. }) if token == first);
            prop_assert!(named, "{result:?}");
        }

        #[test]
        fn sample_categorical_inverts_the_cumulative_distribution(
            logits in logits(),
            temperature in 0.1..3.0f32,
            uniform in 0.0..1.0f64,
        ) {
            let Ok(BlockMaxima { largest, .. }) = BlockMaxima::new(&logits) else {
                return Ok(());
            };
            let sampled = sample_categorical(&logits, largest, temperature, uniform) as usize;
            let weights = logits.iter().map(|&logit| f64::from((logit - largest) / temperature).exp());
            let weights: Vec<f64> = weights.collect();
            let total: f64 = weights.iter().sum();
            prop_assert!((sum_exp(&logits, largest) > 0.99) && weights[sampled] > 0.0);
            let before = weights[..sampled].iter().sum::<f64>() / total;
            let after = before + weights[sampled] / total;
            prop_assert!(before - 1e-5 <= uniform && uniform <= after + 1e-5);
        }

        #[test]
        fn visit_at_least_visits_at_least_top_k_tokens(logits in logits(), count in 0..10usize) {
            let Ok(maxima) = BlockMaxima::new(&logits) else {
                return Ok(());
            };
            let bound = maxima.top_k_lower_bound(count);
            let mut visited = Vec::new();
            maxima.visit_at_least(&logits, bound, |token, logit, min_logit| {
                visited.push((token as usize, logit));
                min_logit
            });
            prop_assert!(visited.len() >= count.min(logits.len()));
            let expected = logits.iter().copied().enumerate();
            let expected: Vec<_> = expected.filter(|&(_, logit)| logit >= bound).collect();
            prop_assert_eq!(visited, expected);
        }

        #[test]
        fn sum_exp_matches_f64(logits in logits()) {
            let Ok(BlockMaxima { largest, .. }) = BlockMaxima::new(&logits) else {
                return Ok(());
            };
            let expected: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
            prop_assert!((sum_exp(&logits, largest) - expected).abs() < 1e-6 * expected);
        }
    }

    #[test]
    fn tiny_temperature_is_greedy() {
        for temperature in [1e-3, f32::MIN_POSITIVE, 1e-45] {
            for uniform in [0.0, 0.5, 0.999_999] {
                assert_eq!(
                    sample_categorical(&[0.0, 1.0, 0.9], 1.0, temperature, uniform),
                    1
                );
            }
        }
    }

    #[test]
    fn masked_tokens_are_never_sampled() {
        let mut logits = vec![f32::NEG_INFINITY; 5 * BLOCK];
        logits[BLOCK + 3] = 1.0;
        logits[3 * BLOCK] = 1.0;
        for step in 0..=100 {
            let sampled = sample_categorical(&logits, 1.0, 1.0, f64::from(step) / 100.0) as usize;
            let expected = if step < 50 { BLOCK + 3 } else { 3 * BLOCK };
            assert_eq!(sampled, expected);
        }
    }
}
