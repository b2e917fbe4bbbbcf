use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn sampler(params: &SamplingParams, vocab_size: usize) -> Sampler {
    Sampler::new(params.clone(), vocab_size).unwrap()
}

fn seeded(temperature: f32, seed: u64) -> SamplingParams {
    SamplingParams {
        temperature,
        seed: Some(seed),
        ..SamplingParams::default()
    }
}

/// Samples `count` tokens from the same logits, each without history.
fn sample_many(params: &SamplingParams, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = sampler(params, logits.len());
    let tokens = std::iter::repeat_with(|| {
        let sampled = sampler.sample(&mut logits.to_vec(), &[], &[]).unwrap();
        sampled.token
    });
    tokens.take(count).collect()
}

#[test]
fn default_is_greedy_with_the_lowest_id_first() {
    let params = SamplingParams::default();
    assert_eq!(sample_many(&params, &[1.0, 3.0, 3.0, 2.0], 1), [1]);
    assert_eq!(sample_many(&params, &[-0.0, 0.0], 1), [0]);
}

#[test]
fn samples_follow_the_distribution() {
    let weights = [0.4f32, 0.3, 0.15, 0.1, 0.04, 0.01];
    let logits = weights.map(f32::ln);
    for temperature in [0.5f32, 1.0, 2.0] {
        let count = 20_000;
        let tokens = sample_many(&seeded(temperature, 17), &logits, count);
        let scaled = weights.map(|weight| f64::from(weight.powf(1.0 / temperature)));
        let total: f64 = scaled.iter().sum();
        let chi_square: f64 = (0..6)
            .map(|token| {
                let expected = scaled[token as usize] / total * count as f64;
                let observed = tokens.iter().filter(|&&other| other == token).count();
                (observed as f64 - expected).powi(2) / expected
            })
            .sum();
        // The 99.9th percentile for five degrees of freedom.
        assert!(chi_square < 20.5, "temperature {temperature}: {chi_square}");
    }
}

#[test]
fn filters_keep_exactly_the_most_probable_tokens() {
    let logits = [0.5f32, 0.2, 0.15, 0.1, 0.05].map(f32::ln);
    let sampled = |change: fn(&mut SamplingParams)| {
        let mut params = seeded(1.5, 3);
        change(&mut params);
        let mut tokens = sample_many(&params, &logits, 3000);
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    };
    assert_eq!(sampled(|_| ()), [0, 1, 2, 3, 4]);
    assert_eq!(sampled(|params| params.top_k = 2), [0, 1]);
    assert_eq!(sampled(|params| params.top_k = 50), [0, 1, 2, 3, 4]);
    assert_eq!(sampled(|params| params.top_p = 0.5), [0]);
    assert_eq!(sampled(|params| params.top_p = 0.6), [0, 1]);
    assert_eq!(sampled(|params| params.top_p = 0.8), [0, 1, 2]);
    assert_eq!(sampled(|params| params.min_p = 0.25), [0, 1, 2]);
    assert_eq!(sampled(|params| params.min_p = 1.0), [0]);
    let strictest = |params: &mut SamplingParams| {
        (params.top_k, params.top_p, params.min_p) = (4, 0.95, 0.35);
    };
    assert_eq!(sampled(strictest), [0, 1]);
}

#[test]
fn same_seed_reproduces_and_other_seed_differs() {
    let logits: Vec<f32> = (0..50).map(|at| (at as f32).sin()).collect();
    let first = sample_many(&seeded(1.0, 1), &logits, 40);
    assert_eq!(sample_many(&seeded(1.0, 1), &logits, 40), first);
    assert_ne!(sample_many(&seeded(1.0, 2), &logits, 40), first);

    let unseeded = SamplingParams {
        seed: None,
        ..seeded(1.0, 0)
    };
    let random = sampler(&unseeded, 50).seed();
    assert_ne!(sampler(&unseeded, 50).seed(), random);
}

#[test]
fn seed_gives_the_same_tokens_in_every_build() {
    let logits: Vec<f32> = (0..1000)
        .map(|at| (at * 7919 % 1000) as f32 / 200.0)
        .collect();
    let params = SamplingParams {
        top_k: 100,
        top_p: 0.9,
        ..seeded(0.8, 42)
    };
    let expected = [581, 174, 556, 976, 704, 852];
    assert_eq!(sample_many(&params, &logits, 6), expected);
}

