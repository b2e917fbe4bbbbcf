//! Schemas of the Responses API: request fields that are parsed by hand, and responses.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::openai::{list, object_schema, timings};
use super::requests::{optional, plain_format, schema_format, text, text_format, tool_name};

fn parts(kind: &str) -> Value {
    let part = json!({
        "type": "object",
        "properties": {"type": {"const": kind}, "text": {"type": "string"}},
        "required": ["type", "text"],
    });
    json!({"anyOf": [{"type": "string"}, {"type": "array", "items": part}]})
}

/// A string or a list of items.
pub fn input(_: &mut SchemaGenerator) -> Schema {
    let string = json!({"type": "string"});
    let message = |roles: Value, content: Value| {
        json!({
            "type": "object",
            "properties": {"type": {"const": "message"}, "role": {"enum": roles}, "content": content},
            "required": ["role", "content"],
        })
    };
    let item = |kind: &str, fields: Value| {
        let mut item = object_schema(fields);
        item["properties"]["type"] = json!({"const": kind});
        if let Some(required) = item["required"].as_array_mut() {
            required.push("type".into());
        }
        item
    };
    optional(json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"anyOf": [
            message(json!(["system", "developer", "user"]), parts("input_text")),
            message(json!(["assistant"]), parts("output_text")),
            item("function_call", json!({"call_id": string, "name": string, "arguments": string})),
            item("function_call_output", json!({"call_id": string, "output": text()})),
        ]}},
    ]}))
}

/// Tools. The function is not nested, as it is in chat completions.
pub fn tools(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "type": {"const": "function"},
            "name": tool_name(),
            "description": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "description": "A JSON schema"},
            "strict": {"type": ["boolean", "null"]},
        },
        "required": ["type", "name"],
    }}))
}

/// `tool_choice`.
pub fn tool_choice(_: &mut SchemaGenerator) -> Schema {
    let named = json!({
        "type": "object",
        "properties": {"type": {"const": "function"}, "name": tool_name()},
        "required": ["type", "name"],
    });
    optional(json!({"anyOf": [
        {"enum": ["auto", "none", "required"]},
        named,
        {
            "type": "object",
            "properties": {
                "type": {"const": "allowed_tools"},
                "mode": {"enum": ["auto", "required"]},
                "tools": {"type": "array", "minItems": 1, "items": named},
            },
            "required": ["type", "mode", "tools"],
        },
    ]}))
}

/// `text.format`.
pub fn format(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"anyOf": [
        plain_format("text"),
        plain_format("json_object"),
        schema_format(),
        text_format("regex", "A regular expression that the whole output must match"),
        text_format("grammar", "A Lark grammar"),
    ]}))
}

/// A response object.
pub fn response() -> Value {
    let string = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let nullable = json!({"type": ["string", "null"]});
    let status = json!({"enum": ["completed", "incomplete", "in_progress"]});
    let output_text = object_schema(json!({
        "type": {"const": "output_text"},
        "text": string,
        "annotations": {"type": "array"},
        "logprobs": {"type": "array"},
    }));
    let message = object_schema(json!({
        "type": {"const": "message"},
        "id": string,
        "role": {"const": "assistant"},
        "status": status,
        "content": list(output_text),
    }));
    let call = object_schema(json!({
        "type": {"const": "function_call"},
        "id": string,
        "call_id": string,
        "name": string,
        "arguments": string,
        "status": status,
    }));
    let reasoning = object_schema(
        json!({"type": {"const": "reasoning"}, "id": string, "summary": {"type": "array"}}),
    );
    let usage = object_schema(json!({
        "input_tokens": count,
        "input_tokens_details": object_schema(json!({"cached_tokens": count})),
        "output_tokens": count,
        "output_tokens_details": object_schema(json!({"reasoning_tokens": count})),
        "total_tokens": count,
    }));
    let mut response = object_schema(json!({
        "id": string,
        "object": {"const": "response"},
        "created_at": count,
        "completed_at": {"type": ["integer", "null"]},
        "status": {"enum": ["completed", "incomplete", "failed"]},
        "error": {"type": ["object", "null"]},
        "incomplete_details": {"type": ["object", "null"]},
        "instructions": nullable,
        "metadata": {"type": "object"},
        "model": string,
        "output": list(json!({"anyOf": [message, call, reasoning]})),
        "parallel_tool_calls": {"type": "boolean"},
        "previous_response_id": nullable,
        "store": {"type": "boolean"},
        "temperature": {"type": "number"},
        "top_p": {"type": "number"},
        "tools": {"type": "array"},
        "usage": {"anyOf": [usage, {"type": "null"}]},
    }));
    response["properties"]["timings"] = timings();
    response
}

/// The result of deleting a response.
pub fn deleted() -> Value {
    object_schema(json!({
        "id": {"type": "string"},
        "object": {"const": "response"},
        "deleted": {"const": true},
    }))
}

/// A page of input items.
pub fn items() -> Value {
    object_schema(json!({
        "object": {"const": "list"},
        "first_id": {"type": ["string", "null"]},
        "last_id": {"type": ["string", "null"]},
        "has_more": {"type": "boolean"},
        "data": list(json!({"type": "object"})),
    }))
}
