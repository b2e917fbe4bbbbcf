//! Results of a generation: pieces, completions and metrics.

use pyo3::prelude::*;

/// Log-probability of a generated token and of the most likely alternatives.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct TokenLogprob {
    token: u32,
    logprob: f32,
    top: Vec<(u32, f32)>,
}

impl From<mlxm_engine::sampling::TokenLogprob> for TokenLogprob {
    fn from(value: mlxm_engine::sampling::TokenLogprob) -> Self {
        Self {
            token: value.token,
            logprob: value.logprob,
            top: value.top,
        }
    }
}

/// A piece of a streamed completion.
#[pyclass(frozen, get_all, module = "mlxm")]
pub struct Piece {
    pub text: String,
    pub token: Option<u32>,
    pub logprob: Option<TokenLogprob>,
}

#[pymethods]
impl Piece {
    fn __repr__(&self) -> String {
        let token = self
            .token
            .map_or_else(|| "None".to_owned(), |token| token.to_string());
        format!("Piece(text={:?}, token={token})", self.text)
    }
}

/// Token counts and times of a request.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct RequestMetrics {
    prompt_tokens: usize,
    cached_tokens: usize,
    generated_tokens: usize,
    time_to_first_token_seconds: f64,
    generation_seconds: f64,
    prompt_tokens_per_second: f64,
    generation_tokens_per_second: f64,
    peak_memory_bytes: u64,
}

impl From<mlxm_engine::RequestMetrics> for RequestMetrics {
    fn from(value: mlxm_engine::RequestMetrics) -> Self {
        Self {
            prompt_tokens: value.prompt_tokens,
            cached_tokens: value.cached_tokens,
            generated_tokens: value.generated_tokens,
            time_to_first_token_seconds: value.time_to_first_token.as_secs_f64(),
            generation_seconds: value.generation_time.as_secs_f64(),
            prompt_tokens_per_second: value.prompt_tokens_per_second(),
            generation_tokens_per_second: value.generation_tokens_per_second(),
            peak_memory_bytes: value.peak_memory_bytes,
        }
    }
}

#[pymethods]
impl RequestMetrics {
    fn __repr__(&self) -> String {
        format!(
            "RequestMetrics(prompt_tokens={}, generated_tokens={}, generation_tokens_per_second={:.1})",
            self.prompt_tokens, self.generated_tokens, self.generation_tokens_per_second
        )
    }
}

/// A complete generation.
#[pyclass(frozen, get_all, module = "mlxm")]
pub struct Completion {
    pub text: String,
    pub tokens: Vec<u32>,
    pub finish_reason: &'static str,
    pub stop_string: Option<String>,
    pub logprobs: Option<Vec<TokenLogprob>>,
    pub metrics: RequestMetrics,
}

#[pymethods]
impl Completion {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!(
            "Completion(text={:?}, finish_reason={:?}, tokens={})",
            self.text,
            self.finish_reason,
            self.tokens.len()
        )
    }
}
