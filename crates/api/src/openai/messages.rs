//! Validates chat messages and normalizes them for chat templates.

use mlxm_chat::integers;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::fields::Warnings;

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Validates messages. Lists of text parts become one string. Arguments of tool calls are objects or the text
/// of the client, which is parsed when it is rendered.
///
/// # Errors
/// If a message is invalid or not supported.
pub fn normalize(
    mut messages: Vec<Value>,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::field(
            "messages",
            "messages is empty; there must be at least one",
        ));
    }
    replace_function_calls(&mut messages);
    messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| normalize_message(index, message, warnings))
        .collect()
}

/// Replaces the deprecated field `function_call` and role `function` by calls and results.
fn replace_function_calls(messages: &mut [Value]) {
    let mut id = String::new();
    for (index, message) in messages.iter_mut().enumerate() {
        let Value::Object(fields) = message else {
            continue;
        };
        let role = fields
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if role == "function" {
            fields.insert("role".to_owned(), "tool".into());
            fields.insert("tool_call_id".to_owned(), id.as_str().into());
        } else if role == "assistant"
            && let Some(function @ Value::Object(_)) = fields.remove("function_call")
        {
            id = format!("function_call_{index}");
            let call = json!({"id": id, "type": "function", "function": function});
            fields.insert("tool_calls".to_owned(), json!([call]));
        }
    }
}

fn normalize_message(
    index: usize,
    message: Value,
    warnings: &mut Warnings,
) -> Result<Value, ApiError> {
    let invalid = |field: &str, problem: &str| {
        let path = format!("messages[{index}]{field}");
        ApiError::field(path.clone(), format!("{path} {problem}"))
    };
    let Value::Object(mut message) = message else {
        return Err(invalid("", "must be an object with `role` and `content`"));
    };
    // Templates may only test whether a field is there.
    message.retain(|_, value| !value.is_null());
    let role = match message.get("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role.clone(),
        _ => {
            return Err(invalid(
                ".role",
                &format!("must be one of {}", ROLES.join(", ")),
            ));
        }
    };
    let calls = match message.remove("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) if role == "assistant" || calls.is_empty() => calls,
        Some(_) if role == "assistant" => return Err(invalid(".tool_calls", "must be a list")),
        Some(_) => {
            return Err(invalid(
                ".tool_calls",
                "is only allowed in assistant messages",
            ));
        }
    };
    match message.remove("content") {
        Some(Value::Array(parts)) => {
            let path = format!("messages[{index}].content");
            let text = if role == "tool" {
                tool_text(&path, &parts, warnings)?
            } else {
                text_of(&path, &parts)?
            };
            message.insert("content".to_owned(), text.into());
        }
        Some(text @ Value::String(_)) => {
            message.insert("content".to_owned(), text);
        }
        None | Some(Value::Null) if role == "assistant" => {
            let refusal = message
                .get("refusal")
                .filter(|refusal| refusal.is_string())
                .cloned();
            message.insert("content".to_owned(), refusal.unwrap_or_else(|| "".into()));
        }
        None | Some(Value::Null) if role == "tool" => {
            message.insert("content".to_owned(), "".into());
        }
        None | Some(Value::Null) => return Err(invalid(".content", "is missing")),
        Some(_) => return Err(invalid(".content", "must be a string or a list of parts")),
    }
    if role == "tool" && !message.get("tool_call_id").is_some_and(Value::is_string) {
        return Err(invalid(
            ".tool_call_id",
            "is missing; it is the id of the tool call",
        ));
    }
    if !calls.is_empty() {
        let calls = calls.into_iter().enumerate();
        let calls = calls.map(|(at, call)| {
            function_call(call).ok_or_else(|| {
                invalid(
                    &format!(".tool_calls[{at}]"),
                    "must have a function with name and arguments",
                )
            })
        });
        message.insert("tool_calls".to_owned(), calls.collect::<Result<_, _>>()?);
    }
    Ok(Value::Object(message))
}

/// The call as that of a function, whose arguments are an object or text.
fn function_call(mut call: Value) -> Option<Value> {
    if let Value::Object(custom) = &call["custom"] {
        // A custom tool is a function with one argument.
        let arguments = json!({"input": custom.get("input")});
        let function = json!({"name": custom.get("name"), "arguments": arguments});
        call = json!({"id": call["id"], "type": "function", "function": function});
    }
    let function = call.get_mut("function")?.as_object_mut()?;
    function.get("name")?.as_str()?;
    let arguments = function.entry("arguments").or_insert_with(|| "{}".into());
    match arguments {
        Value::String(_) | Value::Object(_) => {}
        Value::Null => *arguments = Map::new().into(),
        _ => *arguments = integers::to_string(arguments).into(),
    }
    Some(call)
}

/// Joins the text parts of a tool's output at `path`. Images and files are replaced by placeholders: the client cannot take back
/// what a tool returned, and an error would end its conversation.
///
/// # Errors
/// If a part is invalid.
pub fn tool_text(path: &str, parts: &[Value], warnings: &mut Warnings) -> Result<String, ApiError> {
    let mut texts = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if MEDIA.contains(&kind) {
            warnings.ignored(&format!("{path}[{at}]"), "the model reads text only");
            texts.push(format!("[{kind}: this model reads text only]"));
        } else {
            texts.push(part_text(&format!("{path}[{at}]"), part)?.to_owned());
        }
    }
    texts.retain(|text| !text.is_empty());
    Ok(texts.join("\n"))
}

