//! Converts Anthropic messages, tools and tool choice to the formats of chat templates.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::generate::ToolChoice;

/// An error at a path of the request.
fn invalid(path: &str, problem: &str) -> ApiError {
    ApiError::field(path, format!("{path} {problem}"))
}

/// Converts the system prompt and the messages.
///
/// # Errors
/// If a block is invalid or not supported.
pub fn messages(system: Option<&Value>, messages: &[Value]) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(invalid("messages", "is empty; there must be at least one"));
    }
    let mut out = Vec::new();
    if let Some(system) = system.filter(|system| !system.is_null()) {
        let text = text_of("system", system)?;
        if !text.is_empty() {
            out.push(json!({"role": "system", "content": text}));
        }
    }
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        let blocks = match &message["content"] {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            Value::Array(blocks) => blocks.clone(),
            _ => {
                return Err(invalid(
                    &format!("{path}.content"),
                    "must be a string or a list of blocks",
                ));
            }
        };
        match message["role"].as_str() {
            Some("user") => user(&path, &blocks, &mut out)?,
            Some("assistant") => out.push(assistant(&path, &blocks)?),
            // Some agents send later instructions as system messages.
            Some("system") => {
                out.push(json!({"role": "system", "content": text_of(&path, &message["content"])?}))
            }
            _ => {
                return Err(invalid(
                    &format!("{path}.role"),
                    "must be user or assistant",
                ));
            }
        }
    }
    Ok(out)
}

/// Joins the texts of a string or a list of text blocks.
fn text_of(path: &str, value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .enumerate()
                .map(|(at, block)| text_block(&format!("{path}[{at}]"), block));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        _ => Err(invalid(path, "must be a string or a list of text blocks")),
    }
}

fn text_block(path: &str, block: &Value) -> Result<String, ApiError> {
    match block["type"].as_str() {
        Some("text") => match block["text"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(invalid(&format!("{path}.text"), "must be a string")),
        },
        Some(kind @ ("image" | "document" | "search_result")) => {
            let message = format!("{path} has the type {kind}; only text is supported");
            Err(ApiError::unsupported(path, message))
        }
        _ => Err(invalid(
            &format!("{path}.type"),
            &format!("is {}, which is not supported here", block["type"]),
        )),
    }
}

/// Converts a user message. Tool results become separate messages before the text.
fn user(path: &str, blocks: &[Value], out: &mut Vec<Value>) -> Result<(), ApiError> {
    let mut texts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("{path}.content[{at}]");
        if block["type"] != "tool_result" {
            texts.push(text_block(&path, block)?);
            continue;
        }
        let Some(id) = block["tool_use_id"].as_str() else {
            return Err(invalid(&format!("{path}.tool_use_id"), "must be a string"));
        };
        let text = match &block["content"] {
            Value::Null => String::new(),
            content => text_of(&format!("{path}.content"), content)?,
        };
        let text = if block["is_error"] == true {
            format!("Error: {text}")
        } else {
            text
        };
        out.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
    }
    if !texts.is_empty() {
        out.push(json!({"role": "user", "content": texts.join("\n")}));
    }
    Ok(())
}

/// Converts an assistant message.
fn assistant(path: &str, blocks: &[Value]) -> Result<Value, ApiError> {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    let mut reasoning = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("{path}.content[{at}]");
        match block["type"].as_str() {
            Some("tool_use") => {
                let (Some(name), Some(id), Some(input)) = (
                    block["name"].as_str(),
                    block["id"].as_str(),
                    block["input"].as_object(),
                ) else {
                    return Err(invalid(&path, "must have id, name and input"));
                };
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": input}}));
            }
            Some("thinking") => reasoning.extend(block["thinking"].as_str().map(str::to_owned)),
            // Encrypted for Anthropic's own models.
            Some("redacted_thinking") => {}
            _ => texts.push(text_block(&path, block)?),
        }
    }
    let mut message = json!({"role": "assistant", "content": texts.join("\n")});
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.join("\n").into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}

/// Converts tools to OpenAI's format.
///
/// # Errors
/// If a tool is invalid or a server tool.
pub fn tools(tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let converted = tools.iter().enumerate().map(|(index, tool)| {
        let path = format!("tools[{index}]");
        if !tool.is_object() {
            return Err(invalid(&path, "must be an object"));
        }
        if let Some(kind) = tool["type"].as_str().filter(|kind| *kind != "custom") {
            let message = format!(
                "{path} has the type {kind}; only client tools with an input_schema are supported"
            );
            return Err(ApiError::unsupported(format!("{path}.type"), message));
        }
        let mut function = Map::new();
        for (from, to) in [
            ("name", "name"),
            ("description", "description"),
            ("input_schema", "parameters"),
        ] {
            if let Some(value) = tool.get(from).filter(|value| !value.is_null()) {
                function.insert(to.to_owned(), value.clone());
            }
        }
        Ok(json!({"type": "function", "function": function}))
    });
    converted.collect()
}

/// Parses `tool_choice`: the choice, and whether parallel tool calls are allowed.
///
/// # Errors
/// If the value is invalid.
pub fn tool_choice(value: Option<&Value>) -> Result<(ToolChoice, bool), ApiError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok((ToolChoice::Auto, true));
    };
    let parallel = value["disable_parallel_tool_use"] != true;
    let choice = match (value["type"].as_str(), value["name"].as_str()) {
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Required,
        (Some("tool"), Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => {
            return Err(invalid(
                "tool_choice",
                "must have the type auto, any, none, or tool with a name",
            ));
        }
    };
    Ok((choice, parallel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_converted_to_the_chat_template_format() {
        let system =
            json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
        let conversation = [
            json!({"role": "user", "content": "Time?"}),
            json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "now", "input": {"zone": "UTC"}},
            ]}),
            json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "12:00"}]},
                {"type": "text", "text": "And in Rome?"},
            ]}),
        ];
        let call = json!({"id": "t1", "type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}});
        assert_eq!(
            messages(Some(&system), &conversation).unwrap(),
            [
                json!({"role": "system", "content": "Be brief."}),
                json!({"role": "user", "content": "Time?"}),
                json!({"role": "assistant", "content": "Let me see.", "reasoning_content": "hm", "tool_calls": [call]}),
                json!({"role": "tool", "tool_call_id": "t1", "content": "12:00"}),
                json!({"role": "user", "content": "And in Rome?"}),
            ]
        );
    }

    #[test]
    fn invalid_messages_and_tools_are_rejected_with_their_path() {
        let problem = |message: Value| messages(None, &[message]).unwrap_err().to_string();
        assert_eq!(
            problem(json!({"role": "tool", "content": "x"})),
            "messages[0].role must be user or assistant"
        );
        let image = json!({"type": "image", "source": {}});
        assert!(
            problem(json!({"role": "user", "content": [image]}))
                .starts_with("messages[0].content[0] has the type image")
        );
        assert!(
            problem(json!({"role": "assistant", "content": [{"type": "tool_use"}]}))
                .starts_with("messages[0].content[0] must have id")
        );
        assert!(tools(&[json!({"type": "web_search_20250305", "name": "web_search"})]).is_err());
        assert!(tool_choice(Some(&json!({"type": "tool"}))).is_err());
    }
}
