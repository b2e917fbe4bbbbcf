//! The routes and what each answers, a table of contents.

use serde_json::{Value, json};

use super::{anthropic as anthropic_shapes, openai as shapes, responses as items};
use crate::anthropic;
use crate::error::Protocol;
use crate::openai::{chat, completions, embeddings, tokens};
use crate::responses::request as responses;

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
    pub answers: Vec<(u16, &'static str, Answer)>,
    /// Statuses that come with an error.
    pub refusals: &'static [u16],
    /// Where the server has a key.
    pub needs_key: bool,
}

/// What comes with a status.
pub enum Answer {
    /// JSON of this schema.
    Json(Value),
    /// The same, or a stream of events where one was asked for.
    JsonOrEvents(Value),
    /// Text of this media type.
    Text(&'static str),
}

/// What a route can say that computes an answer.
const GENERATING: &[u16] = &[400, 401, 404, 413, 429, 500, 503, 504];
/// What a route can say that reads a body.
const READING: &[u16] = &[400, 401, 404, 413, 500, 503];

/// What a route can say about stored responses.
const STORED: &[u16] = &[400, 401, 404, 500];

/// All operations.
pub fn all() -> Vec<Operation> {
    vec![
        post(
            "createChatCompletion",
            "/v1/chat/completions",
            "Answers a conversation",
            chat::body(),
        )
        .answers(Answer::JsonOrEvents(shapes::chat_completion()), GENERATING),
        post(
            "createCompletion",
            "/v1/completions",
            "Continues texts or tokens",
            completions::body(),
        )
        .answers(Answer::JsonOrEvents(shapes::completion()), GENERATING),
        post(
            "createResponse",
            "/v1/responses",
            "Answers a conversation and keeps the response",
            responses::body(),
        )
        .answers(Answer::JsonOrEvents(items::response()), GENERATING),
        get(
            "retrieveResponse",
            "/v1/responses/{id}",
            "Shows a stored response",
        )
        .answers(Answer::Json(items::response()), STORED),
        Operation {
            method: "delete",
            ..get(
                "deleteResponse",
                "/v1/responses/{id}",
                "Forgets a stored response",
            )
        }
        .answers(Answer::Json(items::deleted()), STORED),
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
        .refuses(STORED),
        // The served model has no embeddings, so the route has no answer but refusals.
        post(
            "createEmbedding",
            "/v1/embeddings",
            "Says that a model that writes text has no embeddings",
            embeddings::body(),
        )
        .refuses(READING),
        post(
            "createMessage",
            "/v1/messages",
            "Answers a conversation",
            anthropic::messages::body(),
        )
        .in_anthropics_words()
        .answers(
            Answer::JsonOrEvents(anthropic_shapes::message()),
            GENERATING,
        ),
        post(
            "countTokens",
            "/v1/messages/count_tokens",
            "Counts the tokens that a conversation takes",
            anthropic::messages::body(),
        )
        .in_anthropics_words()
        .answers(Answer::Json(anthropic_shapes::token_count()), READING),
        get("listModels", "/v1/models", "Lists the model that is served")
            .answers(Answer::Json(shapes::models()), &[401]),
        get(
            "retrieveModel",
            "/v1/models/{id}",
            "Describes the model under one of its names",
        )
        .answers(Answer::Json(shapes::model()), &[400, 401, 404]),
        post(
            "tokenize",
            "/tokenize",
            "A text or a conversation to token ids",
            tokens::tokenize_body(),
        )
        .answers(Answer::Json(shapes::tokens()), READING),
        post(
            "detokenize",
            "/detokenize",
            "Token ids to text",
            tokens::detokenize_body(),
        )
        .answers(Answer::Json(shapes::prompt()), READING),
        post(
            "applyTemplate",
            "/apply-template",
            "A conversation as the model reads it",
            tokens::template_body(),
        )
        .answers(Answer::Json(shapes::prompt()), READING),
        health(),
        get(
            "metrics",
            "/metrics",
            "Counts and times in the text format of Prometheus",
        )
        .without_key()
        .answers(Answer::Text("application/openmetrics-text"), &[500]),
        get("describe", "/openapi.json", "This document")
            .without_key()
            .answers(Answer::Json(json!({"type": "object"})), &[]),
    ]
}

fn input_items() -> Operation {
    let summary = "Lists the items that a stored response answers";
    let mut operation = get("listInputItems", "/v1/responses/{id}/input_items", summary)
        .answers(Answer::Json(items::items()), STORED);
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
        Answer::Json(json!({
            "type": "object",
            "required": ["status", "model"],
            "properties": {"status": status, "model": {"type": "string"}},
        }))
    };
    let mut operation = get("health", "/health", "Whether requests are taken").without_key();
    operation.answers = vec![
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
        answers: Vec::new(),
        refusals: &[],
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
    fn in_anthropics_words(mut self) -> Self {
        self.protocol = Protocol::Anthropic;
        self
    }

    fn without_key(mut self) -> Self {
        self.needs_key = false;
        self
    }

    fn answers(mut self, answer: Answer, refusals: &'static [u16]) -> Self {
        self.answers.push((200, self.summary, answer));
        self.refuses(refusals)
    }

    fn refuses(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }
}
