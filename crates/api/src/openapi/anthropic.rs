//! Response schemas of Anthropic's API.

use serde_json::{Value, json};

use super::openai::object_schema;

/// An error.
pub fn error() -> Value {
    let mut error =
        object_schema(json!({"type": {"type": "string"}, "message": {"type": "string"}}));
    error["properties"]["code"] = json!({
        "type": "string",
        "description": "The stable name of the error in the OpenAI API, if it has one",
    });
    object_schema(json!({"type": {"const": "error"}, "error": error}))
}

/// A message.
pub fn message() -> Value {
    let string = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let text = object_schema(json!({"type": {"const": "text"}, "text": string}));
    let thinking = object_schema(
        json!({"type": {"const": "thinking"}, "thinking": string, "signature": string}),
    );
    let call = object_schema(json!({
        "type": {"const": "tool_use"},
        "id": string,
        "name": string,
        "input": {"type": "object"},
    }));
    object_schema(json!({
        "id": string,
        "type": {"const": "message"},
        "role": {"const": "assistant"},
        "model": string,
        "content": {"type": "array", "items": {"anyOf": [text, thinking, call]}},
        "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]},
        "stop_sequence": {"type": ["string", "null"]},
        "usage": object_schema(json!({
            "input_tokens": count,
            "cache_read_input_tokens": count,
            "cache_creation_input_tokens": count,
            "output_tokens": count,
        })),
    }))
}

/// The result of `count_tokens`.
pub fn token_count() -> Value {
    object_schema(json!({"input_tokens": {"type": "integer", "minimum": 0}}))
}
