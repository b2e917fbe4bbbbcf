//! Why there is no server for a request: one table of codes, statuses and advice for the management API and for inference.

use mlxm_gateway::pool::plan::Rejection;
use mlxm_gateway::{AcquireError, EstimateError};

use super::{ApiProblem, Code};
use crate::gateway::proxy;
use crate::gateway::workers::LoadSettingsError;

/// A cause that the pool reports.
struct Cause {
    code: Code,
    /// What to do next.
    advice: &'static str,
    /// After how many seconds a retry may succeed.
    retry_after_seconds: Option<u64>,
}

fn cause(code: Code, advice: &'static str) -> Cause {
    Cause {
        code,
        advice,
        retry_after_seconds: None,
    }
}

fn cause_of(rejection: &Rejection) -> Cause {
    match rejection {
        Rejection::DoesNotFit { .. } => cause(
            Code::MODEL_DOES_NOT_FIT,
            "use a profile with a smaller context, or a larger pool.memory_budget_bytes (`mlxm config`)",
        ),
        Rejection::Pinned { .. } => cause(Code::MEMORY_PINNED, "`mlxm ps` shows them"),
        Rejection::QueueTimeout { .. } => Cause {
            retry_after_seconds: Some(10),
            ..cause(Code::QUEUE_TIMEOUT, "`mlxm ps` shows the running models")
        },
        Rejection::QueueFull { .. } => Cause {
            retry_after_seconds: Some(1),
            ..cause(Code::QUEUE_FULL, "send fewer requests at once")
        },
        // The same start fails again, so clients must not retry by themselves.
        Rejection::WorkerFailed(failure) if failure.permanent => cause(
            Code::MODEL_INVALID,
            "after a change of the model or its profile, run `mlxm start`",
        ),
        Rejection::WorkerFailed(_) => cause(
            Code::MODEL_CANNOT_START,
            "`mlxm start` starts the model again",
        ),
        Rejection::Stopped => cause(Code::MODEL_STOPPED, "`mlxm ps` shows the running models"),
        Rejection::ShuttingDown => Cause {
            retry_after_seconds: Some(5),
            ..cause(
                Code::SHUTTING_DOWN,
                "send the request again when it has been restarted",
            )
        },
    }
}

/// The code of a rejection.
pub fn rejection_code(rejection: &Rejection) -> Code {
    cause_of(rejection).code
}

impl From<AcquireError> for ApiProblem {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Rejected(rejection) => Self::from(rejection),
            AcquireError::Estimate(error) => Self::from(error),
            AcquireError::Closed => Self::from(Rejection::ShuttingDown),
        }
    }
}

