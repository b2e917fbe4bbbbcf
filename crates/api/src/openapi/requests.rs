//! Request schemas, generated from the types that parse the requests, and schemas of fields that are parsed by hand.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::fields::FieldPolicy;

/// The schema of a type.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

/// The merged schema of several types, with the ignored, hint and unsupported fields of the route.
pub fn body(parts: &[Value], policy: &FieldPolicy) -> Value {
    let mut body = merged(parts);
    for name in policy.ignored {
        body["properties"][*name] = json!({"description": "Accepted and ignored."});
    }
    for (name, reason) in policy.hints {
        body["properties"][*name] =
            json!({"description": format!("Ignored with a warning header: {reason}.")});
    }
    for (name, reason) in policy.unsupported {
        body["properties"][*name] = json!({
            "description": format!("Not supported: {reason}."),
            "enum": [null, false, "", [], {}],
        });
    }
    body
}

/// The merged schema of several types. Nullable fields are optional.
pub fn merged(parts: &[Value]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        for name in part["required"].as_array().into_iter().flatten() {
            let schema = &part["properties"][name.as_str().unwrap_or_default()];
            if !required.contains(name) && !is_nullable(schema) {
                required.push(name.clone());
            }
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn is_nullable(schema: &Value) -> bool {
    schema["anyOf"]
        .as_array()
        .is_some_and(|variants| variants.iter().any(|variant| variant["type"] == "null"))
}

/// `schema` or null, which is the same as omitting the field.
pub fn optional(schema: Value) -> Schema {
    json_schema!({"anyOf": [schema, {"type": "null"}]})
}

/// A string or a list of text parts.
pub fn text() -> Value {
    json!({"anyOf": [
        {"type": "string"},
        {"type": "array", "items": {
            "type": "object",
            "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
            "required": ["type", "text"],
        }},
    ]})
}

/// Messages of chat completions.
pub fn messages(_: &mut SchemaGenerator) -> Schema {
    let call = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "type": {"const": "function"},
            "function": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "arguments": {"type": "string", "description": "A JSON object"},
                },
                "required": ["name", "arguments"],
            },
        },
        "required": ["id", "type", "function"],
    });
    json_schema!({"type": "array", "minItems": 1, "items": {"anyOf": [
        {
            "type": "object",
            "properties": {
                "role": {"enum": ["system", "developer", "user"]},
                "content": text(),
                "name": {"type": "string"},
            },
            "required": ["role", "content"],
        },
        {
            "type": "object",
            "description": "Without tool_calls there must be content.",
            "properties": {
                "role": {"const": "assistant"},
                "content": {"anyOf": [text(), {"type": "null"}]},
                "reasoning_content": {"type": "string"},
                "refusal": {"type": ["string", "null"]},
                "tool_calls": {"type": "array", "items": call},
            },
            "required": ["role"],
        },
        {
            "type": "object",
            "properties": {
                "role": {"const": "tool"},
                "tool_call_id": {"type": "string"},
                "content": text(),
            },
            "required": ["role", "tool_call_id", "content"],
        },
    ]}})
}

/// As [`messages`], optional.
pub fn optional_messages(generator: &mut SchemaGenerator) -> Schema {
    optional(messages(generator).to_value())
}

/// The name of a tool.
pub fn tool_name() -> Value {
    json!({"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,64}$"})
}

/// Tools of chat completions.
pub fn tools(_: &mut SchemaGenerator) -> Schema {
    let grammar = json!({
        "type": "object",
        "properties": {"syntax": {"enum": ["lark", "regex"]}, "definition": {"type": "string"}},
        "required": ["syntax", "definition"],
    });
    let format = json!({
        "type": ["object", "null"],
        "properties": {"type": {"enum": ["text", "grammar"]}, "grammar": grammar},
        "required": ["type"],
    });
    let custom = json!({
        "type": "object",
        "properties": {
            "name": tool_name(),
            "description": {"type": ["string", "null"]},
            "format": format,
        },
        "required": ["name"],
    });
    optional(json!({"type": "array", "items": {"anyOf": [
        tool_object("function", function()),
        tool_object("custom", custom),
    ]}}))
}

/// The deprecated `functions` of chat completions.
pub fn functions(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"type": "array", "items": function()}))
}

/// The deprecated `function_call` of chat completions.
pub fn function_call(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"anyOf": [{"enum": ["auto", "none"]}, named()]}))
}

fn function() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": tool_name(),
            "description": {"type": "string"},
            "parameters": {"type": "object", "description": "A JSON schema"},
            "strict": {"type": ["boolean", "null"]},
        },
        "required": ["name"],
    })
}

/// An object whose field `kind` is `value`.
fn tool_object(kind: &str, value: Value) -> Value {
    json!({
        "type": "object",
        "properties": {"type": {"const": kind}, kind: value},
        "required": ["type", kind],
    })
}

fn named() -> Value {
    json!({"type": "object", "properties": {"name": tool_name()}, "required": ["name"]})
}

