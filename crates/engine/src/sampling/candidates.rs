//! The tokens that may be drawn, most of a large vocabulary being dropped without sorting it.

use std::cmp::Ordering;

use super::{
    SamplingParams,
    weights::{self, BlockMaxima, exp, sum_exp},
};

/// How many tokens are put in order first while looking for the end of the top-p set. Every
/// further part is as long as all before it.
const SORTED_FIRST: usize = 256;

/// How many tokens may gather beyond those wanted before the least probable are dropped.
const SPARE: usize = 2048;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
}

/// Most probable first; the lower id of two that are equal.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that sorting calls for"
)]
fn by_rank(a: &Candidate, b: &Candidate) -> Ordering {
    let by_logit = b.logit.partial_cmp(&a.logit);
    by_logit
        .unwrap_or(Ordering::Equal)
        .then(a.token.cmp(&b.token))
}

/// Scratch memory that is reused from step to step.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Draws one of the tokens that the filters leave, by probability at the temperature, with
    /// `uniform` from 0 to below 1.
    ///
    /// `maxima` are those of the logits.
    pub(super) fn sample(
        &mut self,
        params: &SamplingParams,
        logits: &[f32],
        maxima: &BlockMaxima,
        uniform: f64,
    ) -> u32 {
        let largest = maxima.largest;
        if params.top_k == 0 && params.top_p >= 1.0 && params.min_p == 0.0 {
            return weights::sample_categorical(logits, largest, params.temperature, uniform);
        }
        self.filter(params, logits, maxima);
        self.sample_categorical(largest, params.temperature, uniform)
    }

    /// Keeps what `top_p`, `min_p` and `top_k` leave of the vocabulary: at least one token.
    fn filter(&mut self, params: &SamplingParams, logits: &[f32], maxima: &BlockMaxima) {
        let largest = maxima.largest;
        let mut lowest = largest + params.min_p.ln();
        let mut nucleus = None;
        if params.top_p < 1.0 {
            let total = sum_exp(logits, largest);
            let top_p = f64::from(params.top_p);
            nucleus = Some(top_p * total);
            // Tokens below `1 - top_p` of an equal share cannot add up to `1 - top_p`, so they
            // are never needed. The margin is for rounding.
            let negligible = (1.0 - top_p) * total / logits.len() as f64;
            lowest = lowest.max(largest + negligible.ln() as f32 - 0.01);
        }
        if params.top_k > 0 {
            self.collect_first(logits, maxima, lowest, params.top_k);
        } else {
            self.collect(logits, maxima, lowest);
        }
        if let Some(nucleus) = nucleus {
            self.keep_nucleus(nucleus, largest);
        }
    }

    /// The `count` most probable tokens with their logits, in order.
    pub(super) fn most_probable(
        &mut self,
        logits: &[f32],
        maxima: &BlockMaxima,
        count: usize,
    ) -> Vec<(u32, f32)> {
        self.collect_first(logits, maxima, f32::NEG_INFINITY, count);
        let pairs = self.0.iter();
        pairs
            .map(|candidate| (candidate.token, candidate.logit))
            .collect()
    }

    /// Draws by probability at this temperature, with `uniform` from 0 to below 1.
    fn sample_categorical(&mut self, largest: f32, temperature: f32, uniform: f64) -> u32 {
        let mut total = 0.0;
        for candidate in &mut self.0 {
            // From here on the logit is not needed, and the weight takes its place.
            candidate.logit = exp((candidate.logit - largest) / temperature);
            total += f64::from(candidate.logit);
        }
        let target = uniform * total;
        let mut sum = 0.0;
        let mut drawn = 0;
        for candidate in self.0.iter().filter(|candidate| candidate.logit > 0.0) {
            drawn = candidate.token;
            sum += f64::from(candidate.logit);
            if sum > target {
                break;
            }
        }
        drawn
    }

    fn collect(&mut self, logits: &[f32], maxima: &BlockMaxima, lowest: f32) {
        self.0.clear();
        maxima.visit(logits, lowest, |token, logit, lowest| {
            self.0.push(Candidate { token, logit });
            lowest
        });
    }

    /// Collects only the `count` most probable, in order.
    fn collect_first(&mut self, logits: &[f32], maxima: &BlockMaxima, lowest: f32, count: usize) {
        self.0.clear();
        let lowest = lowest.max(maxima.reached_by(count));
        maxima.visit(logits, lowest, |token, logit, lowest| {
            self.0.push(Candidate { token, logit });
            if self.0.len() < count.saturating_add(SPARE) {
                return lowest;
            }
            self.keep_first(count);
            // An equal logit with a higher id would be dropped, but may as well pass.
            self.0.last().map_or(lowest, |last| last.logit)
        });
        self.keep_first(count);
        self.0.sort_unstable_by(by_rank);
    }

    fn keep_first(&mut self, count: usize) {
        if count < self.0.len() {
            // The least probable of those that stay comes last.
            self.0
                .select_nth_unstable_by(count.saturating_sub(1), by_rank);
            self.0.truncate(count);
        }
    }

    /// Keeps the fewest most probable whose sum_exp is at least `target`, in order.
    fn keep_nucleus(&mut self, target: f64, largest: f32) {
        let mut sum = 0.0;
        let mut start = 0;
        while start < self.0.len() {
            let rest = &mut self.0[start..];
            let count = SORTED_FIRST.max(start).min(rest.len());
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

    /// The filters as their definitions say, on the whole sorted vocabulary.
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
            // Longer than what gathers before the least probable are dropped.
            prop::collection::vec(-5.0..5.0f32, 4000..9000),
            prop::collection::vec((-3..3i8).prop_map(f32::from), 4000..9000),
        ]
    }

    proptest! {
        #[test]
        fn filters_keep_what_their_definitions_say(
            logits in logits(),
            top_k in prop_oneof![Just(0), 1..1000usize],
            top_p in prop_oneof![Just(1.0), 0.01..1.0f32, 0.99..1.0f32],
            min_p in prop_oneof![Just(0.0), 0.0..=1.0f32],
        ) {
            let params = SamplingParams { top_k, top_p, min_p, ..SamplingParams::default() };
            let mut candidates = Candidates::default();
            candidates.filter(&params, &logits, &BlockMaxima::new(&logits).unwrap());
            let mut tokens = candidates.tokens();
            // Rounding may decide whether the last token is needed, so the set lies between the
            // two that a slightly smaller and a slightly larger sum_exp would give.
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
        fn most_probable_is_sorted_and_complete(logits in logits(), count in 0..1000usize) {
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
        fn a_draw_follows_the_cumulative_distribution(
            logits in prop::collection::vec(-5.0..5.0f32, 1..20),
            temperature in 0.1..3.0f32,
            uniform in 0.0..1.0f64,
        ) {
            let largest = logits.iter().copied().fold(f32::MIN, f32::max);
            let mut candidates = Candidates::default();
            candidates.filter(&SamplingParams::default(), &logits, &BlockMaxima::new(&logits).unwrap());
            let drawn = candidates.sample_categorical(largest, temperature, uniform) as usize;
            let weights = logits.iter().map(|&logit| f64::from(logit / temperature).exp());
            let weights: Vec<f64> = weights.collect();
            let total: f64 = weights.iter().sum();
            let before = weights[..drawn].iter().sum::<f64>() / total;
            let after = before + weights[drawn] / total;
            prop_assert!(before - 1e-5 <= uniform && uniform <= after + 1e-5);
        }
    }

    #[test]
    fn forbidden_tokens_are_never_drawn() {
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
            let drawn = candidates.sample_categorical(1.0, 1.0, f64::from(step) / 100.0);
            assert_eq!(drawn, if step < 50 { 1 } else { 3 });
        }
        candidates.filter(&SamplingParams::default(), &logits, &maxima);
        assert_eq!(candidates.sample_categorical(1.0, 1.0, 1.0), 3);
    }

    #[test]
    fn a_tiny_temperature_is_greedy() {
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
