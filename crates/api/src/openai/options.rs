//! Parameters that chat completions and responses have under different names.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::fields::Warnings;
use crate::generate::ResponseFormat;
use crate::state::ServedModel;

/// Most alternatives that get a log-probability.
const MAX_LOGPROBS: usize = 20;

/// The number of alternatives that get a log-probability.
///
/// # Errors
/// If there are too many.
pub fn top_logprobs(count: Option<usize>) -> Result<usize, ApiError> {
    match count.unwrap_or_default() {
        count if count > MAX_LOGPROBS => {
            let message = format!("top_logprobs is {count}; it must be at most {MAX_LOGPROBS}");
            Err(ApiError::field("top_logprobs", message))
        }
        count => Ok(count),
    }
}

/// Warns that the verbosity of the field `path` has no effect.
pub fn check_verbosity(path: &str, verbosity: Option<&str>, warnings: &mut Warnings) {
    if !matches!(verbosity, None | Some("medium")) {
        warnings.ignored(path, "describe the wanted length in the prompt");
    }
}

/// Passes the reasoning effort of the field `path` to the chat template, or warns that the template has no variable for it.
pub fn set_reasoning_effort(
    path: &str,
    model: &ServedModel,
    kwargs: &mut Map<String, Value>,
    effort: String,
    warnings: &mut Warnings,
) {
    if model.chat.template_mentions("reasoning_effort") {
        kwargs.entry("reasoning_effort").or_insert(effort.into());
    } else if model.chat.template_mentions("enable_thinking") {
        kwargs
            .entry("enable_thinking")
            .or_insert((effort != "none").into());
    } else if effort != "none" {
        warnings.ignored(path, "the model's chat template has no variable for it");
    }
}

/// Parses the response format of the field `path`: OpenAI's types, `regex` and `grammar`.
///
/// # Errors
/// If the format is invalid.
pub fn response_format(
    path: &str,
    format: Option<&Map<String, Value>>,
) -> Result<ResponseFormat, ApiError> {
    let Some(format) = format else {
        return Ok(ResponseFormat::Text);
    };
    let text = |name: &str| {
        if let Some(Value::String(text)) = format.get(name) {
            Ok(text.clone())
        } else {
            let path = format!("{path}.{name}");
            Err(ApiError::field(
                path.clone(),
                format!("{path} must be a string"),
            ))
        }
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(ResponseFormat::Text),
        Some("json_object") => Ok(ResponseFormat::JsonObject),
        Some("json_schema") => {
            // Chat completions nest the schema one level deeper than responses.
            let (description, path) = match format.get("json_schema") {
                Some(Value::Object(description)) => {
                    (description, format!("{path}.json_schema.schema"))
                }
                _ => (format, format!("{path}.schema")),
            };
            if let Some(schema @ (Value::Object(_) | Value::Bool(_))) = description.get("schema") {
                Ok(ResponseFormat::JsonSchema(schema.clone()))
            } else {
                let message = format!("{path} must be a JSON schema");
                Err(ApiError::field(path, message))
            }
        }
        Some("regex") => Ok(ResponseFormat::Regex(text("regex")?)),
        Some("grammar") => Ok(ResponseFormat::Grammar(text("grammar")?)),
        _ => {
            let path = format!("{path}.type");
            let message =
                format!("{path} must be text, json_object, json_schema, regex or grammar");
            Err(ApiError::field(path, message))
        }
    }
}
