//! Logit bias and penalties.

use std::collections::BTreeMap;

use super::SamplingParams;

/// Number of occurrences of each token in the completion, updated from step to step.
#[derive(Debug, Clone, Default)]
pub(super) struct Occurrences {
    counts: BTreeMap<u32, u32>,
    counted: usize,
}

impl Occurrences {
    fn update(&mut self, generated: &[u32]) {
        if generated.len() < self.counted {
            *self = Self::default();
        }
        for &token in &generated[self.counted..] {
            *self.counts.entry(token).or_default() += 1;
        }
        self.counted = generated.len();
    }
}

/// Whether [`apply`] can change logits.
pub(super) fn any(params: &SamplingParams) -> bool {
    !params.logit_bias.is_empty()
        || params.repetition_penalty != 1.0
        || params.presence_penalty != 0.0
        || params.frequency_penalty != 0.0
}

/// Adds the bias, then applies the repetition, presence and frequency penalties.
pub(super) fn apply(
    params: &SamplingParams,
    occurrences: &mut Occurrences,
    logits: &mut [f32],
    history: &[u32],
    generated: &[u32],
) {
    for (&token, &bias) in &params.logit_bias {
        update_logit(logits, token, |logit| logit + bias);
    }
    let repetition = params.repetition_penalty;
    if repetition != 1.0 {
        let start = history.len().saturating_sub(params.repetition_context);
        let mut recent = history[start..].to_vec();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            update_logit(logits, token, |logit| match logit {
                negative if negative < 0.0 => negative * repetition,
                positive => positive / repetition,
            });
        }
    }
    let (presence, frequency) = (params.presence_penalty, params.frequency_penalty);
    if presence != 0.0 || frequency != 0.0 {
        occurrences.update(generated);
        for (&token, &count) in &occurrences.counts {
            update_logit(logits, token, |logit| {
                logit - presence - frequency * count as f32
            });
        }
    }
}

fn update_logit(logits: &mut [f32], token: u32, update: impl FnOnce(f32) -> f32) {
    if let Some(logit) = logits.get_mut(token as usize) {
        *logit = update(*logit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalized(params: &SamplingParams, history: &[u32], generated: &[u32]) -> Vec<f32> {
        let mut logits = vec![2.0, -2.0, 4.0, 0.0];
        let mut occurrences = Occurrences::default();
        apply(params, &mut occurrences, &mut logits, history, generated);
        logits
    }

    #[test]
    fn repetition_penalty_lowers_both_signs_once() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            ..SamplingParams::default()
        };
        let logits = penalized(&params, &[0, 0, 1, 3], &[]);
        assert_eq!(logits, [1.0, -4.0, 4.0, 0.0]);
    }

    #[test]
    fn repetition_penalty_applies_to_the_last_tokens_only() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            repetition_context: 2,
            ..SamplingParams::default()
        };
        let logits = penalized(&params, &[0, 1, 2], &[]);
        assert_eq!(logits, [2.0, -4.0, 2.0, 0.0]);
    }

    #[test]
    fn presence_and_frequency_penalties_ignore_the_prompt() {
        let params = SamplingParams {
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            ..SamplingParams::default()
        };
        let logits = penalized(&params, &[3, 0, 2, 2], &[0, 2, 2]);
        assert_eq!(logits, [1.25, -2.0, 3.0, 0.0]);
    }

    #[test]
    fn bias_is_added_before_penalties() {
        let params = SamplingParams {
            logit_bias: BTreeMap::from([(1, 6.0), (3, -1.0)]),
            repetition_penalty: 2.0,
            ..SamplingParams::default()
        };
        let logits = penalized(&params, &[1, 3], &[]);
        assert_eq!(logits, [2.0, 2.0, 4.0, -2.0]);
    }

    #[test]
    fn occurrences_follow_growth_and_truncation() {
        let mut occurrences = Occurrences::default();
        occurrences.update(&[5, 6, 5]);
        occurrences.update(&[5, 6, 5, 6]);
        assert_eq!(occurrences.counts, BTreeMap::from([(5, 2), (6, 2)]));
        occurrences.update(&[5]);
        assert_eq!(occurrences.counts, BTreeMap::from([(5, 1)]));
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_ignored() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            frequency_penalty: 1.0,
            ..SamplingParams::default()
        };
        let logits = penalized(&params, &[77], &[77]);
        assert_eq!(logits, [2.0, -2.0, 4.0, 0.0]);
    }
}
