//! Parameters that chat completions and responses have under different names.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::fields::Warnings;
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