/// Types of parts that are not text.
const MEDIA: [&str; 6] = [
    "image_url",
    "input_image",
    "input_audio",
    "file",
    "input_file",
    "video_url",
];

/// Joins the text parts of the content at `path`.
///
/// # Errors
/// If a part is invalid or not text.
pub fn text_of(path: &str, parts: &[Value]) -> Result<String, ApiError> {
    let texts = parts
        .iter()
        .enumerate()
        .map(|(at, part)| part_text(&format!("{path}[{at}]"), part));
    let mut texts = texts.collect::<Result<Vec<_>, _>>()?;
    texts.retain(|text| !text.is_empty());
    Ok(texts.join("\n"))
}

fn part_text<'a>(path: &str, part: &'a Value) -> Result<&'a str, ApiError> {
    let kind = part["type"].as_str().unwrap_or_default();
    let text = match kind {
        "text" | "input_text" | "output_text" => part["text"].as_str(),
        "refusal" => part["refusal"].as_str(),
        kind if MEDIA.contains(&kind) => {
            let message = format!("{path} has the type {kind}; only text is supported");
            return Err(ApiError::unsupported(path, message));
        }
        _ => {
            let message = format!("{path}.type is {}; only text is supported", part["type"]);
            return Err(ApiError::field(path, message));
        }
    };
    text.ok_or_else(|| ApiError::field(path, format!("{path}.text must be a string")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: Value) -> String {
        let messages = vec![json!({"role": "user", "content": "hi"}), message];
        normalize(messages, &mut Warnings::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn invalid_messages_are_rejected_with_their_path() {
        assert_eq!(
            problem(json!("hi")),
            "messages[1] must be an object with `role` and `content`"
        );
        assert!(
            problem(json!({"content": "x"})).starts_with("messages[1].role must be one of system,")
        );
        assert_eq!(
            problem(json!({"role": "user"})),
            "messages[1].content is missing"
        );
        assert_eq!(
            problem(json!({"role": "user", "content": 1})),
            "messages[1].content must be a string or a list of parts"
        );
        assert!(
            problem(json!({"role": "tool", "content": "x"}))
                .starts_with("messages[1].tool_call_id is missing")
        );
        let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
        assert!(
            problem(json!({"role": "user", "content": [image]}))
                .starts_with("messages[1].content[0] has the type image_url")
        );
        assert!(
            problem(
                json!({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]})
            )
            .starts_with("messages[1].tool_calls[0]")
        );
        assert!(normalize(vec![], &mut Warnings::default()).is_err());
    }

    #[test]
    fn text_parts_are_joined_and_arguments_are_kept() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": [1]}"}});
        let unparsable = json!({"id": "2", "type": "function", "function": {"name": "f", "arguments": "{\"x\": "}});
        let messages = vec![
            json!({"role": "user", "content": parts}),
            json!({"role": "assistant", "content": null, "tool_calls": [call, unparsable]}),
        ];
        let messages = normalize(messages, &mut Warnings::default()).unwrap();
        assert_eq!(messages[0]["content"], "a\nb");
        assert_eq!(messages[1]["content"], "");
        assert_eq!(
            messages[1]["tool_calls"][0]["function"]["arguments"],
            "{\"x\": [1]}"
        );
        assert_eq!(
            messages[1]["tool_calls"][1]["function"]["arguments"],
            "{\"x\": "
        );
    }

    #[test]
    fn absent_content_of_assistant_and_tool_messages_is_empty() {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": null}});
        let messages = vec![
            json!({"role": "assistant"}),
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "1"}),
            json!({"role": "tool", "tool_call_id": "1", "content": null}),
        ];
        let messages = normalize(messages, &mut Warnings::default()).unwrap();
        assert!(messages.iter().all(|message| message["content"] == ""));
        assert_eq!(
            messages[1]["tool_calls"][0]["function"]["arguments"],
            json!({})
        );
    }

    #[test]
    fn calls_of_custom_tools_and_deprecated_functions_are_calls_of_functions() {
        let custom = json!({"id": "1", "type": "custom", "custom": {"name": "edit", "input": "x"}});
        let messages = vec![
            json!({"role": "assistant", "content": null, "tool_calls": [custom]}),
            json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}),
            json!({"role": "function", "name": "f", "content": "1"}),
            json!({"role": "assistant", "content": "x", "function_call": null}),
        ];
        let messages = normalize(messages, &mut Warnings::default()).unwrap();
        assert_eq!(
            messages[0]["tool_calls"],
            json!([{"id": "1", "type": "function", "function": {"name": "edit", "arguments": {"input": "x"}}}])
        );
        let call = &messages[1]["tool_calls"][0];
        assert_eq!(call["function"], json!({"name": "f", "arguments": "{}"}));
        assert_eq!(messages[2]["role"], "tool");
        assert_eq!(messages[2]["tool_call_id"], call["id"]);
        assert_eq!(messages[3], json!({"role": "assistant", "content": "x"}));
    }

    #[test]
    fn images_of_tools_become_placeholders_with_a_warning() {
        let content = json!([
            {"type": "text", "text": "shot"},
            {"type": "image_url", "image_url": {"url": "data:,"}},
        ]);
        let mut warnings = Warnings::default();
        let message = json!({"role": "tool", "tool_call_id": "1", "content": content});
        let messages = normalize(vec![message], &mut warnings).unwrap();
        assert_eq!(
            messages[0]["content"],
            "shot\n[image_url: this model reads text only]"
        );
        assert_eq!(
            warnings.to_string(),
            "messages[0].content[1] was ignored: the model reads text only"
        );
    }
}
