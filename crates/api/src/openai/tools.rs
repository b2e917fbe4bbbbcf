//! Validates `tools`.

use serde_json::Value;

use crate::error::ApiError;

/// Validates a list of tools.
///
/// # Errors
/// If a tool is invalid or not a function.
pub fn validate(tools: &[Value]) -> Result<(), ApiError> {
    validate_at(tools, ".function")
}

/// Validates a list of tools. `function_path` is the path of the function inside a tool, for error messages.
///
/// # Errors
/// As [`validate`].
pub fn validate_at(tools: &[Value], function_path: &str) -> Result<(), ApiError> {
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
            let problem =
                "must consist of 1 to 64 letters, digits, underscores, dots or dashes".to_owned();
            return Err(invalid(&format!("{function_path}.name"), problem));
        };
        if names.contains(&name) {
            return Err(invalid(
                &format!("{function_path}.name"),
                format!("is `{name}`, which another tool already has"),
            ));
        }
        names.push(name);
        let parameters = &tool["function"]["parameters"];
        if !parameters.is_object() && !parameters.is_null() {
            return Err(invalid(
                &format!("{function_path}.parameters"),
                "must be a JSON schema".to_owned(),
            ));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
