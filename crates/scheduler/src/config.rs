//! Scheduler configuration.

use std::{error::Error, fmt};

/// Limits that apply to every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Maximum number of running sequences; the others wait.
    pub max_sequences: usize,
    /// Maximum number of batched tokens per step, over all sequences. It bounds the scratch memory of a step and how
    /// long a prefill chunk delays decoding sequences.
    pub max_batch_tokens: usize,
    /// Maximum number of later arrivals with the next higher priority that are scheduled before a sequence; twice as
    /// many for a difference of two levels. It prevents starvation of lower priorities. 0 disables priorities.
    pub max_skips_per_level: usize,
}

/// Why a [`SchedulerConfig`] is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `max_sequences` is zero.
    NoSequences,
    /// `max_batch_tokens` is less than `max_sequences`.
    BatchTooSmall {
        /// The configured value.
        max_batch_tokens: usize,
        /// The minimum.
        max_sequences: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSequences => write!(f, "max_sequences is 0; it must be at least 1"),
            Self::BatchTooSmall {
                max_batch_tokens,
                max_sequences,
            } => write!(
                f,
                "max_batch_tokens is {max_batch_tokens}; it must be at least max_sequences ({max_sequences}), so that every running sequence can advance in every step"
            ),
        }
    }
}

impl Error for ConfigError {}

impl SchedulerConfig {
    pub(crate) fn validate(self) -> Result<(), ConfigError> {
        let Self {
            max_sequences,
            max_batch_tokens,
            ..
        } = self;
        if max_sequences == 0 {
            return Err(ConfigError::NoSequences);
        }
        if max_batch_tokens < max_sequences {
            return Err(ConfigError::BatchTooSmall {
                max_batch_tokens,
                max_sequences,
            });
        }
        Ok(())
    }
}
