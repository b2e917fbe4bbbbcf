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

/// Reads a response format. One of the type `json_schema` without a schema is any JSON object, with a warning.
///
/// # Errors
/// As [`ResponseFormat::from_json`].
pub fn response_format(
    format: Option<&Map<String, Value>>,
    path: &str,
    warnings: &mut Warnings,
) -> Result<ResponseFormat, ApiError> {
    if let Some(format) = format
        && format.get("type").is_some_and(|kind| kind == "json_schema")
        && !has_schema(format)
    {
        warnings.add(format!("{path} has no schema: any JSON object is accepted"));
        return Ok(ResponseFormat::JsonObject);
    }
    Ok(ResponseFormat::from_json(format, path)?)
}

/// Chat completions have the schema one level lower than responses and messages.
fn has_schema(format: &Map<String, Value>) -> bool {
    let parent = format.get("json_schema").and_then(Value::as_object);
    let schema = parent.unwrap_or(format).get("schema");
    schema.is_some_and(|schema| !schema.is_null())
}

/// Rejects a `best_of` that asks for more completions than are returned.
///
/// # Errors
/// If it is neither 1 nor `n`.
pub fn check_best_of(best_of: Option<usize>, n: Option<usize>) -> Result<(), ApiError> {
    let n = n.unwrap_or(1);
    match best_of {
        Some(best_of) if best_of != 1 && best_of != n => {
            let message = format!(
                "best_of is {best_of}; it must be 1 or equal to n, which is {n}: completions are not ranked"
            );
            Err(ApiError::unsupported("best_of", message))
        }
        _ => Ok(()),
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
    let mentions = |variable: &str| model.chat.template_mentions(variable);
    match effort_variable(mentions, &effort) {
        Some((variable, value)) => {
            kwargs.entry(variable).or_insert(value);
        }
        None if effort != "none" => {
            warnings.ignored(path, "the model's chat template has no variable for it");
        }
        None => {}
    }
}

/// The variable of a chat template that a reasoning effort sets, with its value; `None` if the template mentions none.
pub fn effort_variable(
    mentions: impl Fn(&str) -> bool,
    effort: &str,
) -> Option<(&'static str, Value)> {
    if mentions("reasoning_effort") {
        Some(("reasoning_effort", effort.into()))
    } else if mentions("enable_thinking") {
        Some(("enable_thinking", (effort != "none").into()))
    } else {
        None
    }
}
