//! How an answer is chosen and when it ends, whichever protocol asked.

use std::collections::BTreeMap;

use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{Priority, Request};

use crate::error::ApiError;
use crate::state::{Limits, ServedModel};

/// The parts of a request that all protocols have. What is absent comes from the model's `generation_config.json`.
#[derive(Debug, Clone, Default)]
pub struct GenerationParams {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<usize>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub repetition_context: Option<usize>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: BTreeMap<u32, f32>,
    pub seed: Option<u64>,
    pub stop: Vec<String>,
    pub max_tokens: Option<usize>,
    /// Answers to the same prompt.
    pub answers: Option<usize>,
    /// Log-probabilities of each token and of this many others.
    pub logprobs: Option<usize>,
    /// The same for the tokens of the prompt.
    pub prompt_logprobs: Option<usize>,
    pub ignore_eos: bool,
    pub priority: Priority,
    /// Requests of another salt find nothing in the cache that this one has left there.
    pub cache_salt: u64,
}

/// Stop strings that a request may have.
const MAX_STOPS: usize = 32;

impl GenerationParams {
    /// The engine's requests, one for each answer, without their prompt.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn requests(&self, model: &ServedModel, limits: &Limits) -> Result<Vec<Request>, ApiError> {
        let answers = self.answers.unwrap_or(1);
        if answers == 0 || answers > limits.answers {
            let message = format!(
                "n is {answers}; it must be between 1 and {}",
                limits.answers
            );
            return Err(ApiError::field("n", message));
        }
        if self.max_tokens == Some(0) {
            return Err(ApiError::field(
                "max_tokens",
                "max_tokens is 0; it must be at least 1",
            ));
        }
        if self.stop.len() > MAX_STOPS {
            let message = format!(
                "there are {} stop strings; at most {MAX_STOPS} are taken",
                self.stop.len()
            );
            return Err(ApiError::field("stop", message));
        }
        let sampling = self.sampling(model.engine.default_sampling());
        sampling
            .validate(model.engine.info().vocab_size)
            .map_err(|error| ApiError::sampling(&error))?;
        let request = |answer: usize| Request {
            sampling: SamplingParams {
                // Answers differ, and each is reproducible.
                seed: sampling.seed.map(|seed| seed.wrapping_add(answer as u64)),
                ..sampling.clone()
            },
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ignore_eos: self.ignore_eos,
            priority: self.priority,
            cache_salt: self.cache_salt,
            prompt_logprobs: self.prompt_logprobs,
            ..Request::default()
        };
        Ok((0..answers).map(request).collect())
    }

    fn sampling(&self, defaults: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            repetition_penalty: self
                .repetition_penalty
                .unwrap_or(defaults.repetition_penalty),
            repetition_context: self
                .repetition_context
                .unwrap_or(defaults.repetition_context),
            presence_penalty: self.presence_penalty.unwrap_or(defaults.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(defaults.frequency_penalty),
            logit_bias: self.logit_bias.clone(),
            seed: self.seed,
            logprobs: self.logprobs,
        }
    }
}