/// `tool_choice` of chat completions.
pub fn tool_choice(_: &mut SchemaGenerator) -> Schema {
    let tools = [
        tool_object("function", named()),
        tool_object("custom", named()),
    ];
    let allowed = json!({
        "type": "object",
        "properties": {
            "mode": {"enum": ["auto", "required"]},
            "tools": {"type": "array", "minItems": 1, "items": {"anyOf": tools}},
        },
        "required": ["mode", "tools"],
    });
    let [function, custom] = tools;
    optional(json!({"anyOf": [
        {"enum": ["auto", "none", "required"]},
        function,
        custom,
        tool_object("allowed_tools", allowed),
    ]}))
}

/// `response_format` of chat completions.
pub fn response_format(_: &mut SchemaGenerator) -> Schema {
    let json_schema = json!({
        "type": "object",
        "properties": {
            "type": {"const": "json_schema"},
            "json_schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "schema": {"type": "object", "description": "A JSON schema"},
                    "strict": {"type": ["boolean", "null"]},
                },
                "required": ["schema"],
            },
        },
        "required": ["type", "json_schema"],
    });
    let json_object = json!({
        "type": "object",
        "properties": {
            "type": {"const": "json_object"},
            "schema": {"type": ["object", "null"], "description": "A JSON schema, as llama.cpp accepts it"},
        },
        "required": ["type"],
    });
    optional(json!({"anyOf": [
        plain_format("text"),
        json_object,
        json_schema,
        text_format("regex", "A regular expression that the whole output must match"),
        text_format("grammar", "A Lark grammar"),
    ]}))
}

/// A format without further fields.
pub fn plain_format(kind: &str) -> Value {
    json!({"type": "object", "properties": {"type": {"const": kind}}, "required": ["type"]})
}

/// A format with a string in the field of its name.
pub fn text_format(kind: &str, description: &str) -> Value {
    json!({
        "type": "object",
        "properties": {"type": {"const": kind}, kind: {"type": "string", "description": description}},
        "required": ["type", kind],
    })
}

/// A format with the schema next to its type.
pub fn schema_format() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"const": "json_schema"},
            "schema": {"type": "object", "description": "A JSON schema"},
        },
        "required": ["type", "schema"],
    })
}

/// `logit_bias`.
pub fn logit_bias(_: &mut SchemaGenerator) -> Schema {
    optional(json!({
        "type": "object",
        "description": "Token ids and the biases that are added to their logits.",
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    }))
}

/// Messages of Anthropic's API.
pub fn anthropic_messages(_: &mut SchemaGenerator) -> Schema {
    let block = |kind: &str, fields: Value| {
        let mut properties = json!({"type": {"const": kind}});
        let mut required = vec![json!("type")];
        for (name, schema) in fields.as_object().into_iter().flatten() {
            properties[name] = schema.clone();
            required.push(name.as_str().into());
        }
        json!({"type": "object", "properties": properties, "required": required})
    };
    let string = json!({"type": "string"});
    let content = |blocks: Vec<Value>| json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": blocks}}]});
    let texts = block("text", json!({"text": string}));
    let result = block(
        "tool_result",
        json!({"tool_use_id": string, "content": text()}),
    );
    let call = block(
        "tool_use",
        json!({"id": string, "name": tool_name(), "input": {"type": "object"}}),
    );
    let thinking = block("thinking", json!({"thinking": string}));
    let message = |role: &str, blocks: Vec<Value>| {
        json!({
            "type": "object",
            "properties": {"role": {"const": role}, "content": content(blocks)},
            "required": ["role", "content"],
        })
    };
    json_schema!({"type": "array", "minItems": 1, "items": {"anyOf": [
        message("user", vec![texts.clone(), result]),
        message("assistant", vec![texts, call, thinking]),
    ]}})
}

/// `system` of Anthropic's API.
pub fn system(_: &mut SchemaGenerator) -> Schema {
    optional(text())
}

/// Tools of Anthropic's API.
pub fn anthropic_tools(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "type": {"enum": ["custom", null]},
            "name": tool_name(),
            "description": {"type": ["string", "null"]},
            "input_schema": {"type": "object", "description": "A JSON schema"},
        },
        "required": ["name", "input_schema"],
    }}))
}

/// `tool_choice` of Anthropic's API.
pub fn anthropic_tool_choice(_: &mut SchemaGenerator) -> Schema {
    optional(json!({"anyOf": [
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["auto", "any", "none"]},
                "disable_parallel_tool_use": {"type": "boolean"},
            },
            "required": ["type"],
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "tool"},
                "name": tool_name(),
                "disable_parallel_tool_use": {"type": "boolean"},
            },
            "required": ["type", "name"],
        },
    ]}))
}

/// `output_format` of Anthropic's API.
pub fn output_format(_: &mut SchemaGenerator) -> Schema {
    optional(schema_format())
}
