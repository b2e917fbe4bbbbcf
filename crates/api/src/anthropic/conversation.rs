//! Messages of blocks, in the form that templates read.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::generate::ToolChoice;

/// Names what is wrong at a place of the request.
fn wrong(place: &str, problem: &str) -> ApiError {
    ApiError::field(place, format!("{place} {problem}"))
}

/// The system prompt and the messages, one after the other.
///
/// # Errors
/// Names the block that makes no sense or that this model cannot read.
pub fn messages(system: Option<&Value>, messages: &[Value]) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(wrong("messages", "is empty; give at least one"));
    }
    let mut out = Vec::new();
    if let Some(system) = system.filter(|system| !system.is_null()) {
        let text = text_of("system", system)?;
        if !text.is_empty() {
            out.push(json!({"role": "system", "content": text}));
        }
    }
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages[{index}]");
        let blocks = match &message["content"] {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            Value::Array(blocks) => blocks.clone(),
            _ => {
                return Err(wrong(
                    &format!("{place}.content"),
                    "must be a string or a list of blocks",
                ));
            }
        };
        match message["role"].as_str() {
            Some("user") => user(&place, &blocks, &mut out)?,
            Some("assistant") => out.push(assistant(&place, &blocks)?),
            // Some agents put later instructions there.
            Some("system") => out
                .push(json!({"role": "system", "content": text_of(&place, &message["content"])?})),
            _ => return Err(wrong(&format!("{place}.role"), "must be user or assistant")),
        }
    }
    Ok(out)
}

/// The text of a string or of a list of text blocks.
fn text_of(place: &str, value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .enumerate()
                .map(|(at, block)| text_block(&format!("{place}[{at}]"), block));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        _ => Err(wrong(place, "must be a string or a list of text blocks")),
    }
}

fn text_block(place: &str, block: &Value) -> Result<String, ApiError> {
    match block["type"].as_str() {
        Some("text") => match block["text"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(wrong(&format!("{place}.text"), "must be a string")),
        },
        Some(kind @ ("image" | "document" | "search_result")) => {
            let message = format!("{place} is of the type {kind}, but this model reads text only");
            Err(ApiError::unsupported(place, message))
        }
        _ => Err(wrong(
            &format!("{place}.type"),
            &format!("is {}, which does not belong here", block["type"]),
        )),
    }
}

/// Results of tools become messages of their own, in front of what the user says with them.
fn user(place: &str, blocks: &[Value], out: &mut Vec<Value>) -> Result<(), ApiError> {
    let mut texts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{place}.content[{at}]");
        if block["type"] != "tool_result" {
            texts.push(text_block(&place, block)?);
            continue;
        }
        let Some(id) = block["tool_use_id"].as_str() else {
            return Err(wrong(&format!("{place}.tool_use_id"), "must be a string"));
        };
        let text = match &block["content"] {
            Value::Null => String::new(),
            content => text_of(&format!("{place}.content"), content)?,
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

fn assistant(place: &str, blocks: &[Value]) -> Result<Value, ApiError> {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    let mut reasoning = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{place}.content[{at}]");
        match block["type"].as_str() {
            Some("tool_use") => {
                let (Some(name), Some(id), Some(input)) = (
                    block["name"].as_str(),
                    block["id"].as_str(),
                    block["input"].as_object(),
                ) else {
                    return Err(wrong(&place, "must have id, name and input"));
                };
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": input}}));
            }
            Some("thinking") => reasoning.extend(block["thinking"].as_str().map(str::to_owned)),
            // What nobody can read says nothing to this model either.
            Some("redacted_thinking") => {}
            _ => texts.push(text_block(&place, block)?),
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

/// Tools in OpenAI's form.
///
/// # Errors
/// Names the tool that makes no sense, or that runs on the API's own servers.
pub fn tools(tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let converted = tools.iter().enumerate().map(|(index, tool)| {
        let place = format!("tools[{index}]");
        if !tool.is_object() {
            return Err(wrong(&place, "must be an object"));
        }
        if let Some(kind) = tool["type"].as_str().filter(|kind| *kind != "custom") {
            let message = format!("{place} is of the type {kind}, which this server does not have; describe it with input_schema");
            return Err(ApiError::unsupported(format!("{place}.type"), message));
        }
        let mut function = Map::new();
        for (from, to) in [("name", "name"), ("description", "description"), ("input_schema", "parameters")] {
            if let Some(value) = tool.get(from).filter(|value| !value.is_null()) {
                function.insert(to.to_owned(), value.clone());
            }
        }
        Ok(json!({"type": "function", "function": function}))
    });
    converted.collect()
}

/// The choice between tools, and whether several calls may come in one answer.
///
/// # Errors
/// When it is none of the forms of the official API.
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
            return Err(wrong(
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
    fn blocks_become_messages() {
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
    fn mistakes_are_named_with_their_place() {
        let problem = |message: Value| messages(None, &[message]).unwrap_err().to_string();
        assert_eq!(
            problem(json!({"role": "tool", "content": "x"})),
            "messages[0].role must be user or assistant"
        );
        let image = json!({"type": "image", "source": {}});
        assert!(
            problem(json!({"role": "user", "content": [image]}))
                .starts_with("messages[0].content[0] is of the type image")
        );
        assert!(
            problem(json!({"role": "assistant", "content": [{"type": "tool_use"}]}))
                .starts_with("messages[0].content[0] must have id")
        );
        assert!(tools(&[json!({"type": "web_search_20250305", "name": "web_search"})]).is_err());
        assert!(tool_choice(Some(&json!({"type": "tool"}))).is_err());
    }
}
