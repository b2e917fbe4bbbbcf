//! The sampling defaults of a checkpoint.

use std::fmt::Display;

use serde_json::Value;

use crate::checkpoint::CheckpointConfig;
use crate::json;
use crate::sampling::SamplingParams;

/// The temperature of transformers if sampling is on and none is stated.
const DEFAULT_TEMPERATURE: f32 = 1.0;

/// The sampling parameters of `generation_config.json`; greedy if it has none. Values that no request could have are corrected or
/// ignored, and logged.
///
/// As in transformers, `do_sample: false` is greedy whatever the temperature, and `do_sample: true` without a temperature samples
/// at 1. Without `do_sample`, a temperature is applied.
pub(super) fn default_sampling(config: &CheckpointConfig) -> SamplingParams {
    let fields = Fields { config };
    let mut sampling = SamplingParams::default();
    let penalty = fields.number("repetition_penalty", |penalty| penalty > 0.0);
    if let Some(penalty) = penalty {
        sampling.repetition_penalty = penalty;
    }
    let do_sample = fields.flag("do_sample");
    if do_sample == Some(false) {
        return sampling;
    }
    let temperature = fields.number("temperature", |temperature| temperature >= 0.0);
    let if_absent = if do_sample == Some(true) {
        DEFAULT_TEMPERATURE
    } else {
        sampling.temperature
    };
    sampling.temperature = temperature.unwrap_or(if_absent);
    // 0 keeps only the most probable token, as the smallest positive number does.
    if let Some(top_p) = fields.number("top_p", |top_p| (0.0..=1.0).contains(&top_p)) {
        sampling.top_p = top_p.max(f32::MIN_POSITIVE);
    }
    if let Some(min_p) = fields.number("min_p", |min_p| (0.0..=1.0).contains(&min_p)) {
        sampling.min_p = min_p;
    }
    // Negative numbers mean all tokens in vLLM and llama.cpp, as 0 does.
    if let Some(top_k) = fields.number("top_k", |_| true) {
        sampling.top_k = top_k as usize;
    }
    sampling
}

/// Typed access to `generation_config.json`.
struct Fields<'a> {
    config: &'a CheckpointConfig,
}

impl Fields<'_> {
    /// A finite number that satisfies `is_valid`.
    fn number(&self, key: &str, is_valid: impl Fn(f32) -> bool) -> Option<f32> {
        let value = self.present(key)?;
        let number = value.as_f64().map(|number| number as f32);
        let valid = number.filter(|number| number.is_finite() && is_valid(*number));
        if valid.is_none() {
            match json::non_finite(value) {
                Some(word) => self.log_ignored(key, word),
                None => self.log_ignored(key, value),
            }
        }
        valid
    }

    fn flag(&self, key: &str) -> Option<bool> {
        let value = self.present(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.log_ignored(key, value);
        }
        flag
    }

    fn present(&self, key: &str) -> Option<&Value> {
        let value = self.config.generation.get(key)?;
        if value.is_null() {
            tracing::debug!("generation_config.json: `{key}` is null, so its default is used");
            return None;
        }
        Some(value)
    }

    fn log_ignored(&self, key: &str, value: impl Display) {
        tracing::warn!(
            "{}: `{key}` is {value}, which is not a valid value; its default is used instead",
            self.config.folder.join("generation_config.json").display()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Map;

    use super::*;

    fn sampling(generation: &str) -> SamplingParams {
        let Ok(Value::Object(generation)) = json::from_slice(generation.as_bytes()) else {
            panic!("{generation} is no object");
        };
        default_sampling(&CheckpointConfig {
            folder: PathBuf::from("model"),
            values: Map::new(),
            generation,
            model_type: "llama".into(),
        })
    }

    #[test]
    fn do_sample_decides_whether_tokens_are_sampled() {
        for (generation, temperature) in [
            ("{}", 0.0),
            (r#"{"top_k": 64, "top_p": 0.95}"#, 0.0),
            (r#"{"temperature": 0.6}"#, 0.6),
            (r#"{"do_sample": null, "temperature": 0.6}"#, 0.6),
            (r#"{"do_sample": true}"#, 1.0),
            (r#"{"do_sample": true, "temperature": null}"#, 1.0),
            (r#"{"do_sample": true, "temperature": -1}"#, 1.0),
            (r#"{"do_sample": true, "temperature": NaN}"#, 1.0),
            (r#"{"do_sample": true, "temperature": "high"}"#, 1.0),
            (r#"{"do_sample": true, "temperature": 0.6}"#, 0.6),
            (r#"{"do_sample": true, "temperature": 0}"#, 0.0),
            (r#"{"do_sample": false}"#, 0.0),
            (
                r#"{"do_sample": false, "temperature": 0.6, "top_k": 5}"#,
                0.0,
            ),
        ] {
            assert_eq!(
                sampling(generation).temperature,
                temperature,
                "{generation}"
            );
        }
        assert_eq!(
            sampling(r#"{"do_sample": false, "temperature": 0.6, "top_k": 5, "top_p": 0.5}"#),
            SamplingParams::greedy()
        );
    }

    #[test]
    fn filters_are_read() {
        let expected = SamplingParams {
            temperature: 1.0,
            top_k: 64,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.1,
            ..SamplingParams::default()
        };
        let generation = r#"{"do_sample": true, "top_k": 64, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.1}"#;
        assert_eq!(sampling(generation), expected);
    }

    #[test]
    fn every_value_gives_valid_parameters() {
        let values = [
            "null",
            "true",
            "\"1\"",
            "[]",
            "{}",
            "-1",
            "-0.5",
            "0",
            "1e-60",
            "0.5",
            "1",
            "1.5",
            "2",
            "1e60",
            "1e400",
            "NaN",
            "Infinity",
            "-Infinity",
            "18446744073709551616",
        ];
        for key in [
            "do_sample",
            "temperature",
            "top_p",
            "min_p",
            "top_k",
            "repetition_penalty",
        ] {
            for value in values {
                let generation = format!("{{\"do_sample\": true, \"{key}\": {value}}}");
                let sampling = sampling(&generation);
                assert_eq!(sampling.validate(100), Ok(()), "{generation}");
            }
        }
    }

    #[test]
    fn values_out_of_range_are_replaced_by_defaults() {
        let generation = r#"{"do_sample": true, "top_p": 1.5, "min_p": -1, "top_k": -1, "repetition_penalty": 0}"#;
        let expected = SamplingParams {
            temperature: 1.0,
            ..SamplingParams::default()
        };
        assert_eq!(sampling(generation), expected);
    }
}