#[test]
fn logprobs_include_penalties_but_not_filters() {
    let params = SamplingParams {
        logprobs: Some(2),
        logit_bias: BTreeMap::from([(2, 1.0)]),
        top_k: 1,
        temperature: 5.0,
        ..SamplingParams::default()
    };
    let mut sampler = sampler(&params, 3);
    let sampled = sampler.sample(&mut [1.0, 0.0, 1.0], &[], &[]).unwrap();
    let logprob = sampled.logprob.unwrap();
    let log_sum_exp = (1f32.exp() + 0f32.exp() + 2f32.exp()).ln();
    assert_eq!(sampled.token, 2);
    assert_eq!(logprob.token, 2);
    assert!((logprob.logprob - (2.0 - log_sum_exp)).abs() < 1e-6);
    let [(first, most), (second, less)] = logprob.top[..] else {
        panic!("two were requested");
    };
    assert_eq!((first, second), (2, 0));
    assert_eq!(most, logprob.logprob);
    assert!((less - (1.0 - log_sum_exp)).abs() < 1e-6);
}

#[test]
fn invalid_logits_are_an_error() {
    for temperature in [0.0, 1.0] {
        let mut sampler = sampler(&seeded(temperature, 0), 3);
        let mut sample = |mut logits: [f32; 3]| sampler.sample(&mut logits, &[], &[]);
        assert!(matches!(
            sample([0.0, f32::NAN, f32::NAN]),
            Err(SamplingError::InvalidLogit { token: 1, .. })
        ));
        assert!(matches!(
            sample([0.0, 1.0, f32::INFINITY]),
            Err(SamplingError::InvalidLogit { token: 2, .. })
        ));
        let nothing = [f32::NEG_INFINITY; 3];
        assert_eq!(sample(nothing), Err(SamplingError::NothingAllowed));
        let one = [f32::NEG_INFINITY, -1e30, f32::NEG_INFINITY];
        assert_eq!(sample(one).unwrap().token, 1);
    }
    assert_eq!(
        sampler(&seeded(1.0, 0), 3).sample(&mut [], &[], &[]),
        Err(SamplingError::NothingAllowed)
    );
}

proptest! {
    #[test]
    fn greedy_sampling_takes_the_first_largest_logit(logits in prop::collection::vec(-1e3..1e3f32, 1..200)) {
        let token = sample_many(&SamplingParams::default(), &logits, 1)[0] as usize;
        prop_assert!(logits.iter().all(|&logit| logit <= logits[token]));
        prop_assert!(logits[..token].iter().all(|&logit| logit < logits[token]));
    }

    #[test]
    fn logprobs_sum_to_one(
        logits in prop::collection::vec(-50.0..50.0f32, 1..200),
        temperature in 0.0..3.0f32,
    ) {
        let params = SamplingParams {
            logprobs: Some(logits.len()),
            ..seeded(temperature, 9)
        };
        let sampled = sampler(&params, logits.len()).sample(&mut logits.clone(), &[], &[]).unwrap();
        let logprob = sampled.logprob.unwrap();
        let total: f64 = logprob.top.iter().map(|&(_, value)| f64::from(value).exp()).sum();
        prop_assert!((total - 1.0).abs() < 1e-4, "{total}");
        prop_assert!(logprob.top.is_sorted_by(|a, b| a.1 >= b.1));
        prop_assert!(logprob.top.contains(&(sampled.token, logprob.logprob)));
    }

    #[test]
    fn penalties_lower_the_logits_of_generated_tokens(
        logits in prop::collection::vec(-5.0..5.0f32, 4..20),
        generated in prop::collection::vec(0..4u32, 1..10),
        presence_penalty in 0.1..2.0f32,
        frequency_penalty in 0.1..2.0f32,
        repetition_penalty in 1.1..3.0f32,
    ) {
        let base = SamplingParams { logprobs: Some(logits.len()), ..SamplingParams::default() };
        for params in [
            SamplingParams { presence_penalty, ..base.clone() },
            SamplingParams { frequency_penalty, ..base.clone() },
            SamplingParams { repetition_penalty, ..base.clone() },
        ] {
            let mut changed = logits.clone();
            sampler(&params, logits.len()).sample(&mut changed, &generated, &generated).unwrap();
            for (token, (before, after)) in logits.iter().zip(&changed).enumerate() {
                if generated.contains(&(token as u32)) {
                    prop_assert!(after < before || *before == 0.0);
                } else {
                    prop_assert_eq!(after, before);
                }
            }
        }
    }
}
