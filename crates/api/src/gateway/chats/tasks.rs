//! Work that goes on without its client, and on threads on which no request waits.

use tracing::Instrument as _;

use crate::gateway::problem::{ApiProblem, Code};

/// Completes a change also if its client leaves: a part of it must not be missing.
///
/// # Errors
/// Those of the change.
pub async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, ApiProblem>> + Send + 'static,
) -> Result<T, ApiProblem> {
    let completed = tokio::spawn(change.in_current_span()).await;
    completed.unwrap_or_else(|error| Err(ApiProblem::new(Code::INTERNAL, error.to_string())))
}

/// Computes on a thread of its own.
///
/// # Errors
/// Those of the computation.
pub async fn blocking<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, ApiProblem> + Send + 'static,
) -> Result<T, ApiProblem> {
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.unwrap_or_else(|error| Err(ApiProblem::new(Code::INTERNAL, error.to_string())))
}
