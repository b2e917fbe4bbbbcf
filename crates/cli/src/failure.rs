//! Exit codes and errors with hints.

use std::fmt::Write as _;
use std::io;

/// The command failed.
pub const EXIT_FAILURE: i32 = 1;
/// Usage error; clap uses the same code.
pub const EXIT_USAGE: i32 = 2;
/// Interrupted by Ctrl-C.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Errors with their own exit code or output.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Arguments that contradict each other or are out of range.
    #[error("{0}")]
    Usage(String),
    /// Interrupted by Ctrl-C; the message describes the state left on disk.
    #[error("{0}")]
    Interrupted(String),
    /// The command has already printed the error.
    #[error("failed")]
    Reported,
    /// An error with a hint.
    #[error("{message}\n  {hint}")]
    WithHint {
        /// The error.
        message: String,
        /// What to do next.
        hint: String,
    },
}

impl Failure {
    /// An error with a hint.
    pub fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::WithHint {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// The exit code for an error and the message to print, if any.
pub fn describe(error: &anyhow::Error) -> (i32, Option<String>) {
    // The reader closed the pipe (`mlxm list | head`).
    if error.chain().any(is_broken_pipe) {
        return (0, None);
    }
    match error.downcast_ref::<Failure>() {
        Some(Failure::Usage(_)) => (EXIT_USAGE, Some(message(error))),
        Some(Failure::Interrupted(text)) => {
            (EXIT_INTERRUPTED, (!text.is_empty()).then(|| text.clone()))
        }
        Some(Failure::Reported) => (EXIT_FAILURE, None),
        _ => (EXIT_FAILURE, Some(message(error))),
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes on one line, without causes that an outer message already contains.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn describe_prints_each_cause_once() {
        let error = anyhow!("no space")
            .context("cannot write x: no space")
            .context("convert");
        assert_eq!(
            describe(&error),
            (1, Some("convert: cannot write x: no space".to_owned()))
        );
    }

    #[test]
    fn describe_maps_failures_to_exit_codes() {
        assert_eq!(
            describe(&Failure::Usage("two prompts".into()).into()).0,
            EXIT_USAGE
        );
        assert_eq!(
            describe(&Failure::Interrupted(String::new()).into()),
            (EXIT_INTERRUPTED, None)
        );
        assert_eq!(
            describe(&io::Error::from(io::ErrorKind::BrokenPipe).into()),
            (0, None)
        );
    }
}
