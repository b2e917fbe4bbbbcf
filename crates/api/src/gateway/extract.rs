//! Bodies, queries and paths of requests to the management API. Errors name the field.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{self, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{ApiProblem, Code};
use crate::extract::describe_type;

/// Time for a body, which is small.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a body with files, which may come over a slow connection.
const LARGE_BODY_TIMEOUT: Duration = Duration::from_mins(10);

/// A JSON object in the body.
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        parse(&read(request, state, BODY_TIMEOUT).await?).map(Self)
    }
}

/// A JSON object in the body, or no body in place of an empty object.
pub struct OptionalJsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let bytes = read(request, state, BODY_TIMEOUT).await?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        parse(&bytes).map(Self)
    }
}

/// As [`JsonBody`], for a body that may be large: it has more time to arrive, and is parsed on a thread of its own, without a copy
/// of all values.
pub struct LargeJsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for LargeJsonBody<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let bytes = read(request, state, LARGE_BODY_TIMEOUT).await?;
        tokio::task::spawn_blocking(move || parse_large(&bytes))
            .await
            .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))?
            .map(Self)
    }
}

/// The parameters after the path.
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.split_once(": ").map_or(&*text, |(_, rest)| rest);
                let (path, message) = text.split_once(": ").unwrap_or((".", text));
                Err(invalid(path, message))
            }
        }
    }
}

/// The parameters in the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        match extract::Path::from_request_parts(parts, state).await {
            Ok(extract::Path(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiProblem::new(
                Code::INVALID_REQUEST,
                rejection.body_text(),
            )
            .with_advice("names in a path are UTF-8, with each byte of a special character as % and two digits")),
        }
    }
}

/// Whether the body is declared as JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

async fn read<S: Send + Sync>(
    request: Request,
    state: &S,
    limit: Duration,
) -> Result<Bytes, ApiProblem> {
    let read = tokio::time::timeout(limit, Bytes::from_request(request, state));
    read.await
        .map_err(|_| {
            let seconds = limit.as_secs();
            let detail = format!("the body did not arrive within {seconds} s");
            ApiProblem::new(Code::BODY_TIMEOUT, detail).with_advice("send the request again")
        })?
        .map_err(|rejection| {
            let code = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Code::BODY_TOO_LARGE,
                _ => Code::INVALID_BODY,
            };
            ApiProblem::new(code, rejection.body_text())
        })
}

fn not_json(error: &serde_json::Error) -> ApiProblem {
    ApiProblem::new(Code::INVALID_BODY, format!("the body is not JSON: {error}"))
}

fn parse_large<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiProblem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return not_json(&error);
        }
        let text = error.to_string();
        let message = text
            .rsplit_once(" at line ")
            .map_or(&*text, |(text, _)| text);
        invalid(&path, message)
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiProblem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    if !value.is_object() {
        return Err(ApiProblem::new(
            Code::INVALID_BODY,
            "the body must be a JSON object",
        ));
    }
    from_value(value)
}

/// A value of type `T` from JSON.
///
/// # Errors
/// Names the field that is missing, unknown, or of a wrong type.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ApiProblem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        invalid(&path, &error.into_inner().to_string())
    })
}

