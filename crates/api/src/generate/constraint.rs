//! What an answer is held to while it is generated.

use mlxm_engine::sampling::Constraint;

use super::chat::{Chat, Prompt};
use super::{OutputFormat, ToolChoice};
use crate::error::ApiError;
use crate::server::Model;

/// The constraint that a conversation's answers start with, if any.
///
/// # Errors
/// When the shape that is asked for cannot be enforced.
pub fn constraint(
    _model: &Model,
    chat: &Chat,
    _prompt: &Prompt,
) -> Result<Option<Box<dyn Constraint>>, ApiError> {
    match (&chat.tool_choice, &chat.output) {
        (ToolChoice::Required | ToolChoice::Named(_), _) => {
            let message = "tool_choice may only be auto or none yet: calls cannot be forced";
            Err(ApiError::unsupported("tool_choice", message))
        }
        (_, OutputFormat::Text) => Ok(None),
        _ => {
            let message = "response_format may only be text yet: other shapes cannot be enforced";
            Err(ApiError::unsupported("response_format", message))
        }
    }
}
