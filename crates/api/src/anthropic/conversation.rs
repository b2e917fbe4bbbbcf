//! Converts Anthropic messages to the format of chat templates.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Warnings;

/// Converts the system prompt and the messages.
///
/// # Errors
/// If a block is invalid or not supported.
pub fn messages(
    system: Option<&Value>,
    messages: &[Value],
    warnings: &mut Warnings,
) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::at(
            "messages",
            "is empty; there must be at least one",
        ));
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
                return Err(ApiError::at(
                    &format!("{path}.content"),
                    "must be a string or a list of blocks",
                ));
            }
        };
        match message["role"].as_str() {
            Some("user") => user(&path, &blocks, &mut out, warnings)?,
            Some("assistant") => out.push(assistant(&path, &blocks)?),
            // Some agents send later instructions as system messages.
            Some("system") => {
                let text = text_of(&path, &message["content"])?;
                out.push(json!({"role": "system", "content": text}));
            }
            _ => {
                return Err(ApiError::at(
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
            let mut texts = texts.collect::<Result<Vec<_>, _>>()?;
            texts.retain(|text| !text.is_empty());
            Ok(texts.join("\n"))
        }
        _ => Err(ApiError::at(
            path,
            "must be a string or a list of text blocks",
        )),
    }
}

/// The text of a tool result. What the model cannot read is replaced by a placeholder: the client cannot take back what a tool
/// returned, and an error would end its conversation.
fn tool_result(path: &str, content: &Value, warnings: &mut Warnings) -> Result<String, ApiError> {
    let Value::Array(blocks) = content else {
        return text_of(path, content);
    };
    let mut texts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("{path}[{at}]");
        texts.push(match (block["type"].as_str(), text_block(&path, block)) {
            (Some("tool_reference"), _) => {
                block["tool_name"].as_str().unwrap_or_default().to_owned()
            }
            (_, Ok(text)) => text,
            (Some(kind @ ("image" | "document")), Err(_)) => {
                warnings.ignored(&path, "the model reads text only");
                format!("[{kind}: this model reads text only]")
            }
            (_, Err(error)) => return Err(error),
        });
    }
    texts.retain(|text| !text.is_empty());
    Ok(texts.join("\n"))
}

/// The text of a document or a search result, if it is text.
fn document_text(block: &Value) -> Option<String> {
    let title = block["title"].as_str();
    let body = match block["type"].as_str() {
        Some("search_result") => text_of("", &block["content"]).ok()?,
        Some("document") => match block["source"]["type"].as_str() {
            Some("text") => block["source"]["data"].as_str()?.to_owned(),
            Some("content") => text_of("", &block["source"]["content"]).ok()?,
            _ => return None,
        },
        _ => return None,
    };
    let heading = title.into_iter().chain(block["source"].as_str());
    let parts: Vec<&str> = heading.chain([body.as_str()]).collect();
    Some(parts.join("\n"))
}

fn text_block(path: &str, block: &Value) -> Result<String, ApiError> {
    if let Some(text) = document_text(block) {
        return Ok(text);
    }
    match block["type"].as_str() {
        Some("text") => match block["text"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(ApiError::at(&format!("{path}.text"), "must be a string")),
        },
        Some(kind @ ("image" | "document" | "search_result")) => {
            let message = format!("{path} has the type {kind}; only text is supported");
            Err(ApiError::unsupported(path, message))
        }
        _ => Err(ApiError::at(
            &format!("{path}.type"),
            &format!("is {}, which is not supported here", block["type"]),
        )),
    }
}

/// Converts a user message. Tool results become separate messages before the text.
fn user(
    path: &str,
    blocks: &[Value],
    out: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<(), ApiError> {
    let mut texts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("{path}.content[{at}]");
        if block["type"] != "tool_result" {
            texts.push(text_block(&path, block)?);
            continue;
        }
        let Some(id) = block["tool_use_id"].as_str() else {
            return Err(ApiError::at(
                &format!("{path}.tool_use_id"),
                "must be a string",
            ));
        };
        let text = match &block["content"] {
            Value::Null => String::new(),
            content => tool_result(&format!("{path}.content"), content, warnings)?,
        };
        let text = if block["is_error"] == true {
            format!("Error: {text}")
        } else {
            text
        };
        out.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
    }
    let has_results = blocks.iter().any(|block| block["type"] == "tool_result");
    texts.retain(|text| !text.is_empty());
    if !texts.is_empty() || !has_results {
        out.push(json!({"role": "user", "content": texts.join("\n")}));
    }
    Ok(())
}

