//! Errors of the management API: one type, rendered as `application/problem+json`.

mod acquire;
mod codes;
mod convert;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use acquire::rejection_code;
pub use codes::Code;

use crate::error::ApiError;
use crate::layers::REQUEST_ID;
use crate::wire::problem::PROBLEM_JSON;
use crate::wire::{FieldError, Problem};

/// Why a request under `/api` failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ApiProblem {
    code: Code,
    detail: String,
    advice: Option<String>,
    errors: Vec<FieldError>,
    /// 32 bits keep the errors of functions small.
    retry_after_seconds: Option<u32>,
}

impl ApiProblem {
    /// A problem; `detail` says what is wrong in this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            advice: None,
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// An invalid field. `kind` is a stable name of what is wrong, such as `out_of_range`.
    pub fn field(field: impl Into<String>, kind: &str, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::new(Code::INVALID_REQUEST, format!("{field}: {message}"))
            .with_field(field, kind, message)
    }

    /// Invalid fields; `None` if there are none.
    pub fn fields(errors: Vec<FieldError>) -> Option<Self> {
        let first = errors.first()?;
        let more = match errors.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let detail = format!("{}: {}{more}", first.field, first.message);
        Some(Self {
            errors,
            ..Self::new(Code::INVALID_REQUEST, detail)
        })
    }

    /// Adds what to do next.
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds an invalid field.
    pub fn with_field(
        mut self,
        field: impl Into<String>,
        kind: &str,
        message: impl Into<String>,
    ) -> Self {
        self.errors.push(FieldError {
            field: field.into(),
            code: kind.to_owned(),
            message: message.into(),
        });
        self
    }

    /// The same problem of an object in the field `parent` of the request.
    pub fn within(mut self, parent: &str) -> Self {
        if self.errors.is_empty() {
            return self;
        }
        self.detail = format!("{parent}.{}", self.detail);
        for error in &mut self.errors {
            error.field = format!("{parent}.{}", error.field);
        }
        self
    }

    /// Adds the time after which a retry may succeed.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// The body of the response.
    pub(in crate::gateway) fn to_wire(&self, request_id: Option<String>) -> Problem {
        Problem {
            kind: format!("urn:mlxm:error:{}", self.code.name),
            title: self.code.title.to_owned(),
            status: self.code.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.name.to_owned(),
            advice: self.advice.clone(),
            request_id,
            errors: self.errors.clone(),
        }
    }

    fn response(&self, request_id: Option<String>) -> Response {
        let body = serde_json::to_string(&self.to_wire(request_id)).unwrap_or_default();
        let mut response = (
            self.code.status,
            [(header::CONTENT_TYPE, PROBLEM_JSON)],
            body,
        )
            .into_response();
        if let Some(seconds) = self.retry_after_seconds {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Without the request id, which [`render`] adds.
impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// Renders errors as problems with the id of the request: also those of layers that all routes of the gateway share.
pub async fn render(request: Request, next: Next) -> Response {
    let request_id = request.headers().get(REQUEST_ID);
    let request_id = request_id
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let response = next.run(request).await;
    let extensions = response.extensions();
    let problem = match (extensions.get::<ApiProblem>(), extensions.get::<ApiError>()) {
        (Some(problem), _) => problem.clone(),
        (None, Some(error)) => ApiProblem::from(error),
        (None, None) => return response,
    };
    let mut rendered = problem.response(request_id);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
}
