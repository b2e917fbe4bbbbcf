//! One error type for all routes, rendered in the format of the request's protocol.

use std::borrow::Cow;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mlxm_chat::ChatError;
use mlxm_chat::template::TemplateError;
use mlxm_engine::sampling::SamplingError;
use mlxm_engine::text::TokenizerError;
use mlxm_engine::{GenerationError, RequestError};
use serde_json::{Value, json};

use crate::responses::store::StoreError;

/// The API that a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    OpenAi,
    Anthropic,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// The invalid field of the request.
    param: Option<String>,
    code: Option<&'static str>,
    retry_after_seconds: Option<u64>,
    /// The message in the Anthropic API, where clients recognize an error by its words.
    anthropic_message: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            retry_after_seconds: None,
            anthropic_message: None,
        }
    }

    /// An invalid request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// An invalid field.
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::invalid(message)
        }
    }

    /// A problem at `path` of the request; the message begins with the path.
    pub fn at(path: &str, problem: &str) -> Self {
        Self::field(path, format!("{path} {problem}"))
    }

    /// A field of the official API that is not supported.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: Some("unsupported_parameter"),
            ..Self::field(param, message)
        }
    }

    /// A required field is missing.
    pub fn missing(param: &str) -> Self {
        Self::field(param, format!("{param} is missing"))
    }

    /// The server cannot process requests yet or any more; clients may retry.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            retry_after_seconds: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// A failure with a stable code, such as of another process that this server needs.
    pub fn with_code(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            ..Self::new(status, message)
        }
    }

    /// Names the field of the request that is the cause.
    pub fn about(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// Adds the time after which clients may retry.
    pub fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after_seconds = seconds;
        self
    }

    /// A bug or a failure of this server.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// A model that is not served.
    pub fn unknown_model(name: &str, served: &str) -> Self {
        let name = excerpt(name);
        let message = format!("there is no model `{name}` here; this server has `{served}`");
        Self::with_code(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
    }

    /// A previous response that is not stored.
    pub fn unknown_previous_response(id: &str) -> Self {
        let id = excerpt(id);
        Self {
            code: Some("previous_response_not_found"),
            ..Self::field(
                "previous_response_id",
                format!(
                    "there is no response `{id}` to continue: it was never stored, or it is not kept any more; send the whole conversation"
                ),
            )
        }
    }

    /// A sampling value that is out of range.
    pub fn sampling(error: &SamplingError) -> Self {
        match error {
            SamplingError::OutOfRange { parameter, .. } => {
                Self::field(*parameter, error.to_string())
                    .renamed("repetition_context", "repetition_context_size")
            }
            SamplingError::UnknownBiasToken { .. } | SamplingError::BiasOutOfRange { .. } => {
                Self::field("logit_bias", error.to_string())
            }
            SamplingError::EmptyStop => Self::field("stop", error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }

    /// A missing or wrong API key.
    pub fn unauthorized() -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "the API key is missing or wrong: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
            )
        }
    }

    /// A request that this client may not send.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// An unknown resource.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A method that the route does not have.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this route does not support that method",
        )
    }

    /// A body that could not be read.
    pub fn body(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    /// A body whose content encoding cannot be read.
    pub fn content_encoding(encoding: &str) -> Self {
        let encoding = excerpt(encoding);
        Self::with_code(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            format!(
                "the request body has the content encoding {encoding}, which is not supported: send it without compression"
            ),
        )
    }

    /// The request took longer than the limit.
    pub fn timed_out(seconds: u64) -> Self {
        Self {
            code: Some("timeout"),
            ..Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "the completion did not finish within {seconds} seconds, the limit of this server"
                ),
            )
        }
    }

    /// Renames the field `inner` to `outer`, its name in the request's protocol.
    pub fn renamed(mut self, inner: &str, outer: &str) -> Self {
        if self.param.as_deref() == Some(inner) {
            self.message = self.message.replace(inner, outer);
            self.param = Some(outer.to_owned());
        }
        self
    }

    /// Renames the last fields of a path, such as `.function.parameters`, to those of the request's protocol.
    pub fn with_path_end(self, inner: &str, outer: &str) -> Self {
        let path = self
            .param
            .as_deref()
            .and_then(|path| path.strip_suffix(inner));
        match path.map(|path| (format!("{path}{inner}"), format!("{path}{outer}"))) {
            Some((inner, outer)) => self.renamed(&inner, &outer),
            None => self,
        }
    }

    /// `error.type` in the OpenAI API.
    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// `error.type` in the Anthropic API.
    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code, if there is one.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The invalid field of the request, if there is one.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The body in the protocol's format.
    pub fn body_in(&self, protocol: Protocol) -> Value {
        match protocol {
            Protocol::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.param,
                "code": self.code,
            }}),
            Protocol::Anthropic => {
                let message = match (&self.anthropic_message, &self.param) {
                    (Some(message), _) => message.clone(),
                    (None, Some(param)) if !self.message.contains(param.as_str()) => {
                        format!("{param}: {}", self.message)
                    }
                    _ => self.message.clone(),
                };
                let mut error = json!({"type": self.anthropic_type(), "message": message});
                // Not of the official API. Chats tell errors of streams apart by it.
                if let Some(code) = self.code {
                    error["code"] = code.into();
                }
                json!({"type": "error", "error": error})
            }
        }
    }

    /// The response in the protocol's format.
    fn response_in(&self, protocol: Protocol) -> Response {
        let mut response = (self.status, Json(self.body_in(protocol))).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Most characters of a client's text that an error repeats.
const MAX_EXCERPT: usize = 200;

/// The start of a text of the client, for an error that repeats it.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_EXCERPT) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.split_at(end).0)),
        None => Cow::Borrowed(text),
    }
}

