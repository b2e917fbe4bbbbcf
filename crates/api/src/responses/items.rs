//! Input items in the format that clients retrieve.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::openai::shared::new_id;

/// The items of `input` with their paths. A string is a user message.
///
/// # Errors
/// If `input` is neither a string nor a list.
pub fn read(input: Option<Value>) -> Result<Vec<(String, Value)>, ApiError> {
    match input {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(text @ Value::String(_)) => Ok(vec![(
            "input".to_owned(),
            json!({"type": "message", "role": "user", "content": text}),
        )]),
        Some(Value::Array(items)) => {
            let items = items.into_iter().enumerate();
            Ok(items
                .map(|(index, item)| (format!("input[{index}]"), item))
                .collect())
        }
        Some(_) => Err(ApiError::field(
            "input",
            "input must be a string or a list of items",
        )),
    }
}

/// Adds the fields that a valid item may omit.
pub fn with_defaults(mut item: Value) -> Value {
    let kind = item["type"].as_str().unwrap_or("message").to_owned();
    let prefix = match kind.as_str() {
        "message" => "msg_",
        "reasoning" => "rs_",
        "custom_tool_call" => "ctc_",
        kind if kind.ends_with("_output") => "fco_",
        _ => "fc_",
    };
    item["type"] = kind.as_str().into();
    if !item["id"].is_string() {
        item["id"] = new_id(prefix).into();
    }
    if kind == "message" {
        let text = item["content"].as_str().map(str::to_owned);
        if let Some(text) = text {
            item["content"] = if item["role"] == "assistant" {
                json!([{"type": "output_text", "text": text, "annotations": []}])
            } else {
                json!([{"type": "input_text", "text": text}])
            };
        }
    }
    if kind == "reasoning" && !item["summary"].is_array() {
        item["summary"] = json!([]);
    }
    if !item["status"].is_string() {
        item["status"] = "completed".into();
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_items_get_ids_types_and_content_parts() {
        let [(path, item)] = &read(Some("Hi".into())).unwrap()[..] else {
            panic!("a string is one item");
        };
        assert_eq!(path, "input");
        let message = with_defaults(item.clone());
        assert!(message["id"].as_str().unwrap().starts_with("msg_"));
        assert_eq!(
            message["content"],
            json!([{"type": "input_text", "text": "Hi"}])
        );
        let output =
            json!({"type": "function_call_output", "id": "x", "call_id": "c", "output": "1"});
        let output = with_defaults(output);
        assert_eq!(
            (&output["id"], &output["status"]),
            (&json!("x"), &json!("completed"))
        );
        let message = with_defaults(json!({"role": "assistant", "content": "Yes"}));
        assert_eq!(message["content"][0]["type"], "output_text");
        assert!(read(Some(json!(1))).is_err());
        assert_eq!(read(None).unwrap(), []);
    }
}
