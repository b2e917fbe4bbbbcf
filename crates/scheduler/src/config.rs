//! Limits of a step.

use std::{error::Error, fmt};

/// Limits that hold for every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Most sequences that run at a time; the others wait.
    pub max_sequences: usize,
    /// Most tokens computed in one step, over all sequences. It bounds the scratch memory of a
    /// step and how long a prompt delays the sequences that are generating.
    pub max_batch_tokens: usize,
    /// Most sequences of the next higher priority that go ahead of one that came before them; twice
    /// as many for two priorities. It is what keeps a steady stream of high priority from starving
    /// the rest. 0 serves all in order of arrival.
    pub max_skips_per_level: usize,
}

/// A [`SchedulerConfig`] that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `max_sequences` is zero.
    NoSequences,
    /// `max_batch_tokens` is less than `max_sequences`.
    BatchTooSmall {
        /// The value given.
        max_batch_tokens: usize,
        /// The least that works.
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
                "max_batch_tokens is {max_batch_tokens}; it must be at least max_sequences ({max_sequences}), so that every sequence advances in every step"
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