/// The OpenAI API's format; [`render`] replaces it on routes of other protocols.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.response_in(Protocol::OpenAi);
        response.extensions_mut().insert(self);
        response
    }
}

/// Renders an error response in the format of the protocol that the path belongs to.
pub async fn render(request: Request, next: Next) -> Response {
    let protocol = protocol_of(request.uri().path());
    let response = next.run(request).await;
    match response.extensions().get::<ApiError>() {
        Some(error) if protocol != Protocol::OpenAi => {
            let mut rendered = error.response_in(protocol);
            // Read by the log.
            rendered.extensions_mut().insert(error.clone());
            rendered
        }
        _ => response,
    }
}

/// The protocol of the route at `path`.
pub fn protocol_of(path: &str) -> Protocol {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    if path.starts_with("/messages") {
        Protocol::Anthropic
    } else {
        Protocol::OpenAi
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        let advice = "shorten it, or start the server with a larger --context-length";
        match error {
            RequestError::PromptTooLong {
                prompt_tokens,
                context_length,
            } => Self {
                code: Some("context_length_exceeded"),
                // Agents shorten the conversation when they read these words.
                anthropic_message: Some(format!(
                    "prompt is too long: {prompt_tokens} tokens > {context_length} maximum; {advice}"
                )),
                ..Self::invalid(format!(
                    "the prompt has {prompt_tokens} tokens, but the maximum context length is {context_length} tokens (prompt and completion together); {advice}"
                ))
            },
            RequestError::QueueFull { .. } => Self {
                code: Some("queue_full"),
                retry_after_seconds: Some(1),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, message)
            },
            RequestError::Draining => Self::unavailable(message),
            RequestError::Sampling(error) => Self::sampling(&error),
            RequestError::Stopped | RequestError::Compute(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
            _ => Self::invalid(message),
        }
    }
}

impl From<GenerationError> for ApiError {
    fn from(error: GenerationError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let message = error.to_string();
        match error {
            ChatError::Template(error) => match &*error {
                TemplateError::Missing { .. } => Self::invalid(format!(
                    "{message}; without a chat template only /v1/completions works"
                )),
                // Other messages may be valid for the template.
                _ => Self::field("messages", message),
            },
            ChatError::ResponseFormatWithTools(_) => Self::unsupported("response_format", message),
            ChatError::Grammar { parameter, .. } => Self::field(parameter, message),
            ChatError::ToolSchema { index, .. } => {
                Self::field(format!("tools[{index}].function.parameters"), message)
            }
            ChatError::ThinkingBudget => {
                let message = message.replace("a thinking budget", "thinking.budget_tokens");
                Self::unsupported("thinking", message)
            }
            ChatError::InvalidParameter { name, message } => Self::field(name, message),
            ChatError::Sampling(error) => Self::sampling(&error),
            ChatError::Request(error) => Self::from(error),
            _ => Self::invalid(message),
        }
    }
}

impl From<TokenizerError> for ApiError {
    fn from(error: TokenizerError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}
