//! Validates `tools`.

use serde_json::Value;

use crate::error::ApiError;

/// Longest name of a tool, in characters.
const MAX_NAME_LENGTH: usize = 128;

/// Paths of fields inside a tool, for error messages.
pub struct ToolFields {
    name: &'static str,
    parameters: &'static str,
}

/// The fields of chat completions.
const CHAT_FIELDS: ToolFields = ToolFields {
    name: ".function.name",
    parameters: ".function.parameters",
};

/// The fields of the Responses API.
pub const RESPONSES_FIELDS: ToolFields = ToolFields {
    name: ".name",
    parameters: ".parameters",
};

/// The fields of the Messages API.
pub const ANTHROPIC_FIELDS: ToolFields = ToolFields {
    name: ".name",
    parameters: ".input_schema",
};

/// Validates a list of tools.
///
/// # Errors
/// If a tool is invalid or not a function.
pub fn validate(tools: &[Value]) -> Result<(), ApiError> {
    validate_at(tools, &CHAT_FIELDS)
}

/// Validates a list of tools of another protocol, whose fields have these names.
///
/// # Errors
/// As [`validate`].
pub fn validate_at(tools: &[Value], fields: &ToolFields) -> Result<(), ApiError> {
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let invalid = |field: &str, problem: String| {
            let path = format!("tools[{index}]{field}");
            ApiError::field(path.clone(), format!("{path} {problem}"))
        };
        if tool["type"] != "function" {
            let problem = format!("is {}; only function is supported", tool["type"]);
            return Err(invalid(".type", problem));
        }
        let Some(name) = tool["function"]["name"]
            .as_str()
            .filter(|name| is_name(name))
        else {
            let problem = format!(
                "must consist of 1 to {MAX_NAME_LENGTH} letters, digits, underscores, dots or dashes"
            );
            return Err(invalid(fields.name, problem));
        };
        if names.contains(&name) {
            return Err(invalid(
                fields.name,
                format!("is `{name}`, which another tool already has"),
            ));
        }
        names.push(name);
        let parameters = &tool["function"]["parameters"];
        if !parameters.is_object() && !parameters.is_null() {
            let problem = format!("of tool `{name}` must be a JSON schema");
            return Err(invalid(fields.parameters, problem));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
