//! Messages of a chat, in the form that templates read.

use serde_json::{Map, Value};

use crate::error::ApiError;

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Checks messages; lists of text parts become one text, arguments of calls become objects.
///
/// # Errors
/// Names the message and the field that make no sense.
pub fn normalize(messages: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::field(
            "messages",
            "messages is empty; give at least one",
        ));
    }
    messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| normalized(index, message))
        .collect()
}

fn normalized(index: usize, message: Value) -> Result<Value, ApiError> {
    let wrong = |field: &str, problem: &str| {
        let place = format!("messages[{index}]{field}");
        ApiError::field(place.clone(), format!("{place} {problem}"))
    };
    let Value::Object(mut message) = message else {
        return Err(wrong("", "must be an object with `role` and `content`"));
    };
    let role = match message.get("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role.clone(),
        _ => {
            return Err(wrong(
                ".role",
                &format!("must be one of {}", ROLES.join(", ")),
            ));
        }
    };
    let calls = match message.remove("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) if role == "assistant" => calls,
        Some(_) if role == "assistant" => return Err(wrong(".tool_calls", "must be a list")),
        Some(_) => return Err(wrong(".tool_calls", "belongs to messages of the assistant")),
    };
    match message.remove("content") {
        Some(Value::Array(parts)) => {
            let text = text_of(&format!("messages[{index}].content"), &parts)?;
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
            let nothing = calls.is_empty() && !message.contains_key("reasoning_content");
            match refusal {
                None if nothing => {
                    return Err(wrong(".content", "is missing, and there are no tool_calls"));
                }
                refusal => {
                    message.insert("content".to_owned(), refusal.unwrap_or_else(|| "".into()))
                }
            };
        }
        None | Some(Value::Null) => return Err(wrong(".content", "is missing")),
        Some(_) => return Err(wrong(".content", "must be a string or a list of parts")),
    }
    if role == "tool" && !message.get("tool_call_id").is_some_and(Value::is_string) {
        return Err(wrong(
            ".tool_call_id",
            "is missing: it says which call this is the result of",
        ));
    }
    if !calls.is_empty() {
        let calls = calls.into_iter().enumerate();
        let calls = calls.map(|(at, call)| {
            with_object(call).ok_or_else(|| {
                wrong(
                    &format!(".tool_calls[{at}]"),
                    "must have a function with name and arguments",
                )
            })
        });
        message.insert("tool_calls".to_owned(), calls.collect::<Result<_, _>>()?);
    }
    Ok(Value::Object(message))
}

/// A call whose arguments are an object, as templates write them. What is no JSON stays a string.
fn with_object(mut call: Value) -> Option<Value> {
    let function = call.get_mut("function")?.as_object_mut()?;
    function.get("name")?.as_str()?;
    let arguments = function.entry("arguments").or_insert_with(|| "{}".into());
    if let Value::String(text) = arguments {
        *arguments = arguments_of(text);
    } else if !arguments.is_object() {
        return None;
    }
    Some(call)
}

/// Arguments that are written as JSON, as an object; what is none stays a string.
pub fn arguments_of(text: &str) -> Value {
    if text.trim().is_empty() {
        return Map::new().into();
    }
    serde_json::from_str::<Map<String, Value>>(text).map_or_else(|_| text.into(), Value::from)
}

/// The text of a list of parts that is at `place`.
///
/// # Errors
/// Names the part that makes no sense or that this model cannot read.
pub fn text_of(place: &str, parts: &[Value]) -> Result<String, ApiError> {
    let texts = parts.iter().enumerate().map(|(at, part)| {
        let place = format!("{place}[{at}]");
        let kind = part["type"].as_str().unwrap_or_default();
        let text = match kind {
            "text" | "input_text" | "output_text" => part["text"].as_str(),
            "refusal" => part["refusal"].as_str(),
            "image_url" | "input_image" | "input_audio" | "file" | "input_file" | "video_url" => {
                let message =
                    format!("{place} is of the type {kind}, but this model reads text only");
                return Err(ApiError::unsupported(place, message));
            }
            _ => {
                let message = format!("{place}.type must be text, found {}", part["type"]);
                return Err(ApiError::field(place, message));
            }
        };
        text.ok_or_else(|| ApiError::field(place.clone(), format!("{place}.text must be a string")))
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(message: Value) -> String {
        normalize(vec![json!({"role": "user", "content": "hi"}), message])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
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
        assert_eq!(
            problem(json!({"role": "assistant"})),
            "messages[1].content is missing, and there are no tool_calls"
        );
        let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
        assert!(
            problem(json!({"role": "user", "content": [image]}))
                .starts_with("messages[1].content[0] is of the type image_url")
        );
        assert!(
            problem(
                json!({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]})
            )
            .starts_with("messages[1].tool_calls[0]")
        );
        assert!(normalize(vec![]).is_err());
    }

    #[test]
    fn parts_and_arguments_become_what_templates_read() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": [1]}"}});
        let odd = json!({"id": "2", "type": "function", "function": {"name": "f", "arguments": "{\"x\": "}});
        let messages = vec![
            json!({"role": "user", "content": parts}),
            json!({"role": "assistant", "content": null, "tool_calls": [call, odd]}),
        ];
        let messages = normalize(messages).unwrap();
        assert_eq!(messages[0]["content"], "a\nb");
        assert_eq!(messages[1]["content"], "");
        assert_eq!(
            messages[1]["tool_calls"][0]["function"]["arguments"],
            json!({"x": [1]})
        );
        assert_eq!(
            messages[1]["tool_calls"][1]["function"]["arguments"],
            "{\"x\": "
        );
    }
}