/// The problem of a field from the message of serde, which has the path `.` for the whole object.
fn invalid(path: &str, message: &str) -> ApiProblem {
    let parent = if path == "." { "" } else { path };
    if let Some(name) = quoted_after(message, "missing field ") {
        let separator = if parent.is_empty() { "" } else { "." };
        return ApiProblem::field(
            format!("{parent}{separator}{name}"),
            "missing",
            "is required",
        );
    }
    let field = if parent.is_empty() { "body" } else { parent };
    let kind = if message.starts_with("unknown field ") {
        "unknown_field"
    } else if message.starts_with("invalid type") {
        "invalid_type"
    } else {
        "invalid_value"
    };
    ApiProblem::field(field, kind, describe_type(message))
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message
        .strip_prefix(start)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::audit::AuditFilter;
    use crate::wire::profiles::ProfileConfig;

    fn message(value: Value) -> String {
        from_value::<ProfileConfig>(value).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_field_by_its_path() {
        let with = |load: Value| json!({"name": "a", "model": "b", "load": load});
        for (body, field) in [
            (json!({"model": "b"}), "name: is required"),
            (json!({"name": 1, "model": "b"}), "name: invalid type"),
            (
                with(json!({"max_sequences": -1})),
                "load.max_sequences: invalid value",
            ),
            (
                with(json!({"max_sequences": 70_000})),
                "load.max_sequences: invalid value",
            ),
            (
                with(json!({"contxt": 1})),
                "load.contxt: unknown field `contxt`",
            ),
            (with(json!("x")), "load: invalid type"),
        ] {
            let text = message(body);
            assert!(text.starts_with(field), "{text}");
        }
    }

    #[test]
    fn large_bodies_have_the_same_errors() {
        let message = |text: &str| {
            parse_large::<ProfileConfig>(text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        for (text, start) in [
            (r#"{"model": "b"}"#, "name: is required"),
            (r#"{"name": 1, "model": "b"}"#, "name: invalid type"),
            (
                r#"{"name": "a", "model": "b", "load": {"contxt": 1}}"#,
                "load.contxt: unknown field `contxt`",
            ),
            (r#"{"name": "a""#, "the body is not JSON: EOF"),
            (r#"{"name": "a", "model": "b"} x"#, "the body is not JSON"),
        ] {
            let text = message(text);
            assert!(text.starts_with(start), "{text}");
            assert!(
                !text.contains("line") || text.contains("not JSON"),
                "{text}"
            );
        }
    }

    /// A body that takes this many seconds.
    fn slow(seconds: u64) -> Request {
        let body = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, std::convert::Infallible>(r#"{"name": "a", "model": "b"}"#)
        });
        Request::new(axum::body::Body::from_stream(body))
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_have_more_time() {
        type Large = LargeJsonBody<ProfileConfig>;
        let small = JsonBody::<ProfileConfig>::from_request(slow(60), &()).await;
        let message = small.map(|_| ()).unwrap_err().to_string();
        assert!(message.ends_with("within 30 s"), "{message}");
        let LargeJsonBody(large) = Large::from_request(slow(60), &()).await.unwrap();
        assert_eq!(large.name, "a");
        let late = Large::from_request(slow(3600), &()).await;
        let message = late.map(|_| ()).unwrap_err().to_string();
        assert!(message.ends_with("within 600 s"), "{message}");
    }

    #[test]
    fn messages_have_types_of_json() {
        let text = message(json!({"name": "a", "model": "b", "port": "x"}));
        assert!(
            text.ends_with("expected a whole number from 0 up"),
            "{text}"
        );
        let text = message(json!({"name": "a", "model": "b", "request": {"thinking": 1}}));
        assert!(text.contains("true, false or an effort"), "{text}");
    }

    #[test]
    fn errors_of_queries_name_the_parameter() {
        for (uri, start) in [
            ("/?limit=x", "limit: invalid"),
            ("/?lmit=1", "lmit: unknown field `lmit`"),
            ("/?after=7", "after: "),
        ] {
            let request = axum::http::Request::builder().uri(uri).body(()).unwrap();
            let (mut parts, ()) = request.into_parts();
            let result = futures_util::FutureExt::now_or_never(
                QueryParams::<AuditFilter>::from_request_parts(&mut parts, &()),
            );
            let text = result.unwrap().map(|_| ()).unwrap_err().to_string();
            assert!(text.starts_with(start), "{text}");
        }
    }

    #[test]
    fn content_types_of_json_are_recognized() {
        let is_json = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, text.parse().unwrap());
            is_json(&headers)
        };
        for text in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/plain; application/json",
        ] {
            assert!(!is_json(text), "{text}");
        }
    }
}
