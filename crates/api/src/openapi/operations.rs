//! The operations of all routes.

use serde_json::{Value, json};

use super::{anthropic as anthropic_schemas, openai as schemas, responses as response_schemas};
use crate::anthropic;
use crate::error::Protocol;
use crate::openai::{chat, completions, embeddings, tokens};
use crate::responses::request as responses_request;

/// A method of a route.
pub struct Operation {
    pub id: &'static str,
    /// In lower case.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    pub summary: &'static str,
    pub protocol: Protocol,
    /// The schema of the request body.
    pub body: Option<Value>,
    /// Names and schemas of the query parameters.
    pub query: Vec<(&'static str, Value)>,
    /// Status, description, and body.
    pub responses: Vec<(u16, &'static str, ResponseBody)>,
    /// Statuses of errors.
    pub errors: &'static [u16],
    /// Whether the route needs the API key, if the server has one.
    pub needs_key: bool,
}

/// The body of a response.
pub enum ResponseBody {
    /// JSON of this schema.
    Json(Value),
    /// JSON of this schema, or a stream of server-sent events.
    JsonOrEvents(Value),
    /// Text of this media type.
    Text(&'static str),
}

/// Errors of routes that generate completions.
const GENERATION_ERRORS: &[u16] = &[400, 401, 404, 413, 415, 429, 500, 503, 504];
/// Errors of other routes with a request body.
const BODY_ERRORS: &[u16] = &[400, 401, 404, 413, 415, 500, 503];
/// Errors of routes about stored responses.
const STORED_ERRORS: &[u16] = &[400, 401, 404, 500];

/// All operations.
pub fn all() -> Vec<Operation> {
    vec![
        post(
            "createChatCompletion",
            "/v1/chat/completions",
            "Creates a chat completion",
            chat::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(schemas::chat_completion()),
            GENERATION_ERRORS,
        ),
        post(
            "createCompletion",
            "/v1/completions",
            "Creates completions of texts or token ids",
            completions::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(schemas::completion()),
            GENERATION_ERRORS,
        ),
        post(
            "createResponse",
            "/v1/responses",
            "Creates and stores a response",
            responses_request::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(response_schemas::response()),
            GENERATION_ERRORS,
        ),
        get(
            "retrieveResponse",
            "/v1/responses/{id}",
            "Returns a stored response",
        )
        .responses(
            ResponseBody::Json(response_schemas::response()),
            STORED_ERRORS,
        ),
        Operation {
            method: "delete",
            ..get(
                "deleteResponse",
                "/v1/responses/{id}",
                "Deletes a stored response",
            )
        }
        .responses(
            ResponseBody::Json(response_schemas::deleted()),
            STORED_ERRORS,
        ),
        input_items(),
        // Always an error: there are no background responses.
        Operation {
            method: "post",
            ..get(
                "cancelResponse",
                "/v1/responses/{id}/cancel",
                "Not supported: there are no background responses",
            )
        }
        .errors(STORED_ERRORS),
        // Always an error: there are no embedding models.
        post(
            "createEmbedding",
            "/v1/embeddings",
            "Not supported: there are no embedding models",
            embeddings::body(),
        )
        .errors(BODY_ERRORS),
        post(
            "createMessage",
            "/v1/messages",
            "Creates a message",
            anthropic::messages::body(),
        )
        .anthropic()
        .responses(
            ResponseBody::JsonOrEvents(anthropic_schemas::message()),
            GENERATION_ERRORS,
        ),
        post(
            "countTokens",
            "/v1/messages/count_tokens",
            "Counts the prompt tokens of a request",
            anthropic::messages::count_body(),
        )
        .anthropic()
        .responses(
            ResponseBody::Json(anthropic_schemas::token_count()),
            BODY_ERRORS,
        ),
        get("listModels", "/v1/models", "Lists the model")
            .responses(ResponseBody::Json(schemas::models()), &[401]),
        get(
            "retrieveModel",
            "/v1/models/{id}",
            "Describes the model by one of its names",
        )
        .responses(ResponseBody::Json(schemas::model()), &[400, 401, 404]),
        post(
            "tokenize",
            "/tokenize",
            "Tokenizes a text or a rendered conversation",
            tokens::tokenize_body(),
        )
        .responses(ResponseBody::Json(schemas::tokens()), BODY_ERRORS),
        post(
            "detokenize",
            "/detokenize",
            "Decodes token ids",
            tokens::detokenize_body(),
        )
        .responses(ResponseBody::Json(schemas::prompt()), BODY_ERRORS),
        post(
            "applyTemplate",
            "/apply-template",
            "Renders a conversation with the chat template",
            tokens::template_body(),
        )
        .responses(ResponseBody::Json(schemas::prompt()), BODY_ERRORS),
        health(),
        get(
            "metrics",
            "/metrics",
            "Metrics in the OpenMetrics text format",
        )
        .without_key()
        .responses(ResponseBody::Text("application/openmetrics-text"), &[500]),
        get("describe", "/openapi.json", "This document")
            .without_key()
            .responses(ResponseBody::Json(json!({"type": "object"})), &[]),
    ]
}

fn input_items() -> Operation {
    let summary = "Lists the input items of a stored response";
    let mut operation = get("listInputItems", "/v1/responses/{id}/input_items", summary)
        .responses(ResponseBody::Json(response_schemas::items()), STORED_ERRORS);
    operation.query = vec![
        ("after", json!({"type": "string"})),
        (
            "limit",
            json!({"type": "integer", "minimum": 1, "maximum": 100}),
        ),
        ("order", json!({"enum": ["asc", "desc"]})),
    ];
    operation
}

fn health() -> Operation {
    let body = |status: Value| {
        ResponseBody::Json(json!({
            "type": "object",
            "required": ["status", "model"],
            "properties": {
                "status": status,
                "model": {"type": "string"},
                "running": {"type": "integer", "description": "Requests that hold KV cache blocks"},
                "queued": {"type": "integer", "description": "Requests in the queue"},
                "steps": {"type": "integer", "description": "Engine steps since the model was loaded"},
                "longest_step_ms": {"type": "integer", "description": "Duration of the longest step in milliseconds"},
                "threads": {"type": "integer", "description": "Compute threads"},
            },
        }))
    };
    let mut operation =
        get("health", "/health", "Whether the server accepts requests").without_key();
    operation.responses = vec![
        (
            200,
            "The server accepts requests",
            body(json!({"const": "ready"})),
        ),
        (
            503,
            "The model is still loading, or the server is shutting down",
            body(json!({"enum": ["starting", "draining"]})),
        ),
    ];
    operation
}

fn get(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation {
        id,
        method: "get",
        path,
        summary,
        protocol: Protocol::OpenAi,
        body: None,
        query: Vec::new(),
        responses: Vec::new(),
        errors: &[],
        needs_key: true,
    }
}

fn post(id: &'static str, path: &'static str, summary: &'static str, body: Value) -> Operation {
    Operation {
        method: "post",
        body: Some(body),
        ..get(id, path, summary)
    }
}

impl Operation {
    fn anthropic(mut self) -> Self {
        self.protocol = Protocol::Anthropic;
        self
    }

    fn without_key(mut self) -> Self {
        self.needs_key = false;
        self
    }

    fn responses(mut self, body: ResponseBody, errors: &'static [u16]) -> Self {
        self.responses.push((200, self.summary, body));
        self.errors(errors)
    }

    fn errors(mut self, errors: &'static [u16]) -> Self {
        self.errors = errors;
        self
    }
}
