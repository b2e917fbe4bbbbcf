//! What the proxy needs from the pool of workers.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use futures_core::future::BoxFuture;

use super::target::Target;
use crate::error::ApiError;

/// Identifies a worker process; never used for another one.
pub type WorkerId = Arc<str>;

/// The running workers, and the means to start others.
pub trait Workers: Send + Sync {
    /// Waits for a worker with the target's model, and starts one if necessary. Dropping the future gives the place in the queue
    /// up.
    fn acquire<'a>(
        &'a self,
        target: &'a Target,
        class: Class,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>>;

    /// A lease of a worker that is running, for requests about what it has stored; `None` if it is gone.
    fn running<'a>(&'a self, worker: &'a WorkerId) -> BoxFuture<'a, Option<Lease>>;
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// A person is waiting for each token.
    Interactive,
    /// The default.
    #[default]
    Normal,
    /// Throughput matters, not latency.
    Batch,
}

impl Class {
    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }
}

/// The right to send one request to a worker, which is not evicted in the meantime. Dropping the lease returns it.
pub struct Lease {
    /// The worker.
    pub worker: WorkerId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its API key.
    pub key: String,
    _release: Box<dyn Any + Send + Sync>,
}

impl Lease {
    /// A lease whose drop drops `release`.
    pub fn new(
        worker: WorkerId,
        address: SocketAddr,
        key: String,
        release: impl Send + Sync + 'static,
    ) -> Self {
        Self {
            worker,
            address,
            key,
            _release: Box::new(release),
        }
    }
}

/// Why there is no worker for a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {advice}")]
pub struct AcquireError {
    /// Status of the response.
    pub status: StatusCode,
    /// Stable name of the problem, such as `model_does_not_fit`.
    pub code: &'static str,
    /// What is wrong, and which models hold the resource.
    pub message: String,
    /// What to do next.
    pub advice: String,
    /// After how many seconds a retry may succeed.
    pub retry_after_seconds: Option<u64>,
}

impl From<AcquireError> for ApiError {
    fn from(error: AcquireError) -> Self {
        Self::with_code(error.status, error.code, error.to_string())
            .retry_after(error.retry_after_seconds)
    }
}
