//! Request settings of a profile on their way to a worker: in a header of each request, or registered once if they are too large.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderValue;
use data_encoding::BASE64URL_NOPAD;
use lru::LruCache;
use serde_json::{Map, Value};

use super::client::{WorkerClient, WorkerError};
use super::workers::{Lease, WorkerId};

/// Largest settings as JSON that are sent with each request: 64 KB as base64url.
const MAX_HEADER_BYTES: usize = 48 << 10;

/// Settings whose ids are known. Each worker keeps several times as many, so that these are still registered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Request settings of a profile, which a worker applies where a request has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDefaults(Form);

/// How requests name their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// In a header: base64url of JSON.
    Header(HeaderValue),
    /// By an id: JSON that is registered before.
    Registered(Bytes),
}

/// Request settings that a worker does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the request settings have {size_bytes} bytes as JSON, and at most {} are possible: shorten the system prompt",
    RequestDefaults::MAX_BYTES
)]
pub struct DefaultsTooLarge {
    size_bytes: usize,
}

impl RequestDefaults {
    /// Size limit in bytes, as JSON.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The settings by the names that they have in requests.
    ///
    /// # Errors
    /// If they are larger than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(settings: &Map<String, Value>) -> Result<Self, DefaultsTooLarge> {
        let json = serde_json::to_vec(settings).unwrap_or_default();
        let size_bytes = json.len();
        if size_bytes > Self::MAX_BYTES {
            return Err(DefaultsTooLarge { size_bytes });
        }
        let header = HeaderValue::try_from(BASE64URL_NOPAD.encode(&json));
        Ok(Self(match header {
            Ok(header) if size_bytes <= MAX_HEADER_BYTES => Form::Header(header),
            _ => Form::Registered(json.into()),
        }))
    }

    /// How requests name them.
    pub(super) fn form(&self) -> &Form {
        &self.0
    }
}

/// The ids of settings that were registered with workers.
#[derive(Debug)]
pub struct RegisteredDefaults(Mutex<LruCache<(WorkerId, Bytes), HeaderValue>>);

impl Default for RegisteredDefaults {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl RegisteredDefaults {
    /// The id of settings with the worker of the lease. They are registered if they are not yet.
    ///
    /// # Errors
    /// If the worker cannot be reached or rejects them.
    pub async fn id(
        &self,
        client: &WorkerClient,
        lease: &Lease,
        json: &Bytes,
    ) -> Result<HeaderValue, WorkerError> {
        let key = (lease.worker.clone(), json.clone());
        let known = self.lock().get(&key).cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        // Two requests at once may both register them, which is harmless.
        let id = client.register_defaults(lease, json.clone()).await?;
        self.lock().put(key, id.clone());
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(WorkerId, Bytes), HeaderValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
