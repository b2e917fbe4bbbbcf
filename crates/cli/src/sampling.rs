//! Sampling options.

use clap::Args;
use mlxm_engine::sampling::SamplingParams;
use serde_json::{Map, Value};

/// Sampling parameters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Sampling temperature; 0 is greedy decoding
    #[arg(
        long,
        value_name = "T",
        visible_alias = "temperature",
        allow_negative_numbers = true
    )]
    temp: Option<f32>,

    /// Top-k sampling: keep the N most likely tokens; 0 disables it
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Top-p (nucleus) sampling: keep the most likely tokens with this cumulative probability; 1 disables it
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Min-p sampling: minimum probability relative to the most likely token; 0 disables it
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,

    /// Repetition penalty; 1 disables it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

    /// Number of previous tokens, including the prompt, to apply the repetition penalty to
    #[arg(long, value_name = "N")]
    repetition_context: Option<usize>,

    /// Presence penalty; 0 disables it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,

    /// Frequency penalty; 0 disables it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,

    /// Bias added to the logit of a token ID; can be repeated
    #[arg(long, value_name = "ID=VALUE", value_parser = parse_bias)]
    logit_bias: Vec<(u32, f32)>,

    /// Random seed for reproducible output
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Include the log probabilities of the N most likely tokens at each position in the JSON output
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
}

fn parse_bias(text: &str) -> Result<(u32, f32), String> {
    let wrong = || format!("`{text}` is not a valid logit bias: expected ID=VALUE, such as 42=-5");
    let (id, value) = text.split_once('=').ok_or_else(wrong)?;
    Ok((
        id.trim().parse().map_err(|_| wrong())?,
        value.trim().parse().map_err(|_| wrong())?,
    ))
}

impl SamplingArguments {
    /// The given parameters, with the model's defaults for the others.
    pub fn apply(&self, defaults: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temp.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            repetition_penalty: self
                .repetition_penalty
                .unwrap_or(defaults.repetition_penalty),
            repetition_context: self
                .repetition_context
                .unwrap_or(defaults.repetition_context),
            presence_penalty: self.presence_penalty.unwrap_or(defaults.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(defaults.frequency_penalty),
            logit_bias: defaults
                .logit_bias
                .into_iter()
                .chain(self.logit_bias.iter().copied())
                .collect(),
            seed: self.seed.or(defaults.seed),
            logprobs: self.logprobs.or(defaults.logprobs),
        }
    }

    /// The given parameters under their names in the OpenAI API and its common extensions, without `logprobs`, which
    /// differs between chat completions and completions.
    pub fn parameters(&self) -> Map<String, Value> {
        let bias = self.logit_bias.iter();
        let bias: Map<String, Value> = bias
            .map(|(id, bias)| (id.to_string(), decimal(*bias)))
            .collect();
        let given = [
            ("temperature", self.temp.map(decimal)),
            ("top_k", self.top_k.map(Value::from)),
            ("top_p", self.top_p.map(decimal)),
            ("min_p", self.min_p.map(decimal)),
            ("repetition_penalty", self.repetition_penalty.map(decimal)),
            (
                "repetition_context_size",
                self.repetition_context.map(Value::from),
            ),
            ("presence_penalty", self.presence_penalty.map(decimal)),
            ("frequency_penalty", self.frequency_penalty.map(decimal)),
            ("logit_bias", (!bias.is_empty()).then_some(bias.into())),
            ("seed", self.seed.map(Value::from)),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Shortest decimal form: 0.7, not 0.699999988.
fn decimal(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_keeps_the_shortest_form() {
        for value in [0.7_f32, 1.0, 0.05, -2.5] {
            assert_eq!(decimal(value).to_string().parse(), Ok(value));
            assert!(decimal(value).to_string().len() <= 4);
        }
    }
}
