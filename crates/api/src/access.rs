//! Who may use a server: hosts, web pages and the API key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use crate::cors::CorsOrigin;
use crate::error::ApiError;

/// Access rules of a server.
#[derive(Debug, Clone, Default)]
pub struct AccessPolicy {
    /// The API key that clients must send, if any.
    pub api_key: Option<String>,
    /// A further key, for the programs of the user who started a gateway: it allows everything.
    pub owner_key: Option<String>,
    /// Whether the server listens on a loopback address. A server of one model without an API key then rejects requests for
    /// other hosts and those of foreign web pages; a gateway does so in any case.
    pub loopback: bool,
    /// Further host names that requests may be sent to.
    pub allowed_hosts: Vec<String>,
    /// Origins whose web pages may send requests.
    pub cors_origins: Vec<CorsOrigin>,
}

impl AccessPolicy {
    /// Checks the API key, if the server has one.
    ///
    /// # Errors
    /// Status 401 if it is missing or wrong.
    pub(crate) fn check_key(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.api_key else {
            return Ok(());
        };
        if is_given(headers, key) || self.is_owner(headers) {
            return Ok(());
        }
        Err(ApiError::unauthorized())
    }

    /// Whether the request has the owner's key.
    pub(crate) fn is_owner(&self, headers: &HeaderMap) -> bool {
        let key = self.owner_key.as_ref();
        key.is_some_and(|key| is_given(headers, key))
    }
}

/// Requires the API key, if the server has one.
pub async fn require_key(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    match policy.check_key(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn is_given(headers: &HeaderMap, key: &str) -> bool {
    given_key(headers).is_some_and(|given| given.as_bytes().ct_eq(key.as_bytes()).into())
}

fn given_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' '));
    let bearer = bearer
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    bearer.or_else(|| {
        headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
    })
}
