//! The routes and what each responses, a table of contents.

use serde_json::{Value, json};

use super::{anthropic as anthropic_shapes, openai as shapes, responses as items};
use crate::anthropic;
use crate::error::Protocol;
use crate::openai::{chat, completions, embeddings, tokens};
use crate::responses::request as responses_request;

/// A method of a route.
pub struct Operation {
    pub id: &'static str,
    /// In small letters.
    pub method: &'static str,
    /// Parameters are in braces.
    pub path: &'static str,
    pub summary: &'static str,
    pub protocol: Protocol,
    /// The schema of its body.
    pub body: Option<Value>,
    /// Names and schemas of what may be asked behind the path.
    pub query: Vec<(&'static str, Value)>,
    /// Status, what it means, and what comes with it.
    pub responses: Vec<(u16, &'static str, ResponseBody)>,
    /// Statuses that come with an error.
    pub errors: &'static [u16],
    /// Where the server has a key.
    pub needs_key: bool,
}

/// What comes with a status.
pub enum ResponseBody {
    /// JSON of this schema.
    Json(Value),
    /// The same, or a stream of events where one was asked for.
    JsonOrEvents(Value),
    /// Text of this media type.
    Text(&'static str),
}

/// What a route can say that computes an answer.
const GENERATION_ERRORS: &[u16] = &[400, 401, 404, 413, 429, 500, 503, 504];
/// What a route can say that reads a body.
const BODY_ERRORS: &[u16] = &[400, 401, 404, 413, 500, 503];

/// What a route can say about stored responses.
const STORED_ERRORS: &[u16] = &[400, 401, 404, 500];

/// All operations.
pub fn all() -> Vec<Operation> {
    vec![
        post(
            "createChatCompletion",
            "/v1/chat/completions",
            "Answers a conversation",
            chat::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(shapes::chat_completion()),
            GENERATION_ERRORS,
        ),
        post(
            "createCompletion",
            "/v1/completions",
            "Continues texts or tokens",
            completions::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(shapes::completion()),
            GENERATION_ERRORS,
        ),
        post(
            "createResponse",
            "/v1/responses",
            "Answers a conversation and keeps the response",
            responses_request::body(),
        )
        .responses(
            ResponseBody::JsonOrEvents(items::response()),
            GENERATION_ERRORS,
        ),
        get(
            "retrieveResponse",
            "/v1/responses/{id}",
            "Shows a stored response",
        )
        .responses(ResponseBody::Json(items::response()), STORED_ERRORS),
        Operation {
            method: "delete",
            ..get(
                "deleteResponse",
                "/v1/responses/{id}",
                "Forgets a stored response",
            )
        }
        .responses(ResponseBody::Json(items::deleted()), STORED_ERRORS),
        input_items(),
        // What is stored has ended, so there is nothing to cancel.
        Operation {
            method: "post",
            ..get(
                "cancelResponse",
                "/v1/responses/{id}/cancel",
                "Says that nothing runs in the background",
            )
        }
        .errors(STORED_ERRORS),
        // The served model has no embeddings, so the route has no answer but errors.
        post(
            "createEmbedding",
            "/v1/embeddings",
            "Says that a model that writes text has no embeddings",
            embeddings::body(),
        )
        .errors(BODY_ERRORS),
        post(
            "createMessage",
            "/v1/messages",
            "Answers a conversation",
            anthropic::messages::body(),
        )
        .anthropic()
        .responses(
            ResponseBody::JsonOrEvents(anthropic_shapes::message()),
            GENERATION_ERRORS,
        ),
        post(
            "countTokens",
            "/v1/messages/count_tokens",
            "Counts the tokens that a conversation takes",
            anthropic::messages::count_body(),
        )
        .anthropic()
        .responses(
            ResponseBody::Json(anthropic_shapes::token_count()),
            BODY_ERRORS,
        ),
        get(
            "listModels",
            "/v1/models",
            "CompletionLogprobs the model that is served",
        )
        .responses(ResponseBody::Json(shapes::models()), &[401]),
        get(
            "retrieveModel",
            "/v1/models/{id}",
            "Describes the model under one of its names",
        )
        .responses(ResponseBody::Json(shapes::model()), &[400, 401, 404]),
        post(
            "tokenize",
            "/tokenize",
            "A text or a conversation to token ids",
            tokens::tokenize_body(),
        )
        .responses(ResponseBody::Json(shapes::tokens()), BODY_ERRORS),
        post(
            "detokenize",
            "/detokenize",
            "Token ids to text",
            tokens::detokenize_body(),
        )
        .responses(ResponseBody::Json(shapes::prompt()), BODY_ERRORS),
        post(
            "applyTemplate",
            "/apply-template",
            "A conversation as the model reads it",
            tokens::template_body(),
        )
        .responses(ResponseBody::Json(shapes::prompt()), BODY_ERRORS),
        health(),
        get(
            "metrics",
            "/metrics",
            "Counts and times in the text format of Prometheus",
        )
        .without_key()
        .responses(ResponseBody::Text("application/openmetrics-text"), &[500]),
        get("describe", "/openapi.json", "This document")
            .without_key()
            .responses(ResponseBody::Json(json!({"type": "object"})), &[]),
    ]
}

fn input_items() -> Operation {
    let summary = "CompletionLogprobs the items that a stored response responses";
    let mut operation = get("listInputItems", "/v1/responses/{id}/input_items", summary)
        .responses(ResponseBody::Json(items::items()), STORED_ERRORS);
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
    let shape = |status: Value| {
        ResponseBody::Json(json!({
            "type": "object",
            "required": ["status", "model"],
            "properties": {"status": status, "model": {"type": "string"}},
        }))
    };
    let mut operation = get("health", "/health", "Whether requests are taken").without_key();
    operation.responses = vec![
        (200, "Requests are taken", shape(json!({"const": "ready"}))),
        (
            503,
            "The model is still loading, or the server is shutting down",
            shape(json!({"enum": ["starting", "draining"]})),
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

    fn responses(mut self, answer: ResponseBody, errors: &'static [u16]) -> Self {
        self.responses.push((200, self.summary, answer));
        self.errors(errors)
    }

    fn errors(mut self, errors: &'static [u16]) -> Self {
        self.errors = errors;
        self
    }
}
