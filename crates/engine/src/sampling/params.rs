//! Sampling parameters.

use std::collections::BTreeMap;

use super::ConstraintError;

/// How the next token is sampled. The default is greedy sampling without filters and penalties.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// The logits are divided by this. 0 is greedy sampling.
    pub temperature: f32,
    /// Keeps this many of the most probable tokens. 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of most probable tokens whose probabilities add up to at least this (nucleus sampling). 1 keeps
    /// all.
    pub top_p: f32,
    /// Keeps tokens whose probability is at least this fraction of the highest probability. 0 keeps all.
    pub min_p: f32,
    /// Makes recent tokens less probable if above 1, more probable if below. 1 is off. See
    /// <https://arxiv.org/abs/1909.05858>.
    pub repetition_penalty: f32,
    /// Number of last tokens, prompt included, that `repetition_penalty` applies to. The default is 20, as in mlx-lm.
    pub repetition_context: usize,
    /// Subtracted from the logit of every token that occurs in the completion so far.
    pub presence_penalty: f32,
    /// Subtracted from the logit of a token for each of its occurrences in the completion so far.
    pub frequency_penalty: f32,
    /// Added to the logits of these token ids.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Makes sampling reproducible. Random if absent.
    pub seed: Option<u64>,
    /// Reports the log-probabilities of the sampled token and of this many most probable tokens.
    pub logprobs: Option<usize>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_context: 20,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: None,
            logprobs: None,
        }
    }
}

/// Why sampling parameters are invalid or sampling fails.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A parameter is out of range.
    #[error("{parameter} is {value}; it must be {allowed}")]
    OutOfRange {
        /// Name of the parameter, as in [`SamplingParams`].
        parameter: &'static str,
        /// The value given.
        value: String,
        /// The values that are accepted.
        allowed: String,
    },
    /// A token of `logit_bias` does not exist.
    #[error("logit_bias names token {token}; the model's token ids go from 0 to {}", .vocab_size - 1)]
    UnknownBiasToken {
        /// The id given.
        token: u32,
        /// Number of tokens in the vocabulary.
        vocab_size: usize,
    },
    /// A bias is too large.
    #[error("logit_bias of token {token} is {value}; it must be between -100 and 100")]
    BiasOutOfRange {
        /// The token.
        token: u32,
        /// The value given.
        value: f32,
    },
    /// A stop string is empty.
    #[error("a stop string is empty; it must have at least one character")]
    EmptyStop,
    /// A logit is not a number or positive infinity.
    #[error(
        "the model computed the logit {value} for token {token}; the checkpoint may be damaged, or its values overflow"
    )]
    InvalidLogit {
        /// The first such token.
        token: u32,
        /// Its logit.
        value: f32,
    },
    /// Every logit is negative infinity.
    #[error("no token is allowed at this position; loosen the constraint on the output")]
    NothingAllowed,
    /// The constraint failed.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
}

