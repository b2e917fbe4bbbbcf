//! Validates `tools` and `tool_choice`.

use serde_json::Value;

use crate::error::ApiError;
use crate::generate::ToolChoice;

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

/// Parses `tool_choice`.
///
/// # Errors
/// If the value is invalid or not supported.
pub fn parse_choice(value: Option<&Value>) -> Result<ToolChoice, ApiError> {
    let invalid = || {
        let message = "tool_choice must be auto, none, required or {\"type\": \"function\", \"function\": {\"name\": …}}";
        ApiError::field("tool_choice", message)
    };
    match value {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(invalid()),
        },
        Some(choice) => {
            let name = choice["function"]["name"]
                .as_str()
                .or(choice["name"].as_str());
            match name {
                Some(name) if choice["type"] == "function" => {
                    Ok(ToolChoice::Named(name.to_owned()))
                }
                _ => Err(invalid()),
            }
        }
    }
}
