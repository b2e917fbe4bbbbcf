//! What a server offers only to the process that owns it: a gateway that has its key. `docs/worker.md` describes the protocol.

mod internal;
mod owner;
mod profile;
mod report;
mod running;
mod usage;

pub use internal::routes;
pub use owner::Owner;
pub use profile::Profile;
pub use report::report_usage;
pub use running::{RequestPhase, RunningRequest, RunningRequests};
pub use usage::{CompletionUsage, RequestUsage, UsageFinish, UsageRecorder};

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use mlxm_engine::Priority;

use crate::error::ApiError;
use profile::RegisteredProfiles;
use usage::UsageLog;

/// The class of a request: its scheduling priority.
const PRIORITY: &str = "x-mlxm-priority";

/// State of a server that has an owner and a key.
#[derive(Debug)]
pub struct Worker {
    owner: Owner,
    /// Usage of the last requests.
    pub usage: UsageLog,
    profiles: RegisteredProfiles,
}

impl Worker {
    /// The state of a server that works for `owner`.
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            usage: UsageLog::default(),
            profiles: RegisteredProfiles::default(),
        }
    }

    /// The profile that the headers of a request contain or name.
    ///
    /// # Errors
    /// If a header is invalid, or names a profile that is not registered.
    pub fn profile(&self, headers: &HeaderMap) -> Result<Arc<Profile>, ApiError> {
        profile::read(headers, &self.profiles)
    }
}

/// The scheduling priority of the class in the headers of a request.
///
/// # Errors
/// If there is no such class.
pub fn priority(headers: &HeaderMap) -> Result<Option<Priority>, ApiError> {
    match headers.get(PRIORITY).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"interactive") => Ok(Some(Priority::High)),
        Some(b"normal") => Ok(Some(Priority::Normal)),
        Some(b"batch") => Ok(Some(Priority::Low)),
        Some(_) => Err(ApiError::at(
            PRIORITY,
            "must be interactive, normal or batch",
        )),
    }
}