impl SamplingParams {
    /// Greedy sampling without filters and penalties.
    pub fn greedy() -> Self {
        Self::default()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the first parameter that is out of range, with its value and the allowed range.
    pub fn validate(&self, vocab_size: usize) -> Result<(), SamplingError> {
        let temperature = self.temperature;
        require(
            temperature.is_finite() && temperature >= 0.0,
            "temperature",
            temperature,
            "a number of at least 0",
        )?;
        require(
            self.top_p > 0.0 && self.top_p <= 1.0,
            "top_p",
            self.top_p,
            "greater than 0 and at most 1",
        )?;
        require(
            (0.0..=1.0).contains(&self.min_p),
            "min_p",
            self.min_p,
            "between 0 and 1",
        )?;
        let repetition = self.repetition_penalty;
        require(
            repetition.is_finite() && repetition > 0.0,
            "repetition_penalty",
            repetition,
            "a number greater than 0 (1 is off)",
        )?;
        require(
            self.repetition_context > 0,
            "repetition_context",
            self.repetition_context,
            "at least 1",
        )?;
        require(
            (-2.0..=2.0).contains(&self.presence_penalty),
            "presence_penalty",
            self.presence_penalty,
            "between -2 and 2",
        )?;
        require(
            (-2.0..=2.0).contains(&self.frequency_penalty),
            "frequency_penalty",
            self.frequency_penalty,
            "between -2 and 2",
        )?;
        if let Some(logprobs) = self.logprobs {
            let allowed = format!("at most {vocab_size}, the size of the vocabulary");
            require(logprobs <= vocab_size, "logprobs", logprobs, allowed)?;
        }
        for (&token, &value) in &self.logit_bias {
            if token as usize >= vocab_size {
                return Err(SamplingError::UnknownBiasToken { token, vocab_size });
            }
            if !(-100.0..=100.0).contains(&value) {
                return Err(SamplingError::BiasOutOfRange { token, value });
            }
        }
        Ok(())
    }
}

fn require(
    holds: bool,
    parameter: &'static str,
    value: impl ToString,
    allowed: impl Into<String>,
) -> Result<(), SamplingError> {
    if holds {
        return Ok(());
    }
    Err(SamplingError::OutOfRange {
        parameter,
        value: value.to_string(),
        allowed: allowed.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut SamplingParams)) -> String {
        let mut params = SamplingParams::default();
        change(&mut params);
        match params.validate(100) {
            Ok(()) => "valid".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn default_and_limits_are_valid() {
        assert_eq!(problem(|_| ()), "valid");
        let lowest = |params: &mut SamplingParams| {
            *params = SamplingParams {
                temperature: 0.0,
                top_k: 0,
                top_p: f32::MIN_POSITIVE,
                min_p: 0.0,
                repetition_penalty: f32::MIN_POSITIVE,
                repetition_context: 1,
                presence_penalty: -2.0,
                frequency_penalty: -2.0,
                logit_bias: BTreeMap::from([(0, -100.0)]),
                seed: Some(0),
                logprobs: Some(0),
            }
        };
        assert_eq!(problem(lowest), "valid");
        let highest = |params: &mut SamplingParams| {
            *params = SamplingParams {
                temperature: 1e9,
                top_k: usize::MAX,
                top_p: 1.0,
                min_p: 1.0,
                repetition_penalty: 1e9,
                repetition_context: usize::MAX,
                presence_penalty: 2.0,
                frequency_penalty: 2.0,
                logit_bias: BTreeMap::from([(99, 100.0)]),
                seed: Some(u64::MAX),
                logprobs: Some(100),
            }
        };
        assert_eq!(problem(highest), "valid");
    }

    #[test]
    fn error_names_parameter_value_and_range() {
        insta::assert_snapshot!(
            problem(|params| params.top_p = 1.5),
            @"top_p is 1.5; it must be greater than 0 and at most 1"
        );
        insta::assert_snapshot!(
            problem(|params| params.repetition_context = 0),
            @"repetition_context is 0; it must be at least 1"
        );
        insta::assert_snapshot!(
            problem(|params| params.logprobs = Some(101)),
            @"logprobs is 101; it must be at most 100, the size of the vocabulary"
        );
        insta::assert_snapshot!(
            problem(|params| params.logit_bias = BTreeMap::from([(100, 1.0)])),
            @"logit_bias names token 100; the model's token ids go from 0 to 99"
        );
        insta::assert_snapshot!(
            problem(|params| params.logit_bias = BTreeMap::from([(7, f32::NAN)])),
            @"logit_bias of token 7 is NaN; it must be between -100 and 100"
        );
    }

    #[test]
    fn validate_rejects_values_out_of_range() {
        type Field = (&'static str, fn(&mut SamplingParams) -> &mut f32);
        let fields: [(Field, &[f32]); 6] = [
            (("temperature", |params| &mut params.temperature), &[-0.1]),
            (("top_p", |params| &mut params.top_p), &[0.0, -1.0, 1.01]),
            (("min_p", |params| &mut params.min_p), &[-0.1, 1.1]),
            (
                ("repetition_penalty", |params| {
                    &mut params.repetition_penalty
                }),
                &[0.0, -1.0],
            ),
            (
                ("presence_penalty", |params| &mut params.presence_penalty),
                &[-2.1, 2.1],
            ),
            (
                ("frequency_penalty", |params| &mut params.frequency_penalty),
                &[-2.1, 2.1],
            ),
        ];
        for ((name, field), values) in fields {
            let not_finite = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            for &value in values.iter().chain(&not_finite) {
                let message = problem(|params| *field(params) = value);
                let start = format!("{name} is {value}; it must be ");
                assert!(message.starts_with(&start), "{message}");
            }
        }
    }
}
