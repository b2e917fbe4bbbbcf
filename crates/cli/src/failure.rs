//! How a command fails: exit codes, and errors that carry the next step.

use std::fmt::Write as _;
use std::io;

/// The command did not do what it was asked.
pub const EXIT_FAILURE: i32 = 1;
/// The command line makes no sense; clap uses the same code.
pub const EXIT_USAGE: i32 = 2;
/// Ended by Ctrl-C.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Failures with an exit code or an ending of their own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Arguments that contradict each other or are out of range.
    #[error("{0}")]
    Usage(String),
    /// Ended by Ctrl-C; the message says what is left behind.
    #[error("{0}")]
    Interrupted(String),
    /// The command has said itself why it failed.
    #[error("failed")]
    Reported,
    /// What is wrong, and what to do about it.
    #[error("{message}\n  {advice}")]
    Advised {
        /// What is wrong.
        message: String,
        /// The next step.
        advice: String,
    },
}

impl Failure {
    /// A failure with a next step.
    pub fn advised(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Advised {
            message: message.into(),
            advice: advice.into(),
        }
    }
}

/// The exit code of an error, and what to print, if anything.
pub fn describe(error: &anyhow::Error) -> (i32, Option<String>) {
    // The reader went away (`mlxm list | head`): it has what it wanted.
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

/// The error and its causes on one line, leaving out a cause that its parent has already told.
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
    fn causes_are_told_once() {
        let error = anyhow!("no space")
            .context("cannot write x: no space")
            .context("convert");
        assert_eq!(
            describe(&error),
            (1, Some("convert: cannot write x: no space".to_owned()))
        );
    }

    #[test]
    fn exit_codes() {
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
