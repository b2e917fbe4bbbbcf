//! What happens to the fields of a request that its route does not read.
//!
//! Fields of the official API that do not change the response are ignored. Hints that this server cannot use are ignored with a
//! `warning` header. Fields without which the response would be wrong are rejected, unless their value asks for nothing. Unknown
//! fields, which clients add every month, are ignored with a warning, or rejected by a strict server.

use std::fmt::{self, Display};

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::error::{ApiError, excerpt};

/// Fields of the official API that a route does not read.
#[derive(Debug, Clone, Copy, Default)]
pub struct FieldPolicy {
    /// Fields that do not change the response.
    pub ignored: &'static [&'static str],
    /// Fields that are optional hints, with the reason why they have no effect.
    pub hints: &'static [(&'static str, &'static str)],
    /// Fields that would change it, with the reason why they are not supported or what to use instead.
    pub unsupported: &'static [(&'static str, &'static str)],
}

impl FieldPolicy {
    /// No fields but those that the route reads.
    pub const NONE: Self = Self {
        ignored: &[],
        hints: &[],
        unsupported: &[],
    };

    /// Removes unsupported fields whose value asks for nothing.
    ///
    /// # Errors
    /// Names the first unsupported field with another value.
    pub fn reject_unsupported(&self, body: &mut Map<String, Value>) -> Result<(), ApiError> {
        for (name, reason) in self.unsupported {
            if body
                .shift_remove(*name)
                .is_some_and(|value| !is_noop(&value))
            {
                let message = format!("`{name}` is not supported: {reason}");
                return Err(ApiError::unsupported(*name, message));
            }
        }
        Ok(())
    }

    /// Warnings about the hints and the unknown fields among those that were not read.
    ///
    /// # Errors
    /// With `strict`, names the first unknown field.
    pub fn warnings(
        &self,
        mut unread: Map<String, Value>,
        strict: bool,
    ) -> Result<Warnings, ApiError> {
        let mut warnings = Warnings::default();
        for (name, reason) in self.hints {
            if unread
                .shift_remove(*name)
                .is_some_and(|value| !is_noop(&value))
            {
                warnings.ignored(name, reason);
            }
        }
        let unread = unread.into_iter().filter(|(_, value)| !value.is_null());
        let mut unknown = unread
            .map(|(name, _)| name)
            .filter(|name| !self.ignored.contains(&name.as_str()))
            .peekable();
        match unknown.peek() {
            None => Ok(warnings),
            Some(name) if strict => {
                let name = excerpt(name);
                let message = format!("unknown field `{name}`; this server runs in strict mode");
                Err(ApiError::unsupported(name, message))
            }
            Some(_) => {
                let names: Vec<String> = unknown.collect();
                warnings.add(format!("unknown fields were ignored: {}", names.join(", ")));
                Ok(warnings)
            }
        }
    }
}

/// What was ignored in a request, for a `warning` header of the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(Vec<String>);

impl Warnings {
    /// Adds a warning.
    pub fn add(&mut self, message: impl Into<String>) {
        self.0.push(message.into());
    }

    /// Adds those of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Adds the warning that the field `path` was ignored.
    pub fn ignored(&mut self, path: &str, reason: &str) {
        self.add(format!("{path} was ignored: {reason}"));
    }

    /// Logs the warnings and puts them into a header of `response`.
    pub fn attach(&self, mut response: Response) -> Response {
        if self.0.is_empty() {
            return response;
        }
        tracing::warn!(warnings = %self, "parts of the request were ignored");
        let printable = |c: char| {
            if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' {
                c
            } else {
                '?'
            }
        };
        let text: String = self.to_string().chars().map(printable).take(500).collect();
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{text}\"")) {
            response.headers_mut().insert("warning", value);
        }
        response
    }
}

impl Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
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
