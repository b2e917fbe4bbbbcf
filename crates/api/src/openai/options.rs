//! Parameters that chat completions and responses have under different names.

use serde_json::{Map, Value};

use crate::error::ApiError;
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

/// Validates the field `path`: verbosity cannot be changed.
///
/// # Errors
/// If the value is not the default.
pub fn check_verbosity(path: &str, verbosity: Option<&str>) -> Result<(), ApiError> {
    match verbosity {
        None | Some("medium") => Ok(()),
        Some(_) => {
            let message =
                format!("{path} must be medium; describe the wanted length in the prompt");
            Err(ApiError::unsupported(path, message))
        }
    }
}

/// Passes the reasoning effort of the field `path` to the chat template.
///
/// # Errors
/// If the template has no variable for it.
pub fn set_reasoning_effort(
    path: &str,
    model: &ServedModel,
    kwargs: &mut Map<String, Value>,
    effort: String,
) -> Result<(), ApiError> {
    if model.chat.template_mentions("reasoning_effort") {
        kwargs.entry("reasoning_effort").or_insert(effort.into());
    } else if model.chat.template_mentions("enable_thinking") {
        kwargs
            .entry("enable_thinking")
            .or_insert((effort != "none").into());
    } else if effort != "none" {
        let message =
            format!("{path} is not supported: the model's chat template has no variable for it");
        return Err(ApiError::unsupported(path, message));
    }
    Ok(())
}
