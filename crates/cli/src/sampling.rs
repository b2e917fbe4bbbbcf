//! Sampling options of the command line.

use clap::Args;
use mlxm_engine::sampling::SamplingParams;
use serde_json::{Map, Value};

/// How tokens are chosen.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Randomness; 0 always takes the likeliest token
    #[arg(
        long,
        value_name = "T",
        visible_alias = "temperature",
        allow_negative_numbers = true
    )]
    temp: Option<f32>,

    /// Only the N likeliest tokens; 0 is no limit
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Only the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Only tokens at least this likely, relative to the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,

    /// Divide the scores of tokens that have occurred; 1 changes nothing
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

    /// Look back this many tokens for the repetition penalty, prompt included
    #[arg(long, value_name = "N")]
    repetition_context: Option<usize>,

    /// Subtract from the scores of tokens that the answer has
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,

    /// Subtract for each time that the answer has a token
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,

    /// Add to the score of a token; may be repeated
    #[arg(long, value_name = "ID=VALUE", value_parser = parse_bias)]
    logit_bias: Vec<(u32, f32)>,

    /// The same seed gives the same answer
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// In the JSON output, the log-probabilities of the N likeliest tokens at each position
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
}

fn parse_bias(text: &str) -> Result<(u32, f32), String> {
    let wrong = || format!("`{text}` is not a bias: write ID=VALUE, such as 42=-5");
    let (id, value) = text.split_once('=').ok_or_else(wrong)?;
    Ok((
        id.trim().parse().map_err(|_| wrong())?,
        value.trim().parse().map_err(|_| wrong())?,
    ))
}

impl SamplingArguments {
    /// The model's own sampling with what was given on the command line in its place.
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

    /// What was given, by the names that OpenAI's protocol and the servers that extend it use; the log-probabilities,
    /// which have different names for chats and completions, aside.
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

/// The number as it was written: 0.7 is not 0.699999988.
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
    fn numbers_are_sent_as_they_were_written() {
        for value in [0.7_f32, 1.0, 0.05, -2.5] {
            assert_eq!(decimal(value).to_string().parse(), Ok(value));
            assert!(decimal(value).to_string().len() <= 4);
        }
    }
}
