//! Why a worker exited.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

use super::contract::Failed;

/// Exit code of the program for invalid options.
const USAGE_ERROR: i32 = 2;

/// Codes of failures that do not lie in the model or an option.
const TRANSIENT: &[&str] = &["cannot_listen", "io", "compute_failed", "internal"];

/// Number of SIGKILL on every Unix.
const SIGKILL: i32 = 9;

/// Why a worker exited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitCause {
    /// The gateway stopped it.
    Requested,
    /// The model or an option is at fault. The same start fails again.
    Rejected(Failed),
    /// The model could not be loaded for another reason, such as a failed read. The next start may succeed.
    StartFailed(Failed),
    /// It exited or crashed by itself.
    Crashed {
        /// Exit code, if it exited.
        code: Option<i32>,
        /// Signal, if one killed it.
        signal: Option<i32>,
    },
    /// Another process sent SIGKILL: most likely the OS, because memory was short.
    KilledExternally,
    /// The gateway killed it because it did not load its model any further.
    StartTimeout,
    /// The gateway killed it because its requests made no progress.
    Hung,
    /// The gateway killed it because it did not respond.
    Unresponsive,
    /// It was adopted, so that its exit status is unknown.
    Unknown,
}

impl ExitCause {
    /// Whether it was not intended, and the next start may succeed.
    pub fn is_unexpected(&self) -> bool {
        !matches!(self, Self::Requested | Self::Rejected(_))
    }

    /// Its stable name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Rejected(_) => "rejected",
            Self::StartFailed(_) => "start_failed",
            Self::Crashed { .. } => "crashed",
            Self::KilledExternally => "killed_externally",
            Self::StartTimeout => "start_timeout",
            Self::Hung => "hung",
            Self::Unresponsive => "unresponsive",
            Self::Unknown => "unknown",
        }
    }

    /// What a user can do about an exit of the model `name`.
    pub fn advice(&self, name: &str) -> String {
        match self {
            Self::Rejected(failed) | Self::StartFailed(failed) if !failed.advice.is_empty() => {
                failed.advice.clone()
            }
            Self::KilledExternally => "use a smaller context".to_owned(),
            _ => format!("see `mlxm logs {name}`"),
        }
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Requested => "stopped".to_owned(),
            Self::Rejected(failed) | Self::StartFailed(failed) => failed.message.clone(),
            Self::Crashed {
                signal: Some(signal),
                ..
            } => format!("crashed with signal {signal}"),
            Self::Crashed { code, .. } => {
                format!("exited with code {}", code.unwrap_or_default())
            }
            Self::KilledExternally => {
                "killed by another process, most likely by the OS for lack of memory".to_owned()
            }
            Self::StartTimeout => "killed: loading made no progress".to_owned(),
            Self::Hung => "killed: its requests made no progress".to_owned(),
            Self::Unresponsive => "killed: it did not respond".to_owned(),
            Self::Unknown => "exited".to_owned(),
        }
    }
}

/// What the gateway did before the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Nothing.
    None,
    /// It stopped the worker.
    Stop,
    /// It killed the worker, whose model did not load any further.
    StartTimeout,
    /// It killed the worker, whose requests made no progress.
    Hung,
    /// It killed the worker, which did not respond.
    Unresponsive,
}