fn is_server_tool_result(kind: &str) -> bool {
    kind.ends_with("_tool_result")
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
                let (Some(name), Some(id)) = (block["name"].as_str(), block["id"].as_str()) else {
                    return Err(ApiError::at(&path, "must have id and name"));
                };
                let function = json!({"name": name, "arguments": block["input"]});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            Some("thinking") => reasoning.extend(block["thinking"].as_str().map(str::to_owned)),
            // A summary of earlier messages.
            Some("compaction") => texts.extend(block["content"].as_str().map(str::to_owned)),
            // Encrypted for Anthropic's own models.
            Some("redacted_thinking") => {}
            // Calls and results of tools that ran on Anthropic's servers: the text after them repeats what matters.
            Some(kind)
                if kind == "server_tool_use"
                    || kind == "mcp_tool_use"
                    || is_server_tool_result(kind) => {}
            _ => texts.push(text_block(&path, block)?),
        }
    }
    texts.retain(|text| !text.is_empty());
    let mut message = json!({"role": "assistant", "content": texts.join("\n")});
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.join("\n").into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
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
            messages(Some(&system), &conversation, &mut Warnings::default()).unwrap(),
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
        let problem = |message: Value| {
            messages(None, &[message], &mut Warnings::default())
                .unwrap_err()
                .to_string()
        };
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
    }

    fn converted(message: Value) -> (Vec<Value>, String) {
        let mut warnings = Warnings::default();
        let messages = messages(None, &[message], &mut warnings).unwrap();
        (messages, warnings.to_string())
    }

    #[test]
    fn tool_results_keep_text_and_have_placeholders_for_images() {
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
        let document = json!({"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}});
        let content = [
            json!({"type": "text", "text": "shot"}),
            json!({"type": "text", "text": ""}),
            image,
            document,
            json!({"type": "tool_reference", "tool_name": "x"}),
        ];
        let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": content});
        let (messages, warnings) = converted(json!({"role": "user", "content": [result]}));
        assert_eq!(
            messages,
            [
                json!({"role": "tool", "tool_call_id": "t1", "content": "shot\n[image: this model reads text only]\nNotes\nhello\nx"})
            ]
        );
        assert_eq!(
            warnings,
            "messages[0].content[0].content[2] was ignored: the model reads text only"
        );
    }

    #[test]
    fn documents_of_text_are_text_in_user_messages() {
        let document = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}});
        let result = json!({"type": "search_result", "source": "https://example.com", "title": "Page", "content": [{"type": "text", "text": "found"}]});
        let (messages, _) = converted(json!({"role": "user", "content": [document, result]}));
        assert_eq!(
            messages,
            [json!({"role": "user", "content": "hello\nPage\nhttps://example.com\nfound"})]
        );
    }

    #[test]
    fn calls_with_any_input_and_summaries_are_kept() {
        let content = [
            json!({"type": "compaction", "content": "So far."}),
            json!({"type": "tool_use", "id": "t1", "name": "f", "input": null}),
            json!({"type": "tool_use", "id": "t2", "name": "f", "input": "{"}),
        ];
        let (messages, _) = converted(json!({"role": "assistant", "content": content}));
        assert_eq!(messages[0]["content"], "So far.");
        let calls = &messages[0]["tool_calls"];
        assert_eq!(calls[0]["function"]["arguments"], Value::Null);
        assert_eq!(calls[1]["function"]["arguments"], "{");
    }

    #[test]
    fn server_tool_blocks_of_the_history_are_left_out() {
        let content = [
            json!({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}),
            json!({"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}),
            json!({"type": "text", "text": "Found."}),
        ];
        let (messages, _) = converted(json!({"role": "assistant", "content": content}));
        assert_eq!(
            messages,
            [json!({"role": "assistant", "content": "Found."})]
        );
    }
}
