//! What becomes of the fields of a request that its type does not name.
//!
//! The official fields that change nothing about an answer are taken without a word. Those that would change it and are not
//! supported are refused, unless they have the value that means nothing. What is left nobody knows; new ones appear
//! every month. It is named in a `warning` header, or refused by a strict server.

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::error::{ApiError, Protocol};
use crate::state::AppState;

/// The official fields of a route beside those that it reads.
pub struct FieldPolicy {
    /// Fields that are read.
    pub read: &'static [&'static str],
    /// Fields that change nothing about an answer.
    pub ignored: &'static [&'static str],
    /// Fields that would, and what to say to those who send them.
    pub unsupported: &'static [(&'static str, &'static str)],
}

impl FieldPolicy {
    /// The names of the fields that nobody knows.
    ///
    /// # Errors
    /// Names the first field that is not supported; with `strict` the first one that nobody knows, too.
    pub fn check(&self, body: &Map<String, Value>, strict: bool) -> Result<Unknown, ApiError> {
        let mut unknown = Vec::new();
        for (name, value) in body {
            let known = self.read.contains(&name.as_str()) || self.ignored.contains(&name.as_str());
            if known || value.is_null() {
                continue;
            }
            match self.unsupported.iter().find(|(known, _)| known == name) {
                Some(_) if is_noop(value) => {}
                Some((_, reason)) => {
                    return Err(ApiError::unsupported(
                        name,
                        format!("`{name}` is not supported: {reason}"),
                    ));
                }
                None if strict => {
                    return Err(ApiError::unsupported(
                        name,
                        format!("unknown field `{name}`; this server is strict about them"),
                    ));
                }
                None => unknown.push(name.clone()),
            }
        }
        Ok(Unknown(unknown))
    }
}

impl FieldPolicy {
    /// Answers a body: checks its fields, and names those that nobody knows beside the answer. Mistakes have the shape of
    /// `protocol`.
    pub async fn respond<F: Future<Output = Result<Response, ApiError>>>(
        &self,
        server: &AppState,
        protocol: Protocol,
        body: Result<Map<String, Value>, ApiError>,
        answer: impl FnOnce(Map<String, Value>) -> F,
    ) -> Response {
        let answered = async {
            let body = body?;
            let unknown = self.check(&body, server.options().strict)?;
            Ok::<_, ApiError>(unknown.warn(answer(body).await?))
        };
        answered
            .await
            .unwrap_or_else(|error| error.response_in(protocol))
    }
}

/// The names of fields that nobody knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unknown(Vec<String>);

impl Unknown {
    /// Tells the client, and the log.
    pub fn warn(&self, mut response: Response) -> Response {
        if self.0.is_empty() {
            return response;
        }
        let names = self.0.join(", ");
        tracing::warn!(fields = %names, "unknown fields");
        let printable = |c: char| {
            if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' {
                c
            } else {
                '?'
            }
        };
        let names: String = names.chars().map(printable).take(500).collect();
        if let Ok(value) =
            HeaderValue::try_from(format!("299 - \"unknown fields were not used: {names}\""))
        {
            response.headers_mut().insert("warning", value);
        }
        response
    }
}

/// Values that ask for nothing.
fn is_noop(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELD_POLICY: FieldPolicy = FieldPolicy {
        read: &["model"],
        ignored: &["user"],
        unsupported: &[("audio", "this model does not speak")],
    };

    fn check(fields: Value, strict: bool) -> Result<Vec<String>, String> {
        let fields = fields.as_object().unwrap();
        let unknown = FIELD_POLICY.check(fields, strict);
        unknown
            .map(|unknown| unknown.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_taken_named_or_refused() {
        assert_eq!(
            check(json!({"user": "x", "audio": null, "new": null}), true),
            Ok(vec![])
        );
        assert_eq!(
            check(json!({"audio": {}, "brand_new": 1}), false),
            Ok(vec!["brand_new".to_owned()])
        );
        assert_eq!(
            check(json!({"audio": {"voice": "x"}}), false),
            Err("`audio` is not supported: this model does not speak".to_owned())
        );
        assert!(check(json!({"brand_new": 1}), true).is_err());
    }
}
