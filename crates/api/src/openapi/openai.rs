//! Response schemas of OpenAI's APIs and of the tokenizer routes.

use serde_json::{Value, json};

/// An object whose fields are all required.
pub fn object_schema(properties: Value) -> Value {
    let names: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .collect();
    json!({"type": "object", "required": names, "properties": properties})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// An array.
pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An error.
pub fn error() -> Value {
    object_schema(json!({"error": object_schema(json!({
        "message": {"type": "string"},
        "type": {"type": "string"},
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "null"]},
    }))}))
}

fn usage() -> Value {
    object_schema(json!({
        "prompt_tokens": count(),
        "completion_tokens": count(),
        "total_tokens": count(),
        "prompt_tokens_details": object_schema(json!({"cached_tokens": count()})),
    }))
}

/// Latencies and speeds of a completion.
pub fn timings() -> Value {
    object_schema(json!({
        "queue_ms": {"type": "number"},
        "time_to_first_token_ms": {"type": "number"},
        "generation_ms": {"type": "number"},
        "prompt_tokens_per_second": {"type": "number"},
        "generation_tokens_per_second": {"type": "number"},
    }))
}

fn choice(mut properties: Value, reasons: &[&str]) -> Value {
    properties["index"] = count();
    properties["finish_reason"] = json!({"enum": reasons});
    let mut choice = object_schema(properties);
    choice["properties"]["timings"] = timings();
    choice
}

fn response(object: &str, choice: Value) -> Value {
    object_schema(json!({
        "id": {"type": "string"},
        "object": {"const": object},
        "created": count(),
        "model": {"type": "string"},
        "system_fingerprint": {"type": "string"},
        "choices": {"type": "array", "minItems": 1, "items": choice},
        "usage": usage(),
    }))
}

/// A chat completion.
pub fn chat_completion() -> Value {
    let mut message = object_schema(json!({
        "role": {"const": "assistant"},
        "content": {"type": ["string", "null"]},
        "refusal": {"type": "null"},
    }));
    message["properties"]["reasoning_content"] = json!({"type": "string"});
    let string = json!({"type": "string"});
    let call = |kind: &str, fields: Value| {
        object_schema(json!({"id": string, "type": {"const": kind}, kind: object_schema(fields)}))
    };
    let arguments = json!({"name": string, "arguments": string});
    message["properties"]["function_call"] = object_schema(arguments.clone());
    message["properties"]["tool_calls"] = list(json!({"anyOf": [
        call("function", arguments),
        call("custom", json!({"name": string, "input": string})),
    ]}));
    let token = json!({
        "token": {"type": "string"},
        "logprob": {"type": "number", "maximum": 0},
        "bytes": list(json!({"type": "integer", "minimum": 0, "maximum": 255})),
    });
    let mut entry = token.clone();
    entry["top_logprobs"] = list(object_schema(token));
    let logprobs =
        object_schema(json!({"content": list(object_schema(entry)), "refusal": {"type": "null"}}));
    let choice = choice(
        json!({"message": message, "logprobs": {"anyOf": [logprobs, {"type": "null"}]}}),
        &["stop", "length", "tool_calls", "function_call"],
    );
    response("chat.completion", choice)
}

/// A text completion.
pub fn completion() -> Value {
    let logprob = json!({"type": "number", "maximum": 0});
    let logprobs = object_schema(json!({
        "tokens": list(json!({"type": "string"})),
        "token_logprobs": list(logprob.clone()),
        "top_logprobs": list(json!({"type": "object", "additionalProperties": logprob})),
        "text_offset": list(count()),
    }));
    let choice = choice(
        json!({"text": {"type": "string"}, "logprobs": {"anyOf": [logprobs, {"type": "null"}]}}),
        &["stop", "length"],
    );
    response("text_completion", choice)
}

/// A model.
pub fn model() -> Value {
    let mut model = object_schema(json!({
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": count(),
        "owned_by": {"type": "string"},
        "root": {"type": "string"},
    }));
    // Present once the model is loaded.
    model["properties"]["context_length"] = count();
    model["properties"]["architecture"] = json!({"type": "string"});
    model["properties"]["parameters"] = count();
    let flag = json!({"type": "boolean"});
    model["properties"]["capabilities"] = object_schema(
        json!({"chat": flag, "tools": flag, "reasoning": flag, "vision": flag, "embeddings": flag}),
    );
    model
}

/// The list of models.
pub fn models() -> Value {
    object_schema(json!({"object": {"const": "list"}, "data": list(model())}))
}

/// Token ids.
pub fn tokens() -> Value {
    let mut tokens =
        object_schema(json!({"count": count(), "max_model_len": count(), "tokens": list(count())}));
    tokens["properties"]["token_strs"] = list(json!({"type": ["string", "null"]}));
    tokens
}

/// Prompt text.
pub fn prompt() -> Value {
    object_schema(json!({"prompt": {"type": "string"}}))
}
