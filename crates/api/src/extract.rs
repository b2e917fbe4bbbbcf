//! Bodies: JSON with every mistake named, in the protocol's own shape.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// A request's body, a JSON object; or what is wrong with it.
pub struct Body(pub Result<Map<String, Value>, ApiError>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| refused(&rejection));
        Ok(Self(bytes.and_then(|bytes| object(&bytes))))
    }
}

/// The id in a path and the query behind it, in OpenAI's protocol.
pub struct IdAndQuery<T>(pub String, pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for IdAndQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(id) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
        let Query(query) = Query::try_from_uri(&parts.uri)
            .map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
        Ok(Self(id, query))
    }
}

/// A query that nothing is read of.
#[derive(Debug, Deserialize)]
pub struct NoQuery {}

/// Reads the fields of `T` out of a body; other fields are left to others.
///
/// # Errors
/// Names the field that has a wrong type or is missing.
pub fn read<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(body).map_err(|error| {
        let path = error.path().to_string();
        let message = describe_type(&error.into_inner().to_string());
        if path == "." {
            return ApiError::invalid(message);
        }
        ApiError::field(path.clone(), format!("{path}: {message}"))
    })
}

/// What was expected, in words of JSON instead of Rust's.
fn describe_type(message: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number from 0 up"),
        ("expected u32", "expected a whole number from 0 up"),
        ("expected i64", "expected a whole number"),
        ("expected f32", "expected a number"),
    ];
    let replace = |message: String, (rust, json)| message.replace(rust, json);
    words.into_iter().fold(message.to_owned(), replace)
}

fn refused(rejection: &BytesRejection) -> ApiError {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::body(status, "the request body is larger than this server takes");
    }
    ApiError::body(
        StatusCode::BAD_REQUEST,
        format!("the request body could not be read: {rejection}"),
    )
}

/// Content types are not looked at: clients that leave them out mean JSON all the same.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(ApiError::invalid(format!(
            "the request body is not UTF-8: {error}"
        )));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::invalid("the request body must be a JSON object")),
        Err(error) => Err(ApiError::invalid(format!(
            "the request body is not JSON: {error}"
        ))),
    }
}
