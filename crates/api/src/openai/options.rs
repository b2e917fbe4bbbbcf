//! What chats and responses can ask of an answer, under whichever name.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::state::ServedModel;

/// Other tokens whose log-probability may be asked for.
const MAX_LOGPROBS: usize = 20;

/// How many other tokens get a log-probability.
///
/// # Errors
/// When there are too many.
pub fn top_logprobs(count: Option<usize>) -> Result<usize, ApiError> {
    match count.unwrap_or_default() {
        count if count > MAX_LOGPROBS => {
            let message = format!("top_logprobs is {count}; it must be at most {MAX_LOGPROBS}");
            Err(ApiError::field("top_logprobs", message))
        }
        count => Ok(count),
    }
}

/// Models are not told how much to say.
///
/// # Errors
/// When the field `place` asks for it.
pub fn check_verbosity(place: &str, verbosity: Option<&str>) -> Result<(), ApiError> {
    match verbosity {
        None | Some("medium") => Ok(()),
        Some(_) => {
            let message = format!("{place} is not supported: say it in the prompt");
            Err(ApiError::unsupported(place, message))
        }
    }
}

/// Tells the template how much to reason, in the words it knows.
///
/// # Errors
/// When the field `place` asks for it and the template knows no words.
pub fn set_effort(
    place: &str,
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
            format!("{place} is not supported: this model's template has no way to say it");
        return Err(ApiError::unsupported(place, message));
    }
    Ok(())
}
