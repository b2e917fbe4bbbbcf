//! Filters the vocabulary by `top_k`, `top_p` and `min_p` without sorting all of it.

use std::cmp::Ordering;

use super::{
    SamplingParams,
    softmax::{self, BlockMaxima, exp, sum_exp},
};

/// Candidates sorted first when looking for the end of the top-p set. The number doubles until the end is found.
const FIRST_SORTED: usize = 256;

/// Candidates collected in addition to `top_k` before the least probable ones are removed.
const PRUNE_SLACK: usize = 2048;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
}

/// Most probable first; of two equal logits, the lower id first.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature of a comparison function"
)]
fn by_rank(a: &Candidate, b: &Candidate) -> Ordering {
    let by_logit = b.logit.partial_cmp(&a.logit);
    by_logit
        .unwrap_or(Ordering::Equal)
        .then(a.token.cmp(&b.token))
}

/// The candidates of a step. The memory is reused for the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Filters the tokens and samples one of them at the temperature of `params`, with `uniform` in `[0, 1)`. `maxima` are the
    /// block maxima of `logits`.
    pub(super) fn sample(
        &mut self,
        params: &SamplingParams,
        logits: &[f32],
        maxima: &BlockMaxima,
        uniform: f64,
    ) -> u32 {
        let largest = maxima.largest;
        if params.top_k == 0 && params.top_p >= 1.0 && params.min_p == 0.0 {
            return softmax::sample_categorical(logits, largest, params.temperature, uniform);
        }
        self.filter(params, logits, maxima);
        self.sample_categorical(largest, params.temperature, uniform)
    }

    /// Collects the tokens that `top_p`, `min_p` and `top_k` keep, at least one.
    fn filter(&mut self, params: &SamplingParams, logits: &[f32], maxima: &BlockMaxima) {
        let largest = maxima.largest;
        let mut min_logit = largest + params.min_p.ln();
        let mut nucleus = None;
        if params.top_p < 1.0 {
            let total = sum_exp(logits, largest);
            let top_p = f64::from(params.top_p);
            nucleus = Some(top_p * total);
            // All tokens with a probability below `(1 - top_p) / vocab_size` together have less than `1 - top_p`, so none of
            // them is needed to reach `top_p`. The margin is for rounding.
            let negligible = (1.0 - top_p) * total / logits.len() as f64;
            min_logit = min_logit.max(largest + negligible.ln() as f32 - 0.01);
        }
        if params.top_k > 0 {
            self.collect_top_k(logits, maxima, min_logit, params.top_k);
        } else {
            self.collect(logits, maxima, min_logit);
        }
        if let Some(nucleus) = nucleus {
            self.truncate_to_nucleus(nucleus, largest);
        }
    }

    /// The `count` most probable tokens with their logits, most probable first.
    pub(super) fn most_probable(
        &mut self,
        logits: &[f32],
        maxima: &BlockMaxima,
        count: usize,
    ) -> Vec<(u32, f32)> {
        self.collect_top_k(logits, maxima, f32::NEG_INFINITY, count);
        let pairs = self.0.iter();
        pairs
            .map(|candidate| (candidate.token, candidate.logit))
            .collect()
    }

    /// Samples a candidate at this temperature, with `uniform` in `[0, 1)`.
    fn sample_categorical(&mut self, largest: f32, temperature: f32, uniform: f64) -> u32 {
        let mut total = 0.0;
        for candidate in &mut self.0 {
            // The logits are not needed any more, so their exponentials overwrite them.
            candidate.logit = exp((candidate.logit - largest) / temperature);
            total += f64::from(candidate.logit);
        }
        let target = uniform * total;
        let mut sum = 0.0;
        let mut sampled = 0;
        for candidate in self.0.iter().filter(|candidate| candidate.logit > 0.0) {
            sampled = candidate.token;
            sum += f64::from(candidate.logit);
            if sum > target {
                break;
            }
        }
        sampled
    }

    fn collect(&mut self, logits: &[f32], maxima: &BlockMaxima, min_logit: f32) {
        self.0.clear();
        maxima.visit_at_least(logits, min_logit, |token, logit, min_logit| {
            self.0.push(Candidate { token, logit });
            min_logit
        });
    }

    /// Collects the `count` most probable tokens among those with at least `min_logit`, most probable first.
    fn collect_top_k(
        &mut self,
        logits: &[f32],
        maxima: &BlockMaxima,
        min_logit: f32,
        count: usize,
    ) {
        self.0.clear();
        let min_logit = min_logit.max(maxima.top_k_lower_bound(count));
        maxima.visit_at_least(logits, min_logit, |token, logit, min_logit| {
            self.0.push(Candidate { token, logit });
            if self.0.len() < count.saturating_add(PRUNE_SLACK) {
                return min_logit;
            }
            self.truncate_to_top_k(count);
            // Later tokens with an equal logit have a higher id; pruning removes them.
            self.0.last().map_or(min_logit, |last| last.logit)
        });
        self.truncate_to_top_k(count);
        self.0.sort_unstable_by(by_rank);
    }

    /// Keeps the `count` most probable candidates, the least probable of them in last place.
    fn truncate_to_top_k(&mut self, count: usize) {
        if count < self.0.len() {
            self.0
                .select_nth_unstable_by(count.saturating_sub(1), by_rank);
            self.0.truncate(count);
        }
    }

    /// Keeps the fewest most probable candidates whose `exp(logit - largest)` add up to at least `target`, most probable first.
    fn truncate_to_nucleus(&mut self, target: f64, largest: f32) {
        let mut sum = 0.0;
        let mut start = 0;
        while start < self.0.len() {
            let rest = &mut self.0[start..];
            let count = FIRST_SORTED.max(start).min(rest.len());
            if count < rest.len() {
                rest.select_nth_unstable_by(count, by_rank);
            }
            rest[..count].sort_unstable_by(by_rank);
            for (at, candidate) in rest[..count].iter().enumerate() {
                sum += f64::from(exp(candidate.logit - largest));
                if sum >= target {
                    self.0.truncate(start + at + 1);
                    return;
                }
            }
            start += count;
        }
    }

    #[cfg(test)]
    pub(super) fn tokens(&self) -> Vec<u32> {
        self.0.iter().map(|candidate| candidate.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reference implementation of the filters on the sorted vocabulary.
    fn reference(params: &SamplingParams, logits: &[f32], slack: f64) -> Vec<u32> {
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let total = sum_exp(logits, largest);
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|&a, &b| {
            let (x, y) = (logits[a as usize], logits[b as usize]);
            y.partial_cmp(&x).unwrap().then(a.cmp(&b))
        });
        let mut above = 0.0;
        let kept = order.iter().enumerate().take_while(|&(rank, &token)| {
            let weight = f64::from((logits[token as usize] - largest).exp());
            let inside = params.top_p >= 1.0 || above < f64::from(params.top_p) * total + slack;
            above += weight;
            let fraction = logits[token as usize] >= largest + params.min_p.ln();
            let first = params.top_k == 0 || rank < params.top_k;
            inside && fraction && first
        });
        kept.map(|(_, &token)| token).collect()
    }

    fn logits() -> impl Strategy<Value = Vec<f32>> {
        prop_oneof![
            prop::collection::vec(-20.0..20.0f32, 1..900),
            // Many ties, and a flat tail longer than one sorted part.
            prop::collection::vec((-3..3i8).prop_map(f32::from), 1..900),
            prop::collection::vec(-0.01..0.01f32, 300..900),
            // More than are collected before pruning.
            prop::collection::vec(-5.0..5.0f32, 4000..9000),
            prop::collection::vec((-3..3i8).prop_map(f32::from), 4000..9000),
        ]
    }

    proptest! {
        #[test]
        fn filters_match_the_reference(
            logits in logits(),
            top_k in prop_oneof![Just(0), 1..1000usize],
            top_p in prop_oneof![Just(1.0), 0.01..1.0f32, 0.99..1.0f32],
            min_p in prop_oneof![Just(0.0), 0.0..=1.0f32],
        ) {
            let params = SamplingParams { top_k, top_p, min_p, ..SamplingParams::default() };
            let mut candidates = Candidates::default();
            candidates.filter(&params, &logits, &BlockMaxima::new(&logits).unwrap());
            let mut tokens = candidates.tokens();
            // Rounding may decide whether the last token is needed, so the set lies between those of a slightly smaller and
            // a slightly larger target.
            let fewest = reference(&params, &logits, -1e-6 * logits.len() as f64);
            let most = reference(&params, &logits, 1e-6 * logits.len() as f64);
            prop_assert!(!tokens.is_empty());
            if top_k > 0 || top_p < 1.0 {
                prop_assert!(most.starts_with(&tokens));
                prop_assert!(tokens.starts_with(&fewest));
            } else {
                let mut expected = most;
                expected.sort_unstable();
                tokens.sort_unstable();
                prop_assert_eq!(tokens, expected);
            }
        }

        #[test]
        fn most_probable_matches_the_reference(logits in logits(), count in 0..1000usize) {
            let mut candidates = Candidates::default();
            let found = candidates.most_probable(&logits, &BlockMaxima::new(&logits).unwrap(), count);
            let params = SamplingParams { top_k: count, ..SamplingParams::default() };
            let mut expected = reference(&params, &logits, 0.0);
            expected.truncate(count);
            let tokens: Vec<u32> = found.iter().map(|&(token, _)| token).collect();
            prop_assert_eq!(tokens, expected);
            for (token, logit) in found {
                prop_assert_eq!(logit, logits[token as usize]);
            }
        }

        #[test]
        fn sample_categorical_inverts_the_cumulative_distribution(
            logits in prop::collection::vec(-5.0..5.0f32, 1..20),
            temperature in 0.1..3.0f32,
            uniform in 0.0..1.0f64,
        ) {
            let largest = logits.iter().copied().fold(f32::MIN, f32::max);
            let mut candidates = Candidates::default();
            candidates.filter(&SamplingParams::default(), &logits, &BlockMaxima::new(&logits).unwrap());
            let sampled = candidates.sample_categorical(largest, temperature, uniform) as usize;
            let weights = logits.iter().map(|&logit| f64::from(logit / temperature).exp());
            let weights: Vec<f64> = weights.collect();
            let total: f64 = weights.iter().sum();
            let before = weights[..sampled].iter().sum::<f64>() / total;
            let after = before + weights[sampled] / total;
            prop_assert!(before - 1e-5 <= uniform && uniform <= after + 1e-5);
        }
    }

    #[test]
    fn masked_tokens_are_never_sampled() {
        let logits = [
            f32::NEG_INFINITY,
            1.0,
            f32::NEG_INFINITY,
            1.0,
            f32::NEG_INFINITY,
        ];
        let mut candidates = Candidates::default();
        let maxima = BlockMaxima::new(&logits).unwrap();
        for step in 0..100 {
            candidates.filter(&SamplingParams::default(), &logits, &maxima);
            let sampled = candidates.sample_categorical(1.0, 1.0, f64::from(step) / 100.0);
            assert_eq!(sampled, if step < 50 { 1 } else { 3 });
        }
        candidates.filter(&SamplingParams::default(), &logits, &maxima);
        assert_eq!(candidates.sample_categorical(1.0, 1.0, 1.0), 3);
    }

    #[test]
    fn tiny_temperature_is_greedy() {
        let mut candidates = Candidates::default();
        let logits = [0.0, 1.0, 0.999];
        let maxima = BlockMaxima::new(&logits).unwrap();
        candidates.filter(&SamplingParams::default(), &logits, &maxima);
        assert_eq!(
            candidates.sample_categorical(1.0, f32::MIN_POSITIVE, 0.999_999),
            1
        );
    }
}
