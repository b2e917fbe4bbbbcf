//! The rows of the result table and their workloads.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::{Serialize, Serializer};
use std::fmt;

/// The prompt of the row `load`.
pub const PROMPT: &str = "The capital of France is";

/// Context length in the row `load`.
pub const LOAD_CONTEXT: usize = 512;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    Decode,
    Prefill,
    Batch4,
    Batch16,
    Load,
    Memory,
}

/// Batch size and lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    pub sequences: usize,
    /// Tokens of each prompt; 0 where generation starts in an empty context.
    pub prompt_tokens: usize,
    /// Tokens each sequence generates; 0 where only the prompt is timed.
    pub generated_tokens: usize,
}

impl Row {
    pub const ALL: [Self; 6] = [
        Self::Decode,
        Self::Prefill,
        Self::Batch4,
        Self::Batch16,
        Self::Load,
        Self::Memory,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Prefill => "prefill",
            Self::Batch4 => "batch4",
            Self::Batch16 => "batch16",
            Self::Load => "load",
            Self::Memory => "memory",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Decode => "128 tokens of one sequence, from an empty context",
            Self::Prefill => "a prompt of 512 tokens",
            Self::Batch4 => "a batch of 4 sequences, 64 tokens each after prompts of 128",
            Self::Batch16 => "a batch of 16 sequences, 64 tokens each after prompts of 128",
            Self::Memory => {
                "peak memory of 128 tokens after a prompt of 512, files not memory-mapped if the engine has the option"
            }
            Self::Load => {
                "wall time of a process that loads the model, generates one token and exits; files in the page cache"
            }
        }
    }

    pub fn workload(self) -> Workload {
        let (sequences, prompt_tokens, generated_tokens) = match self {
            Self::Decode => (1, 0, 128),
            Self::Prefill => (1, 512, 0),
            Self::Batch4 => (4, 128, 64),
            Self::Batch16 => (16, 128, 64),
            Self::Load => (1, 5, 1),
            Self::Memory => (1, 512, 128),
        };
        Workload {
            sequences,
            prompt_tokens,
            generated_tokens,
        }
    }

    /// Tokens to generate with an engine that counts the first token as part of the prompt, so that the same number of
    /// steps is timed with all engines.
    pub fn generated_with_first(self) -> usize {
        let generated = self.workload().generated_tokens;
        match self {
            Self::Load | Self::Memory => generated,
            _ => generated + 1,
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Self::Load => Unit::Seconds,
            Self::Memory => Unit::Bytes,
            _ => Unit::TokensPerSecond,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl ValueEnum for Row {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.about()))
    }
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    TokensPerSecond,
    Seconds,
    Bytes,
}

impl Unit {
    /// The value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::TokensPerSecond if value < 100.0 => format!("{value:.1} tok/s"),
            Self::TokensPerSecond => format!("{value:.0} tok/s"),
            Self::Seconds => format!("{value:.3} s"),
            Self::Bytes => format!("{:.0} MB", value / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_parsed_from_its_name() {
        for row in Row::ALL {
            assert_eq!(Row::from_str(row.name(), false), Ok(row));
        }
    }

    #[test]
    fn show_appends_the_unit() {
        assert_eq!(Unit::TokensPerSecond.show(42.25), "42.2 tok/s");
        assert_eq!(Unit::TokensPerSecond.show(1594.4), "1594 tok/s");
        assert_eq!(Unit::Seconds.show(0.25), "0.250 s");
        assert_eq!(Unit::Bytes.show(905_793_984.0), "906 MB");
    }
}