/// The cause of an exit. `status` is `None` for an adopted process. `failed` is the worker's last word.
pub fn exit_cause(status: Option<ExitStatus>, intent: Intent, failed: Option<Failed>) -> ExitCause {
    match intent {
        Intent::Stop => return ExitCause::Requested,
        Intent::StartTimeout => return ExitCause::StartTimeout,
        Intent::Hung => return ExitCause::Hung,
        Intent::Unresponsive => return ExitCause::Unresponsive,
        Intent::None => {}
    }
    if let Some(failed) = failed {
        return if TRANSIENT.contains(&failed.code.as_str()) {
            ExitCause::StartFailed(failed)
        } else {
            ExitCause::Rejected(failed)
        };
    }
    let Some(status) = status else {
        return ExitCause::Unknown;
    };
    match (status.code(), status.signal()) {
        (_, Some(SIGKILL)) => ExitCause::KilledExternally,
        (Some(USAGE_ERROR), _) => ExitCause::Rejected(Failed {
            code: "invalid_option".to_owned(),
            message: "the worker rejected its options".to_owned(),
            advice: "see the last lines of its log".to_owned(),
        }),
        (code, signal) => ExitCause::Crashed { code, signal },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn killed(signal: i32) -> ExitStatus {
        ExitStatus::from_raw(signal)
    }

    #[test]
    fn causes_are_distinguished() {
        let failed = Failed {
            code: "bad_checkpoint".to_owned(),
            message: "no tensor".to_owned(),
            advice: String::new(),
        };
        let crashed = |code, signal| ExitCause::Crashed { code, signal };
        for (status, intent, line, cause) in [
            (Some(exited(0)), Intent::Stop, None, ExitCause::Requested),
            // The grace period was over.
            (Some(killed(9)), Intent::Stop, None, ExitCause::Requested),
            (
                Some(killed(9)),
                Intent::None,
                None,
                ExitCause::KilledExternally,
            ),
            (Some(killed(9)), Intent::Hung, None, ExitCause::Hung),
            (
                Some(killed(9)),
                Intent::StartTimeout,
                None,
                ExitCause::StartTimeout,
            ),
            (
                Some(killed(9)),
                Intent::Unresponsive,
                None,
                ExitCause::Unresponsive,
            ),
            (
                Some(killed(11)),
                Intent::None,
                None,
                crashed(None, Some(11)),
            ),
            (Some(exited(1)), Intent::None, None, crashed(Some(1), None)),
            // An exit that no one requested is unexpected, even if it is a regular one.
            (Some(exited(0)), Intent::None, None, crashed(Some(0), None)),
            (
                Some(exited(1)),
                Intent::None,
                Some(failed.clone()),
                ExitCause::Rejected(failed),
            ),
            (None, Intent::None, None, ExitCause::Unknown),
        ] {
            assert_eq!(
                exit_cause(status, intent, line),
                cause,
                "{status:?} {intent:?}"
            );
        }
        let transient = Failed {
            code: "io".to_owned(),
            message: "cannot read".to_owned(),
            advice: String::new(),
        };
        let cause = exit_cause(Some(exited(1)), Intent::None, Some(transient.clone()));
        assert_eq!(cause, ExitCause::StartFailed(transient));
        assert!(cause.is_unexpected());
        let usage = exit_cause(Some(exited(2)), Intent::None, None);
        assert!(matches!(usage, ExitCause::Rejected(failed) if failed.code == "invalid_option"));
    }

    #[test]
    fn only_unintended_exits_are_restarted() {
        assert!(!ExitCause::Requested.is_unexpected());
        assert!(ExitCause::KilledExternally.is_unexpected());
        assert!(ExitCause::Hung.describe().contains("no progress"));
    }

    #[test]
    fn kinds_are_those_of_the_serialized_causes() {
        let failed = Failed {
            code: "io".to_owned(),
            message: "cannot read".to_owned(),
            advice: "free some space".to_owned(),
        };
        for cause in [
            ExitCause::Requested,
            ExitCause::Rejected(failed.clone()),
            ExitCause::StartFailed(failed),
            ExitCause::Crashed {
                code: None,
                signal: Some(11),
            },
            ExitCause::KilledExternally,
            ExitCause::StartTimeout,
            ExitCause::Hung,
            ExitCause::Unresponsive,
            ExitCause::Unknown,
        ] {
            let json = serde_json::to_value(&cause).unwrap();
            assert_eq!(json["kind"], cause.kind());
            assert!(!cause.advice("tiny").is_empty());
        }
    }
}
