//! The sampler of a request.

use std::hash::{BuildHasher, RandomState};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    Constraint, SamplingError, SamplingParams,
    candidates::Candidates,
    penalties::{self, Occurrences},
    softmax::{self, BlockMaxima},
};

/// A sampled token.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// Vocabulary id.
    pub token: u32,
    /// Present if [`SamplingParams::logprobs`] is set.
    pub logprob: Option<TokenLogprob>,
}

/// Log-probabilities (natural logarithm) after logit bias and penalties, and before constraint, filters and temperature, as in
/// mlx-lm. Tokens removed by a constraint or a filter have one, too.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The sampled token.
    pub token: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// The most probable tokens, most probable first. They need not include the sampled token.
    pub top: Vec<(u32, f32)>,
}

/// Samples the tokens of one request, with its own random number generator: the same seed and logits give the same tokens.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    seed: u64,
    random: ChaCha8Rng,
    occurrences: Occurrences,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler for a new request.
    ///
    /// # Errors
    /// When a parameter is out of range, see [`SamplingParams::validate`].
    pub fn new(params: SamplingParams, vocab_size: usize) -> Result<Self, SamplingError> {
        params.validate(vocab_size)?;
        // The keys of the standard library's hasher are random.
        let seed = params.seed;
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Ok(Self {
            params,
            seed,
            random: ChaCha8Rng::seed_from_u64(seed),
            occurrences: Occurrences::default(),
            candidates: Candidates::default(),
        })
    }

    /// The seed, also if the parameters did not set one.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether the token is always the first of the largest logits, and nothing else is computed from them.
    pub fn takes_largest(&self) -> bool {
        let params = &self.params;
        params.temperature == 0.0 && params.logprobs.is_none() && !penalties::any(params)
    }

    /// Samples the next token from a row of logits and modifies the row.
    ///
    /// `history` is the prompt and the tokens generated so far, `generated` only the latter.
    ///
    /// # Errors
    /// When a logit is not a number or positive infinity, or all are negative infinity.
    pub fn sample(
        &mut self,
        logits: &mut [f32],
        history: &[u32],
        generated: &[u32],
    ) -> Result<Sampled, SamplingError> {
        self.sample_constrained(None, logits, history, generated)
    }

    /// As [`sample`](Self::sample), from the tokens that `constraint` allows.
    ///
    /// # Errors
    /// As [`sample`](Self::sample), and when the constraint fails.
    pub fn sample_constrained(
        &mut self,
        constraint: Option<&mut (dyn Constraint + 'static)>,
        logits: &mut [f32],
        history: &[u32],
        generated: &[u32],
    ) -> Result<Sampled, SamplingError> {
        let Self {
            params,
            occurrences,
            ..
        } = self;
        penalties::apply(params, occurrences, logits, history, generated);
        let mut maxima = BlockMaxima::new(logits)?;
        let count = self.params.logprobs;
        let distribution = count.map(|count| self.distribution(logits, &maxima, count));
        if let Some(constraint) = constraint {
            constraint.mask(logits)?;
            maxima = BlockMaxima::new(logits)?;
        }
        let params = &self.params;
        let token = if params.temperature == 0.0 {
            maxima.token
        } else {
            // Uniform in [0, 1) with 53 bits, the precision of the mantissa.
            let uniform = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            self.candidates.sample(params, logits, &maxima, uniform)
        };
        let logprob =
            distribution.map(|distribution| distribution.into_token_logprob(logits, token));
        Ok(Sampled { token, logprob })
    }

    /// The log-probability of `token` and of the `count` most probable tokens in a row of unmodified logits.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn score(
        &mut self,
        logits: &[f32],
        token: u32,
        count: usize,
    ) -> Result<TokenLogprob, SamplingError> {
        let maxima = BlockMaxima::new(logits)?;
        let distribution = self.distribution(logits, &maxima, count);
        Ok(distribution.into_token_logprob(logits, token))
    }

    fn distribution(&mut self, logits: &[f32], maxima: &BlockMaxima, count: usize) -> Distribution {
        let mut distribution = Distribution {
            largest: maxima.largest,
            log_sum_exp: softmax::sum_exp(logits, maxima.largest).ln(),
            top: Vec::new(),
        };
        let top = self
            .candidates
            .most_probable(logits, maxima, count)
            .into_iter();
        distribution.top = top
            .map(|(token, logit)| (token, distribution.logprob(logit)))
            .collect();
        distribution
    }
}

/// The log-softmax of a row of logits.
struct Distribution {
    largest: f32,
    log_sum_exp: f64,
    top: Vec<(u32, f32)>,
}

impl Distribution {
    fn into_token_logprob(self, logits: &[f32], token: u32) -> TokenLogprob {
        TokenLogprob {
            token,
            logprob: self.logprob(logits[token as usize]),
            top: self.top,
        }
    }

    fn logprob(&self, logit: f32) -> f32 {
        // Subtracting the largest logit first avoids the loss of precision in a difference of large numbers.
        (f64::from(logit - self.largest) - self.log_sum_exp) as f32
    }
}

#[cfg(test)]
mod tests;
