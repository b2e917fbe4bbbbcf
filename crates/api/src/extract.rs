//! Request bodies: JSON objects, read once into the type of their route.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, Deserializer, Visitor, value::MapDeserializer};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::fields::{FieldPolicy, Warnings};
use crate::numbers::parse_body;
use crate::state::AppState;
use crate::surrogates::replace_lone;

/// The body of a route's request.
pub trait RequestBody: Sized {
    /// What happens to fields that [`read`](Self::read) does not take.
    const POLICY: FieldPolicy;

    /// Takes the fields of the request.
    ///
    /// # Errors
    /// Names the field that is missing or has a wrong type.
    fn read(fields: &mut Fields) -> Result<Self, ApiError>;
}

/// Extracts a request body of type `T`.
pub struct Body<T> {
    pub request: T,
    /// What the client should know about fields that were not used.
    pub warnings: Warnings,
}

impl<T: RequestBody> FromRequest<AppState> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        check_encoding(request.headers())?;
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| unreadable(&rejection))?;
        Self::parse(&bytes, state.options().strict)
    }
}

impl<T: RequestBody> Body<T> {
    /// Parses a JSON object. Unknown fields are warnings, or errors if `strict` is set.
    ///
    /// # Errors
    /// If it is no JSON object, or has an invalid or unsupported field.
    pub fn parse(bytes: &[u8], strict: bool) -> Result<Self, ApiError> {
        let mut fields = Fields(object(bytes)?);
        T::POLICY.reject_unsupported(&mut fields.0)?;
        let request = T::read(&mut fields)?;
        let warnings = T::POLICY.warnings(fields.0, strict)?;
        Ok(Self { request, warnings })
    }
}

/// The fields of a body that have not been read yet.
#[derive(Debug, Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Takes the fields of the struct `T`.
    ///
    /// # Errors
    /// Names the field that is missing or has a wrong type.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        serde_path_to_error::deserialize(self).map_err(|error| {
            let path = error.path().to_string();
            let message = describe_type(&error.into_inner().to_string());
            if path == "." {
                return ApiError::invalid(message);
            }
            ApiError::field(path.clone(), format!("{path}: {message}"))
        })
    }

    /// Whether the field `name` is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

/// Deserializes a struct from the fields that it names, and removes these.
impl<'de> Deserializer<'de> for &mut Fields {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let fields = names
            .iter()
            .filter_map(|name| self.0.shift_remove_entry(*name));
        visitor.visit_map(MapDeserializer::new(fields))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        Value::Object(std::mem::take(&mut self.0)).deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The id in a path and the query after it.
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

/// A query without parameters.
#[derive(Debug, Deserialize)]
pub struct NoQuery {}

/// Names JSON types instead of Rust's.
pub fn describe_type(message: &str) -> String {
    let names = [
        ("expected usize", "expected a whole number from 0 up"),
        ("expected u16", "expected a whole number from 0 up"),
        ("expected u32", "expected a whole number from 0 up"),
        ("expected u64", "expected a whole number from 0 up"),
        ("expected i64", "expected a whole number"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected struct ", "expected an object of type "),
    ];
    let replace = |message: String, (rust, json)| message.replace(rust, json);
    names.into_iter().fold(message.to_owned(), replace)
}

fn unreadable(rejection: &BytesRejection) -> ApiError {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::body(
            status,
            "the request body is larger than this server accepts",
        );
    }
    ApiError::body(
        StatusCode::BAD_REQUEST,
        format!("the request body could not be read: {rejection}"),
    )
}

/// Rejects compressed bodies by the name of their encoding.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    for value in encodings {
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut names = text.split(',').map(str::trim);
        if let Some(name) =
            names.find(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        {
            return Err(ApiError::content_encoding(name));
        }
    }
    Ok(())
}

/// The content type is not checked: clients that omit it send JSON all the same.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("the request body is not UTF-8: {error}");
            return Err(ApiError::invalid(message));
        }
    };
    // Some editors and shells put a byte order mark before the text.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let parsed =
        parse_body(text).or_else(|error| parse_body(&replace_lone(text)).map_err(|_| error));
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::invalid("the request body must be a JSON object")),
        Err(error) => Err(ApiError::invalid(format!(
            "the request body is not JSON: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Prompt {
        #[serde(alias = "text")]
        prompt: String,
        suffix: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sampling {
        top_k: Option<usize>,
    }

    #[derive(Debug, PartialEq)]
    struct Completion(Prompt, Sampling);

    impl RequestBody for Completion {
        const POLICY: FieldPolicy = FieldPolicy {
            ignored: &["user"],
            hints: &[("prediction", "it has no effect here")],
            unsupported: &[("audio", "this model has text output only")],
        };

        fn read(fields: &mut Fields) -> Result<Self, ApiError> {
            Ok(Self(fields.take()?, fields.take()?))
        }
    }

    fn parse(body: &Value, strict: bool) -> Result<(Completion, Warnings), String> {
        Body::parse(body.to_string().as_bytes(), strict)
            .map(|body| (body.request, body.warnings))
            .map_err(|error| error.to_string())
    }

    fn completion(prompt: &str, top_k: Option<usize>) -> Completion {
        let prompt = Prompt {
            prompt: prompt.to_owned(),
            suffix: None,
        };
        Completion(prompt, Sampling { top_k })
    }

    #[test]
    fn body_is_split_into_the_structs_of_its_route() {
        let (request, warnings) = parse(
            &json!({"text": "Hi", "top_k": 3, "suffix": null, "user": "x", "audio": {}}),
            true,
        )
        .unwrap();
        assert_eq!(request, completion("Hi", Some(3)));
        assert_eq!(warnings, Warnings::default());
    }

    #[test]
    fn unknown_fields_are_warnings_unless_the_server_is_strict() {
        let body = json!({"prompt": "Hi", "brand_new": 1, "nothing": null});
        let (_, warnings) = parse(&body, false).unwrap();
        assert_eq!(
            warnings.to_string(),
            "unknown fields were ignored: brand_new"
        );
        assert!(parse(&body, true).unwrap_err().contains("`brand_new`"));
    }

    #[test]
    fn hints_are_warnings_also_on_a_strict_server() {
        let body = json!({"prompt": "Hi", "prediction": {"type": "content"}});
        let (_, warnings) = parse(&body, true).unwrap();
        assert_eq!(
            warnings.to_string(),
            "prediction was ignored: it has no effect here"
        );
        let (_, warnings) = parse(&json!({"prompt": "Hi", "prediction": []}), true).unwrap();
        assert_eq!(warnings, Warnings::default());
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(
            parse(&json!({"prompt": "Hi", "top_k": "x"}), false),
            Err("top_k: invalid type: string \"x\", expected a whole number from 0 up".to_owned())
        );
        assert_eq!(
            parse(&json!({}), false),
            Err("missing field `prompt`".to_owned())
        );
        assert_eq!(
            parse(&json!({"prompt": "Hi", "audio": {"voice": "x"}}), false),
            Err("`audio` is not supported: this model has text output only".to_owned())
        );
    }
}
