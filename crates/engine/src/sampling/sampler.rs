//! One request's sampler.

use std::hash::{BuildHasher, RandomState};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    Constraint, SamplingError, SamplingParams,
    candidates::Candidates,
    penalties::{self, Occurrences},
    weights::{self, BlockMaxima},
};

/// A token and, if asked for, how probable it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// Vocabulary id.
    pub token: u32,
    /// Present if [`SamplingParams::logprobs`] is.
    pub logprob: Option<TokenLogprob>,
}

/// Natural logarithms of probabilities: those of the model after logit bias and penalties, before
/// constraint, filters and temperature, as in mlx-lm. So they do not depend on how boldly a request
/// samples or on the form its answer has to have, and a token that was removed still has one.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The chosen token.
    pub token: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// The most probable tokens, whether or not the chosen one is among them, most probable first.
    pub top: Vec<(u32, f32)>,
}

/// Chooses tokens for one request.
///
/// Its randomness is its own: the same seed on the same logits gives the same tokens, whatever
/// else the process does.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    seed: u64,
    random: ChaCha8Rng,
    occurrences: Occurrences,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler at the beginning of an answer.
    ///
    /// # Errors
    /// If a parameter is out of range, see [`SamplingParams::validate`].
    pub fn new(params: SamplingParams, vocab_size: usize) -> Result<Self, SamplingError> {
        params.validate(vocab_size)?;
        // The standard library's hash keys are random, which is all that is needed here.
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

    /// The seed in use, which reproduces the answer also if the request did not choose one.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chooses the next token from one row of logits, which is changed on the way.
    ///
    /// `history` is the prompt and the answer so far, `generated` the answer alone.
    ///
    /// # Errors
    /// If a logit is not a number or positive infinity, or all are negative infinity.
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
    /// As [`sample`](Self::sample), and if the constraint fails.
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
            // 53 random bits fill the mantissa: every value is below 1 and equally likely.
            let uniform = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            self.candidates.sample(params, logits, &maxima, uniform)
        };
        let logprob = distribution.map(|distribution| distribution.of(logits, token));
        Ok(Sampled { token, logprob })
    }

    /// How probable `token` is by a row of logits as the model gives them, with the `count` most probable tokens.
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
        Ok(self.distribution(logits, &maxima, count).of(logits, token))
    }

    fn distribution(&mut self, logits: &[f32], maxima: &BlockMaxima, count: usize) -> Distribution {
        let mut distribution = Distribution {
            largest: maxima.largest,
            log_sum_exp: weights::sum_exp(logits, maxima.largest).ln(),
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

/// What log-probabilities are computed from.
struct Distribution {
    largest: f32,
    log_sum_exp: f64,
    top: Vec<(u32, f32)>,
}

impl Distribution {
    /// What it says of a token.
    fn of(self, logits: &[f32], token: u32) -> TokenLogprob {
        TokenLogprob {
            token,
            logprob: self.logprob(logits[token as usize]),
            top: self.top,
        }
    }

    fn logprob(&self, logit: f32) -> f32 {
        // Subtracting the largest first keeps the precision of a difference of large numbers.
        (f64::from(logit - self.largest) - self.log_sum_exp) as f32
    }
}

#[cfg(test)]
mod tests;