impl From<Rejection> for ApiProblem {
    fn from(rejection: Rejection) -> Self {
        let Cause {
            code,
            advice,
            retry_after_seconds,
        } = cause_of(&rejection);
        let problem = match &rejection {
            // Of the worker's advice and the general one, both may be needed.
            Rejection::WorkerFailed(failure) => {
                let advice = if failure.advice.is_empty() {
                    advice.to_owned()
                } else {
                    format!("{}; {advice}", failure.advice)
                };
                Self::new(code, format!("{}: {}", failure.code, failure.message))
                    .with_advice(advice)
            }
            rejection => Self::new(code, rejection.to_string()).with_advice(advice),
        };
        match retry_after_seconds {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}

impl From<EstimateError> for ApiProblem {
    fn from(error: EstimateError) -> Self {
        let Cause { code, advice, .. } = match error {
            EstimateError::Unreadable { .. } => cause(
                Code::MODEL_NOT_FOUND,
                "download the model again with `mlxm pull`",
            ),
            EstimateError::Program { .. } => cause(Code::MODEL_CANNOT_START, "run `mlxm doctor`"),
            EstimateError::Invalid { .. }
            | EstimateError::Timeout(_)
            | EstimateError::Memory(_) => cause(
                Code::MODEL_INVALID,
                "download the model again with `mlxm pull`, or choose another one",
            ),
        };
        Self::new(code, error.to_string()).with_advice(advice)
    }
}

impl From<LoadSettingsError> for ApiProblem {
    fn from(error: LoadSettingsError) -> Self {
        let Cause { code, advice, .. } = match error {
            LoadSettingsError::NoModel { .. } => cause(
                Code::MODEL_NOT_FOUND,
                "`mlxm list` shows the models of this machine",
            ),
            LoadSettingsError::Unsupported { .. } => {
                cause(Code::MODEL_INVALID, "run `mlxm profile edit`")
            }
        };
        Self::new(code, error.to_string()).with_advice(advice)
    }
}

/// The same for an inference request, whose protocol has its own form of errors.
impl From<ApiProblem> for proxy::AcquireError {
    fn from(problem: ApiProblem) -> Self {
        Self {
            status: problem.code.status,
            code: problem.code.name,
            message: problem.detail,
            advice: problem.advice.unwrap_or_default(),
            retry_after_seconds: problem.retry_after_seconds.map(u64::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mlxm_gateway::pool::plan::WorkerFailure;

    use super::*;

    fn failed(advice: &str, permanent: bool) -> Rejection {
        Rejection::WorkerFailed(WorkerFailure {
            code: "crash_loop".to_owned(),
            message: "it exited 5 times".to_owned(),
            advice: advice.to_owned(),
            permanent,
        })
    }

    fn inference(problem: impl Into<ApiProblem>) -> proxy::AcquireError {
        proxy::AcquireError::from(problem.into())
    }

    #[test]
    fn clients_retry_what_may_succeed_later() {
        for (rejection, status, code, retry_after) in [
            (failed("see its log", true), 400, "model_invalid", None),
            (
                failed("see its log", false),
                503,
                "model_cannot_start",
                None,
            ),
            (
                Rejection::QueueFull { limit: 3 },
                429,
                "queue_full",
                Some(1),
            ),
            (Rejection::ShuttingDown, 503, "shutting_down", Some(5)),
            (Rejection::Stopped, 409, "model_stopped", None),
        ] {
            let error = inference(rejection.clone());
            assert_eq!(error.status.as_u16(), status, "{rejection:?}");
            assert_eq!(error.code, code, "{rejection:?}");
            assert_eq!(error.retry_after_seconds, retry_after, "{rejection:?}");
            let problem = ApiProblem::from(rejection).to_wire(None);
            assert_eq!((problem.status, &*problem.code), (status, code));
            assert_eq!(problem.advice, Some(error.advice));
        }
    }

    #[test]
    fn advice_of_a_worker_comes_before_the_general_one() {
        let error = inference(failed("see its log", false));
        assert_eq!(
            error.to_string(),
            "crash_loop: it exited 5 times: see its log; `mlxm start` starts the model again"
        );
        let error = inference(failed("", false));
        assert_eq!(error.advice, "`mlxm start` starts the model again");
    }

    #[test]
    fn errors_of_models_have_the_same_codes_with_and_without_a_pool() {
        let program = EstimateError::Program {
            program: "/bin/mlxm".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        let error = inference(program);
        assert_eq!(
            (error.status.as_u16(), error.code),
            (503, "model_cannot_start")
        );
        let error = inference(EstimateError::Invalid {
            message: "no tensor x".to_owned(),
        });
        assert_eq!((error.status.as_u16(), error.code), (400, "model_invalid"));
        let error = inference(LoadSettingsError::NoModel {
            model: "org/model".to_owned(),
        });
        assert_eq!(
            (error.status.as_u16(), error.code),
            (404, "model_not_found")
        );
        let closed = inference(AcquireError::Closed);
        assert_eq!(
            (closed.code, closed.retry_after_seconds),
            ("shutting_down", Some(5))
        );
    }
}
