//! `GET /openapi.json`: an OpenAPI 3.1 document of all routes. Request schemas are generated from the types that parse requests.
//!
//! - `operations`: routes, methods, and responses.
//! - `requests`: request schemas.
//! - `openai`, `responses`, `anthropic`: response schemas.

mod anthropic;
mod openai;
mod operations;
pub mod requests;
pub mod responses;

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};

use crate::error::Protocol;
use operations::{Operation, ResponseBody};

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// Returns the document.
pub async fn describe() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mlxm",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "OpenAI and Anthropic APIs for one model. Fields that are not described here are named in a `warning` \
                header, or rejected if the server was started with --strict.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                "OpenAiError": openai::error(),
                "AnthropicError": anthropic::error(),
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    })
}

impl Operation {
    fn describe(&self) -> Value {
        let mut responses = Map::new();
        for (status, description, body) in &self.responses {
            let mut response = json!({"description": description});
            response["content"] = body.content();
            responses.insert(status.to_string(), response);
        }
        for status in self.errors {
            responses.insert(status.to_string(), error_response(*status, self.protocol));
        }
        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "responses": responses,
        });
        if self.needs_key {
            // Authentication is optional: a server without a key accepts all requests.
            described["security"] = json!([{}, {"bearer": []}, {"header": []}]);
        }
        if let Some(body) = &self.body {
            described["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": body}}});
        }
        let mut parameters = Vec::new();
        if self.path.contains("{id}") {
            parameters.push(json!({
                "name": "id",
                "in": "path",
                "required": true,
                "schema": {"type": "string", "minLength": 1},
            }));
        }
        for (name, schema) in &self.query {
            parameters.push(json!({"name": name, "in": "query", "schema": schema}));
        }
        described["parameters"] = parameters.into();
        described
    }
}

impl ResponseBody {
    fn content(&self) -> Value {
        match self {
            Self::Json(schema) => json!({"application/json": {"schema": schema}}),
            Self::JsonOrEvents(schema) => json!({
                "application/json": {"schema": schema},
                "text/event-stream": {"schema": event_schema()},
            }),
            Self::Text(kind) => json!({*kind: {"schema": {"type": "string"}}}),
        }
    }
}

/// The schema of a server-sent event.
fn event_schema() -> Value {
    json!({
        "type": "object",
        "description": "Each event, with `\"stream\": true`.",
        "properties": {
            "event": {"type": "string"},
            "data": {"type": "string", "description": "JSON, or `[DONE]` at the end of chat completions and completions."},
        },
        "required": ["data"],
    })
}

/// The description of an error response.
fn error_response(status: u16, protocol: Protocol) -> Value {
    let description = match status {
        400 => "Invalid JSON, or an invalid or unsupported field",
        401 => "The API key is missing or wrong",
        404 => "Unknown model or response",
        413 => "The body is too large",
        415 => "The body is compressed",
        429 => "The queue is full",
        503 => "The model is still loading, or the server is shutting down",
        504 => "The request timed out",
        _ => "Internal error",
    };
    let name = match protocol {
        Protocol::OpenAi => "OpenAiError",
        Protocol::Anthropic => "AnthropicError",
    };
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    let mut response =
        json!({"description": description, "content": {"application/json": {"schema": schema}}});
    if matches!(status, 429 | 503) {
        response["headers"] = json!({"Retry-After": {"description": "Seconds to wait before the next attempt", "schema": {"type": "integer"}}});
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::{AppState, ServerOptions, Shutdown, routes, serve};

    /// The paths of the document.
    fn documented() -> Vec<String> {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        paths.keys().cloned().collect()
    }

    #[test]
    fn document_lists_exactly_the_routes() {
        let mut routes: Vec<String> = routes::paths()
            .map(|path| path.replace("{*", "{"))
            .collect();
        let mut documented = documented();
        routes.sort();
        documented.sort();
        assert_eq!(documented, routes);
    }

    #[tokio::test]
    async fn routes_accept_exactly_the_documented_methods() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = AppState::starting(ServerOptions::default());
        let running = serve(listener, server, Shutdown::default(), Duration::ZERO);
        tokio::spawn(running);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for path in documented() {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let route = path.replace("{id}", "x");
                let request = client.request(method.parse().unwrap(), format!("{url}{route}"));
                let accepted = request.send().await.unwrap().status() != 405;
                let documented = DOCUMENT["paths"][&path]
                    .get(method.to_lowercase())
                    .is_some();
                assert_eq!(accepted, documented, "{method} {path}");
            }
        }
    }

    #[test]
    fn count_tokens_does_not_require_max_tokens() {
        let document = document();
        let required = |path: &str| {
            document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
                ["required"]
                .clone()
        };
        assert_eq!(required("/v1/messages/count_tokens"), json!(["messages"]));
        assert_eq!(required("/v1/messages"), json!(["messages", "max_tokens"]));
    }

    #[test]
    fn errors_match_the_documented_schema() {
        let error = crate::error::ApiError::field("n", "n is 0");
        for (protocol, schema) in [
            (Protocol::OpenAi, openai::error()),
            (Protocol::Anthropic, anthropic::error()),
        ] {
            let body = error.body_in(protocol);
            let required = |schema: &Value, value: &Value| {
                for name in schema["required"].as_array().unwrap() {
                    assert!(
                        value.get(name.as_str().unwrap()).is_some(),
                        "{name} in {value}"
                    );
                }
            };
            required(&schema, &body);
            required(&schema["properties"]["error"], &body["error"]);
        }
    }
}
